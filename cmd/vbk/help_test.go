package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
)

// helpOf is what a command line prints, which must be help and nothing else.
func helpOf(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	if code := env.main(t.Context(), append([]string{"vbk"}, args...)); code != 0 || stderr.Len() > 0 {
		t.Fatalf("vbk %s: exit code %d, stderr %q", strings.Join(args, " "), code, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > helpWidth {
			t.Errorf("vbk %s: a line of %d columns: %s", strings.Join(args, " "), n, line)
		}
	}
	return stdout.String()
}

func TestHelp(t *testing.T) {
	overview := helpOf(t, "-help")
	if again := helpOf(t, "help"); again != overview {
		t.Errorf("vbk help prints\n%s\nvbk -help prints\n%s", again, overview)
	}
	_, commands := commandTable((&environment{}).app())
	for _, c := range commands {
		if c.usage == "" || !strings.Contains(overview, "  "+c.name+" ") || !strings.Contains(unbroken(overview), c.usage) {
			t.Errorf("vbk -help does not tell of %s", c.name)
		}
		for _, line := range [][]string{{c.name, "-help"}, {c.name, "--help"}, {c.name, "-h"}, {"help", c.name}} {
			text := helpOf(t, line...)
			if !strings.HasPrefix(text, "Usage: vbk "+c.name) {
				t.Errorf("vbk %s prints %q", line, text)
			}
			for _, f := range c.flags {
				if f.usage == "" || !strings.Contains(text, "\n  "+f.term()+" ") || !strings.Contains(unbroken(text), f.text()) {
					t.Errorf("vbk %s does not tell of -%s", line, f.name)
				}
			}
		}
		wantExamples(t, c)
	}
}

// unbroken is text without its line breaks.
func unbroken(text string) string { return strings.Join(strings.Fields(text), " ") }

// wantExamples wants an example of each command, and that each can be typed.
func wantExamples(t *testing.T, c commandRow) {
	t.Helper()
	seen := 0
	for line := range strings.Lines(strings.ReplaceAll(c.help(), "\\\n", "")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if !strings.HasPrefix(line, "vbk ") {
			continue
		}
		for part := range strings.SplitSeq(line, "&&") {
			part, _, _ = strings.Cut(part, " >")
			part, _, _ = strings.Cut(part, " | ")
			words, err := shellwords.Parse(part)
			if err == nil {
				_, err = arrange((&environment{}).app(), words, noEnvironment)
			}
			if err != nil {
				t.Errorf("vbk %s -help: %s: %v", c.name, part, err)
			}
			if words[1] == c.name {
				seen++
			}
		}
	}
	if seen == 0 {
		t.Errorf("vbk %s -help has no example", c.name)
	}
}
