package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
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
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 100 {
			t.Errorf("vbk %s: a line of %d columns: %s", strings.Join(args, " "), n, line)
		}
	}
	return stdout.String()
}

func TestHelp(t *testing.T) {
	overview := helpOf(t, "-help")
	for _, c := range (&environment{}).app().VisibleCommands() {
		if c.Usage == "" || !strings.Contains(overview, "  "+c.Name+" ") || !strings.Contains(overview, c.Usage) {
			t.Errorf("vbk -help does not tell of %s", c.Name)
		}
		for _, help := range []string{"-help", "--help", "-h"} {
			text := helpOf(t, c.Name, help)
			if !strings.HasPrefix(text, "Usage: vbk "+c.Name) {
				t.Errorf("vbk %s %s prints %q", c.Name, help, text)
			}
			wantFlags(t, c, text)
		}
	}
}

func wantFlags(t *testing.T, c *cli.Command, help string) {
	t.Helper()
	for _, f := range c.Flags {
		usage := strings.ReplaceAll(f.(cli.DocGenerationFlag).GetUsage(), "`", "")
		if usage == "" || !strings.Contains(help, "\n  -"+f.Names()[0]+" ") || !strings.Contains(help, usage) {
			t.Errorf("vbk %s -help does not tell of -%s", c.Name, f.Names()[0])
		}
	}
}
