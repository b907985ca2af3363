package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mattn/go-shellwords"
)

// hints are all that the scripts made vbk say, each once.
type hints struct {
	mu   sync.Mutex
	said map[string]bool
}

var said = hints{said: map[string]bool{}}

// hear takes the hints out of what a command has printed.
func (h *hints) hear(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(text) {
		if hint, ok := strings.CutPrefix(strings.TrimSpace(line), "vbk: hint: "); ok {
			h.said[hint] = true
		}
	}
}

// commandIn finds the commands in a hint: after its start, a colon, "or" or a
// semicolon, up to punctuation.
var commandIn = regexp.MustCompile(`(?:^|: |; |, |or |by |try |run |again )(vbk (?:-[a-z]+ \S+ )?[a-z]+(?: (?:'[^']*'|"[^"]*"|[^\s;,:')]+))*)`)

// TestHints wants the commands of vbk in every hint that the scripts provoke, and in
// those that the source holds, to be ones that parse: a hint is to be pasted. It
// runs after the scripts, whose hints it reads.
func TestHints(t *testing.T) {
	if testing.Short() {
		t.Skip("the scripts may not have run")
	}
	checked := 0
	for hint := range said.said {
		for _, m := range commandIn.FindAllStringSubmatch(hint, -1) {
			checked++
			if err := pasted(m[1]); err != nil {
				t.Errorf("hint %q: %q: %v", hint, m[1], err)
			}
		}
	}
	t.Logf("%d hints with %d commands", len(said.said), checked)
	for _, hint := range writtenHints(t) {
		for _, m := range commandIn.FindAllStringSubmatch(hint, -1) {
			checked++
			if err := pasted(m[1]); err != nil {
				t.Errorf("hint %q: %q: %v", hint, m[1], err)
			}
		}
	}
	if checked < 25 {
		t.Errorf("found only %d commands in hints", checked)
	}
}

// pasted says whether a command line can be typed as it stands.
func pasted(line string) error {
	words, err := shellwords.Parse(line)
	if err != nil {
		return err
	}
	if slices.Contains([]string{"as", "never", "ended"}, words[1]) {
		return nil // "run vbk as root"
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "..." })
	for n, w := range words { // prose that follows a command
		if n > 1 && slices.Contains([]string{"to", "and", "again", "makes", "makes it", "saves", "lists", "shows", "says", "tells", "prints", "writes", "compares", "takes", "is", "for", "tries", "begins", "cleans", "names"}, w) {
			words = words[:n]
			break
		}
	}
	_, err = arrange((&environment{}).app(), words, noEnvironment)
	return err
}

// writtenHints are the hints in the source of the program, with the verbs of their
// formats filled in.
func writtenHints(t *testing.T) []string {
	t.Helper()
	var all []string
	literal := regexp.MustCompile(`"((?:[^"\\]|\\.)*vbk (?:[^"\\]|\\.)*)"`)
	for _, dir := range []string{".", "../../executor", "../../plan", "../../store/local", "../../config"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			text, err := os.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			for line := range bytes.Lines(text) {
				if !bytes.Contains(line, []byte("int(")) && !bytes.Contains(line, []byte("Hint")) && !bytes.Contains(line, []byte("hint")) {
					continue
				}
				for _, m := range literal.FindAllStringSubmatch(string(line), -1) {
					all = append(all, regexp.MustCompile(`%[a-z]`).ReplaceAllString(strings.ReplaceAll(m[1], `\"`, `"`), "X"))
				}
			}
		}
	}
	if len(all) < 20 {
		t.Fatalf("found only %d hints in the source", len(all))
	}
	return all
}
