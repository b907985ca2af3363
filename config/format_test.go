package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestFormatFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.vbk.hcl")
	for source, want := range map[string]string{
		"store \"local\" \"nas\" {\npath=\"/a\"\n  min_free =   \"0B\"\n}\n": "store \"local\" \"nas\" {\n  path     = \"/a\"\n  min_free = \"0B\"\n}\n",
		"host \"a\" {\n  max_parallel = 1\n}\n":                              "host \"a\" {\n  max_parallel = 1\n}\n",
		"":                                                                   "",
	} {
		if err := os.WriteFile(path, []byte(source), 0o666); err != nil {
			t.Fatal(err)
		}
		before, after, diags := FormatFile(path)
		if string(before) != source || string(after) != want || len(diags) > 0 {
			t.Errorf("FormatFile of %q = %q, %q, %v", source, before, after, diags)
		}
	}

	broken := "store  {\n"
	if err := os.WriteFile(path, []byte(broken), 0o666); err != nil {
		t.Fatal(err)
	}
	before, after, diags := FormatFile(path)
	if string(before) != broken || string(after) != broken || !diags.HasErrors() || diags[0].Subject.Filename != path {
		t.Errorf("broken file: %q, %q, %v", before, after, diags)
	}
	if _, _, diags := FormatFile(path + ".missing"); !strings.Contains(diags.Error(), ".missing") {
		t.Errorf("missing file: %v", diags)
	}
}

func TestFindFormattable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.vbk.hcl", "b.hcl", "c.vbk.json", ".d.vbk.hcl", "sub/e.vbk.hcl", "sub/x.auto.vbkvars", "sub/deep/f.vbk.hcl", ".git/g.vbk.hcl"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, c := range []struct {
		paths     string
		recursive bool
		want      string
	}{
		{".", false, "a.vbk.hcl"},
		{".", true, "a.vbk.hcl sub/deep/f.vbk.hcl sub/e.vbk.hcl sub/x.auto.vbkvars"},
		{"sub", false, "sub/e.vbk.hcl sub/x.auto.vbkvars"},
		{"sub a.vbk.hcl", false, "sub/e.vbk.hcl sub/x.auto.vbkvars a.vbk.hcl"},
		{"b.hcl", false, "b.hcl"},
	} {
		got, err := FindFormattable(strings.Fields(c.paths), c.recursive)
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.paths, err, diff)
		}
	}
	if _, err := FindFormattable([]string{"missing"}, false); err == nil {
		t.Error("a missing path is no error")
	}
}

func TestWriteDiagnosticsColor(t *testing.T) {
	_, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte("nonsense {}")}, Inputs{})
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, files, diags, 0, true); err != nil || !strings.Contains(out.String(), "\x1b[31mError") {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// FuzzFormat checks that layout is all that Format changes, and that a second
// time changes nothing.
func FuzzFormat(f *testing.F) {
	for _, source := range []string{"a={b=1,\nc=[1,\n2]}\n", "a {\n# x\nb=<<EOT\n x\nEOT\n}\n", "a \"b\" {c=1}", "a=\"${ b }\"\n", "a = b ? c:d\n"} {
		f.Add([]byte(source))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		if _, diags := hclsyntax.ParseConfig(source, "", hcl.InitialPos); diags.HasErrors() {
			return
		}
		once := Format(source)
		if diff := cmp.Diff(tokens(source), tokens(once)); diff != "" {
			t.Errorf("Format changed %q into %q:\n%s", source, once, diff)
		}
		if twice := Format(once); !bytes.Equal(once, twice) {
			t.Errorf("Format of %q: first %q, then %q", source, once, twice)
		}
	})
}

func tokens(source []byte) []string {
	lexed, _ := hclsyntax.LexConfig(source, "", hcl.InitialPos)
	var all []string
	for _, t := range lexed {
		all = append(all, string(t.Bytes))
	}
	return all
}
