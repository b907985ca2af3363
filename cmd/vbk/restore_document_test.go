package main

import (
	"os"
	"strings"
	"testing"
)

// TestRestoreDocument wants every command of docs/restore.md to be run by
// testdata/script/disaster.txtar.
func TestRestoreDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/restore.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/disaster.txtar")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "    vbk ")
		if !ok {
			continue
		}
		seen++
		command = "vbk " + strings.ReplaceAll(command, "4c1f9d2a", "00000001")
		if !strings.Contains(string(script), "\n"+command) && !strings.Contains(string(script), "\nexit 3 "+command) {
			t.Errorf("no script runs %s", command)
		}
	}
	if seen < 9 {
		t.Errorf("found only %d commands", seen)
	}
}
