package vbk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"strings"
	"testing"
)

// goroutines are the functions whose argument runs in a goroutine of its own.
var goroutines = map[string]bool{"Go": true, "AfterFunc": true, "AddCleanup": true, "SetFinalizer": true}

// harmless are calls that a goroutine may make outside of what recovers: they wait,
// or end something, or are C.
var harmless = map[string]bool{"cancel": true, "close": true, "Close": true, "Shutdown": true, "Wait": true, "After": true, "EventRunDefaultImpl": true}

// TestEveryGoroutineRecovers: a panic that leaves a goroutine ends the process at once,
// with jobs running and with Go's exit code 2, which for a plan means that there are
// changes. So whatever a goroutine of ours does it does inside of a function that
// recovers, in its own body or in its package.
func TestEveryGoroutineRecovers(t *testing.T) {
	found := 0
	set := token.NewFileSet()
	for dir, files := range packages(t, set) {
		maps.DeleteFunc(files, func(path string, _ *ast.File) bool { return strings.HasSuffix(path, "_test.go") })
		if strings.HasSuffix(dir, "test") || dir == "bench" || dir == "mutants" {
			continue
		}
		guards := recoveringIn(files)
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				for _, started := range startedBy(n) {
					found++
					if call := unguarded(started, guards); call != nil {
						t.Errorf("%s: this goroutine does not recover from a panic: it ends the process", set.Position(call.Pos()))
					}
				}
				return true
			})
		}
	}
	if found < 20 {
		t.Errorf("only %d goroutines were found", found)
	}
}

// TestUnguardedIsFound: the check finds a bare goroutine, and what is outside of a guard.
func TestUnguardedIsFound(t *testing.T) {
	for text, bare := range map[string]bool{
		`go func() { work() }()`: true,
		`go work()`:              true,
		`go func() { defer func() { _ = recover() }(); work() }()`:          false,
		`go func() { done <- guarded(func() error { return work() })() }()`: false,
		`go func() { _ = guarded(work)(); work() }()`:                       true,
		`group.Go(func() { work() })`:                                       true,
		`group.Go(guarded(work))`:                                           false,
		`context.AfterFunc(ctx, func() { _ = conn.Close() })`:               false,
		`context.AfterFunc(ctx, func() { conn.abandon() })`:                 true,
		`time.AfterFunc(1, work)`:                                           true,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc guarded(f func() error) func() error { return func() error { defer func() { recover() }(); return f() } }\nfunc f() {\n"+text+"\n}", 0)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(file, func(n ast.Node) bool {
			for _, started := range startedBy(n) {
				found = found || unguarded(started, recoveringIn(map[string]*ast.File{"x.go": file})) != nil
			}
			return true
		})
		if found != bare {
			t.Errorf("%s: found to be bare: %v", text, found)
		}
	}
}

// recovering are the functions of a package that recover: from a panic in what they
// call, or, deferred, from one in what defers them.
type recovering struct{ calls, deferred map[string]bool }

func recoveringIn(files map[string]*ast.File) recovering {
	r := recovering{map[string]bool{}, map[string]bool{}}
	for _, file := range files {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || f.Body == nil:
			case within[*ast.DeferStmt](f.Body, callsRecover):
				r.calls[f.Name.Name] = true
			case callsRecover(f.Body):
				r.deferred[f.Name.Name] = true
			}
		}
	}
	return r
}

// within says whether a kind of node in another is as it should be.
func within[N ast.Node](in ast.Node, as func(ast.Node) bool) (found bool) {
	ast.Inspect(in, func(n ast.Node) bool {
		if wanted, ok := n.(N); ok && as(wanted) {
			found = true
		}
		return !found
	})
	return found
}

func callsRecover(n ast.Node) bool {
	return within[*ast.CallExpr](n, func(n ast.Node) bool { return name(n.(*ast.CallExpr).Fun) == "recover" })
}

// startedBy are the functions that a statement or call starts goroutines with.
func startedBy(n ast.Node) (all []ast.Expr) {
	switch n := n.(type) {
	case *ast.GoStmt:
		return []ast.Expr{n.Call.Fun}
	case *ast.CallExpr:
		if selector, ok := n.Fun.(*ast.SelectorExpr); ok && goroutines[selector.Sel.Name] {
			return n.Args[len(n.Args)-1:]
		}
	}
	return nil
}

// unguarded is the first call of a goroutine that nothing recovers from, nil if there
// is none.
func unguarded(started ast.Expr, guards recovering) (bare ast.Node) {
	literal, ok := started.(*ast.FuncLit)
	if !ok {
		if call, ok := started.(*ast.CallExpr); ok && guards.calls[name(call.Fun)] { // guarded(f)
			return nil
		}
		return started
	}
	for _, s := range literal.Body.List {
		if d, ok := s.(*ast.DeferStmt); ok && (callsRecover(d) || guards.deferred[name(d.Call.Fun)]) {
			return nil
		}
	}
	ast.Inspect(literal.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		switch {
		case !ok || bare != nil:
			return bare == nil
		case guards.calls[name(call.Fun)]:
			return false
		case harmless[name(call.Fun)]:
			return true
		}
		if inner, ok := call.Fun.(*ast.CallExpr); ok && guards.calls[name(inner.Fun)] { // guarded(f)()
			return false
		}
		if _, ok := call.Fun.(*ast.FuncLit); ok { // defer func() { ... }()
			return true
		}
		bare = call
		return false
	})
	return bare
}

// name is the last word of what is called.
func name(called ast.Expr) string {
	switch called := called.(type) {
	case *ast.Ident:
		return called.Name
	case *ast.SelectorExpr:
		return called.Sel.Name
	case *ast.IndexExpr:
		return name(called.X)
	}
	return ""
}
