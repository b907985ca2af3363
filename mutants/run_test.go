//go:build mutants

package mutants

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutant is a version of the program that must not pass.
type mutant struct {
	name  string
	edits []edit
	tests string // the package whose tests find it
	run   string // which of them
}

type edit struct{ file, old, new string }

// TestMutants builds each mutant and wants its tests to fail: not to compile is
// no answer, and neither is to have run no test.
func TestMutants(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "mutant.test")
			build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", m.overlay(t, root), "-o", program, "./"+m.tests)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("it does not build: %v\n%s", err, out)
			}
			test := exec.Command(program, "-test.run", "^"+strings.ReplaceAll(m.run, "/", "$/^")+"$", "-test.timeout", "100s", "-test.failfast")
			test.Dir = filepath.Join(root, m.tests)
			out, err := test.CombinedOutput()
			var failed *exec.ExitError
			if !errors.As(err, &failed) || !found(out) {
				t.Errorf("%s of %s does not find it: %v\n%s", m.run, m.tests, err, out)
			}
			t.Logf("found by %s:\n%s", m.run, out)
		})
	}
}

// found says whether a test has failed, or was ended by a panic.
func found(out []byte) bool {
	return regexp.MustCompile(`(?m)^(\s*--- FAIL: |panic: )`).Match(out)
}

// overlay is the file that tells the go command what to build instead.
func (m mutant) overlay(t *testing.T, root string) string {
	dir := t.TempDir()
	text := map[string]string{}
	for _, e := range m.edits {
		if text[e.file] == "" {
			source, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				t.Fatal(err)
			}
			text[e.file] = string(source)
		}
		if n := strings.Count(text[e.file], e.old); n != 1 {
			t.Fatalf("%s has this %d times, not once: mend the mutant:\n%s", e.file, n, e.old)
		}
		text[e.file] = strings.Replace(text[e.file], e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, source := range text {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = path
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
