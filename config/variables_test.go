package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLoadVariables checks the precedence of what gives variables values, with
// files as they are found: environment, vbk.vbkvars, *.auto.vbkvars, command
// line.
func TestLoadVariables(t *testing.T) {
	dir := t.TempDir()
	write := func(name, source string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	value := func(in Inputs) string {
		t.Helper()
		c, files, diags := Load(dir, in)
		if len(diags) > 0 {
			t.Fatal(printed(t, files, diags))
		}
		return c.Name
	}
	write("main.vbk.hcl", "variable \"v\" { default = \"default\" }\nvbk { name = var.v }\n")
	write("not.vbkvars", `v = "never"`)
	write(".hidden.auto.vbkvars", `v = "never"`)
	if got := value(Inputs{}); got != "default" {
		t.Errorf("nothing given: %s", got)
	}
	in := Inputs{Getenv: func(name string) string { return map[string]string{"VBK_VAR_v": "environment"}[name] }}
	for _, step := range []struct{ file, want string }{
		{"", "environment"}, {"vbk.vbkvars", "vbk.vbkvars"}, {"b.auto.vbkvars", "b.auto.vbkvars"}, {"a.auto.vbkvars", "b.auto.vbkvars"}, {"z.auto.vbkvars", "z.auto.vbkvars"},
	} {
		if step.file != "" {
			write(step.file, "v = \""+step.file+"\"\n")
		}
		if got := value(in); got != step.want {
			t.Errorf("with %s: %s", step.file, got)
		}
	}
	write("values", `v = "from a file"`)
	write("values.json", `{"v": "from JSON"}`)
	file, assignment, inJSON := VarArg{File: filepath.Join(dir, "values")}, VarArg{Assignment: "v=a=b"}, VarArg{File: filepath.Join(dir, "values.json")}
	for want, vars := range map[string][]VarArg{
		"a=b": {file, assignment}, "from a file": {assignment, inJSON, file}, "from JSON": {file, inJSON},
	} {
		in.Vars = vars
		if got := value(in); got != want {
			t.Errorf("%v: %s", vars, got)
		}
	}
	if _, _, diags := Load(dir, Inputs{Vars: []VarArg{{File: filepath.Join(dir, "missing")}}}); !strings.Contains(diags.Error(), "missing") {
		t.Errorf("a file that is not there: %v", diags)
	}
}

// FuzzVariable checks that no text from outside makes a variable panic, and
// that none of a secret is told.
func FuzzVariable(f *testing.F) {
	types := []string{"string", "number", "bool", "any", "list(string)", "map(object({ a = string, b = optional(number, 2) }))", "set(number)", "tuple([string, bool])"}
	for n, text := range []string{"a", "1e3", "true", `{"a" = 1}`, `["a"]`, `{x = {a = "b"}}`, "[1, 2, 2]", `["a", true]`, "x", "1e999999999", "y", `[[1e999999999], "1e-999999999"]`} {
		f.Add(text, uint(n))
	}
	f.Fuzz(func(t *testing.T, text string, n uint) {
		const head = "variable \"v\" {\n  type = %s\n  sensitive = %v\n}\nhost \"h\" {\n  scratch_dir = var.v\n}\n"
		for _, sensitive := range []bool{false, true} {
			source := fmt.Sprintf(head, types[n%uint(len(types))], sensitive)
			c, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(source)}, Inputs{Vars: []VarArg{{Assignment: "v=" + text}}})
			told := printed(t, files, diags)
			if sensitive && c != nil {
				t.Fatal("a secret was taken for a path")
			}
			if sensitive && len(text) > 8 && !strings.Contains(source, text) && strings.Contains(told, text) {
				t.Errorf("%q is shown:\n%s", text, told)
			}
		}
	})
}
