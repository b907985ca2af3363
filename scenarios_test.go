package vbk_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestScenarios holds docs/scenarios.md against the tree: every scenario is there, in
// order, and each names tests that exist, or says why there is none.
func TestScenarios(t *testing.T) {
	text, err := os.ReadFile("docs/scenarios.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (S\d\d) \| ([^|]+) \| ([^|]+) \|([^|]*)\|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != 72 {
		t.Errorf("%d scenarios", len(rows))
	}
	named := regexp.MustCompile("`([^`]+)`")
	for n, row := range rows {
		if want := fmt.Sprintf("S%02d", n+1); row[1] != want {
			t.Fatalf("%s comes after S%02d", row[1], n)
		}
		tests := named.FindAllStringSubmatch(row[3], -1)
		if len(tests) == 0 && !strings.HasPrefix(row[3], "not here: ") {
			t.Errorf("%s names no test", row[1])
		}
		for _, test := range tests {
			if !testExists(t, test[1]) {
				t.Errorf("%s: there is no test %s", row[1], test[1])
			}
		}
	}
}

// testExists says whether package.TestName is a test, or package/script/name a
// script.
func testExists(t *testing.T, name string) bool {
	t.Helper()
	if dir, script, ok := strings.Cut(name, "/script/"); ok {
		_, err := os.Stat(filepath.Join(dir, "testdata", "script", script+".txtar"))
		return err == nil
	}
	dir, function, ok := strings.Cut(name, ".")
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || !ok {
		t.Fatalf("%s: %v", name, err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+function+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// TestPromisesAreTested: docs/compatibility.md names tests that exist, one at least
// for each promise.
func TestPromisesAreTested(t *testing.T) {
	text, err := os.ReadFile("docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| \*\*(.+?)\*\*[^|]*\|[^|]*\|([^|]*)\|$`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 10 {
		t.Errorf("%d promises", len(rows))
	}
	for _, row := range rows {
		named := regexp.MustCompile("`((?:packaging/|[a-z/]+\\.Test|[a-z/]+/script/)[^`]+)`").FindAllStringSubmatch(row[2], -1)
		if len(named) == 0 && !strings.HasPrefix(row[1], "Log lines") {
			t.Errorf("%s: no test is named", row[1])
		}
		for _, test := range named {
			if _, err := os.Stat(test[1]); err != nil && !testExists(t, test[1]) {
				t.Errorf("%s: there is no test %s", row[1], test[1])
			}
		}
	}
}
