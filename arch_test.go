package vbk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports is the architecture on one screen: which of our packages each
// package may import, test files excepted.
var imports = map[string][]string{
	"config":              {},
	"virt":                {},
	"virt/qcow2":          {"virt"},
	"virt/libvirt":        {"virt", "virt/qcow2"},
	"nbd":                 {},
	"format":              {},
	"store":               {},
	"store/local":         {"store", "format"},
	"store/virtnbdbackup": {"format"},
	"plan":                {"config", "virt", "store"},
	"executor":            {"plan", "virt", "virt/qcow2", "nbd", "format", "store", "store/virtnbdbackup"},
	"executor/bind":       {"executor", "store", "store/local"},
	"cmd/vbk":             {"config", "plan", "executor", "executor/bind", "nbd", "format", "store", "store/local", "store/virtnbdbackup", "virt", "virt/libvirt"},

	// test support
	"bench":                  {},
	"mutants":                {},
	"virt/virttest":          {"virt"},
	"virt/libvirt/embedtest": {"virt/libvirt"},
	"nbd/nbdtest":            {},
	"format/formattest":      {},
	"store/storetest":        {"store/local", "format"},

	"store/virtnbdbackup/virtnbdtest": {},
}

// outside holds what leaves must not import from elsewhere: plan decides and
// has no effects; only virt/libvirt and its test support know libvirt.
var outside = map[string][]string{
	"plan":       {"os", "net", "net/http", "os/exec", "syscall", "math/rand", "crypto/rand"},
	"virt":       {"os", "net", "libvirt.org/go/libvirt"},
	"format":     {"os", "net"},
	"virt/qcow2": {"os", "net", "os/exec"},
	"config":     {"net", "os/exec"},
}

func TestArrowsPointOneWay(t *testing.T) {
	for dir, files := range packages(t, token.NewFileSet()) {
		allowed, known := imports[dir]
		if !known {
			t.Errorf("package %s is not in the table: add it, with what it may import", dir)
			continue
		}
		for name, file := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, i := range file.Imports {
				imported := strings.Trim(i.Path.Value, `"`)
				ours, isOurs := strings.CutPrefix(imported, "vbk/")
				if isOurs && !slices.Contains(allowed, ours) {
					t.Errorf("%s imports %s, but %s may import only %v", name, ours, dir, allowed)
				}
				if strings.HasPrefix(imported, "log") && dir != "cmd/vbk" {
					t.Errorf("%s imports %s: only commands log", name, imported)
				}
				if slices.Contains(outside[dir], imported) {
					t.Errorf("%s imports %s, which %s must not", name, imported, dir)
				}
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for dir, files := range packages(t, token.NewFileSet()) {
		if !slices.ContainsFunc(slices.Collect(maps.Values(files)), func(f *ast.File) bool { return f.Doc != nil }) {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

func TestNoUtil(t *testing.T) {
	for dir := range packages(t, token.NewFileSet()) {
		if slices.Contains([]string{"util", "utils", "common", "helpers", "misc", "pkg", "internal"}, path.Base(dir)) {
			t.Errorf("package %s: name it after what it is about", dir)
		}
	}
}

// packages parses all Go files by folder.
func packages(t *testing.T, set *token.FileSet) map[string]map[string]*ast.File {
	t.Helper()
	all := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if d.IsDir() || !strings.HasSuffix(name, ".go") || dir == "." {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, name, source, parser.ParseComments)
		if err != nil {
			return err
		}
		if all[dir] == nil {
			all[dir] = map[string]*ast.File{}
		}
		all[dir][filepath.ToSlash(name)] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}

// caught are the functions that keep a panic from leaving a goroutine.
var caught = []string{"recover", "caught", "guarded", "catch"}

// TestPanicsAreCaught wants each goroutine of the program to catch its panics: one
// that leaves a goroutine ends the process with exit code 2, which says "changes".
func TestPanicsAreCaught(t *testing.T) {
	for dir, files := range packages(t, token.NewFileSet()) {
		for name, file := range files {
			if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(dir, "test") || dir == "bench" {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if body := concurrent(n); body != nil && !catches(body) {
					t.Errorf("%s: a goroutine whose panic would end the process, by byte %d", name, n.Pos())
				}
				return true
			})
		}
	}
}

// concurrent is what a node runs in a goroutine of its own, nil if nothing.
func concurrent(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Go" || f.Sel.Name == "AfterFunc") {
			return n.Args[len(n.Args)-1]
		}
	}
	return nil
}

// catches says whether a goroutine catches its panics, or is one call of another
// package: it closes, waits, shuts down.
func catches(body ast.Node) bool {
	found, calls, ours := false, 0, 0
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		calls++
		switch f := call.Fun.(type) {
		case *ast.Ident:
			found = found || slices.Contains(caught, f.Name)
			if f.Name != "close" {
				ours++
			}
		case *ast.SelectorExpr:
			found = found || slices.Contains(caught, f.Sel.Name)
			if !slices.Contains([]string{"Close", "Wait", "Shutdown", "EventRunDefaultImpl"}, f.Sel.Name) {
				ours++
			}
		}
		return true
	})
	return found || calls > 0 && ours == 0
}
