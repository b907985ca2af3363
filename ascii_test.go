package vbk_test

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// TestTextIsASCII: what the program says can be read on any terminal, with LANG=C too.
// Names come as they are.
func TestTextIsASCII(t *testing.T) {
	set := token.NewFileSet()
	for _, files := range packages(t, set) {
		for path, file := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING && literal.Kind != token.CHAR {
					return true
				}
				if text, err := strconv.Unquote(literal.Value); err == nil && strings.ContainsFunc(literal.Value, func(r rune) bool { return r > unicode.MaxASCII }) {
					t.Errorf("%s: %q is not ASCII", set.Position(literal.Pos()), text)
				}
				return true
			})
		}
	}
}
