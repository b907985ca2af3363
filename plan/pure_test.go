package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPlanIsPure reads the package's own source: it imports nothing that acts,
// and nobody asks the clock or chance.
func TestPlanIsPure(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"bytes", "cmp", "context", "crypto/sha256", "encoding/hex", "encoding/json", "errors", "fmt", "maps", "math", "path", "slices",
		"strings", "sync", "time", "github.com/robfig/cron/v3", "vbk/config", "vbk/store", "vbk/virt"}
	reading := []string{"bufio", "hash", "io", "regexp"}
	files := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if slices.Contains(reading, path) && name == "inventory_read.go" {
				continue // from what it is given
			}
			if err != nil || !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
			if slices.Contains([]string{"context", "sync"}, path) && name != "survey.go" {
				t.Errorf("%s imports %s: only Survey looks outside", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if ok && of.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc", "Local"}, selector.Sel.Name) {
				t.Errorf("%s uses time.%s", name, selector.Sel.Name)
			}
			return true
		})
	}
	if files < 10 {
		t.Errorf("only %d files were read", files)
	}
}
