package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
)

// TestCommandsInExamples reads every vbk command line of the examples and of
// every page: command and flags must exist.
func TestCommandsInExamples(t *testing.T) {
	files := pages(t)
	for _, pattern := range []string{"*.yml", "*.md", "*.hcl", "policy/*"} {
		found, err := filepath.Glob("../../examples/*/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	commandLine := regexp.MustCompile("(?:^|[ `])(vbk [a-z]+(?: [^|>`\\n#]*)?)")
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(string(text), "\n") {
			isProse := strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "#   ")
			for _, m := range commandLine.FindAllStringSubmatch(l, -1) {
				if isProse || !strings.Contains(m[1], " -") || strings.Contains(m[1], "[") {
					continue // a sentence about vbk, or a synopsis
				}
				seen++
				words, err := shellwords.Parse(m[1])
				if err != nil { // it was cut off at a pipe inside of quotes
					words = strings.Fields(m[1])
				}
				if _, err := arrange((&environment{}).app(), words, noEnvironment); err != nil {
					t.Errorf("%s: %s: %v", file, m[1], err)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("found only %d command lines in %v", seen, files)
	}
}
