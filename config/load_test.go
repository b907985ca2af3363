package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata expect")

// cases runs each archive of a folder: its files are one configuration, but
// the last, which is what got must return for them.
func cases(t *testing.T, folder, expected string, got func(t *testing.T, sources map[string][]byte) []byte) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources, want := map[string][]byte{}, []byte(nil)
			for _, f := range archive.Files {
				sources[f.Name] = f.Data
			}
			want = sources[expected]
			delete(sources, expected)
			have := got(t, sources)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == expected })
				archive.Files = append(archive.Files, txtar.File{Name: expected, Data: have})
				if err := os.WriteFile(path, txtar.Format(archive), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(have)); diff != "" {
				t.Errorf("%s (-want +got; -update accepts):\n%s", path, diff)
			}
		})
	}
}

func TestGoodConfigurations(t *testing.T) {
	cases(t, "ok", "want.json", func(t *testing.T, sources map[string][]byte) []byte {
		c, files, diags := Parse("/configuration", sources)
		if len(diags) > 0 {
			t.Fatal(printed(t, files, diags))
		}
		shown := struct {
			Dir, Name, TimeZone string
			Hosts               []Host
			Stores              []Store
			Domains             []Domain
		}{c.Dir, c.Name, c.TimeZone.String(), c.Hosts, c.Stores, c.Domains}
		out, err := json.MarshalIndent(shown, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return append(out, '\n')
	})
}

func TestBadConfigurations(t *testing.T) {
	cases(t, "bad", "diagnostics", func(t *testing.T, sources map[string][]byte) []byte {
		c, files, diags := Parse("/configuration", sources)
		if !diags.HasErrors() || c != nil {
			t.Fatal("accepted")
		}
		for _, d := range diags {
			if d.Subject == nil || files[d.Subject.Filename] == nil {
				t.Errorf("no place: %v", d)
			}
		}
		return []byte(printed(t, files, diags))
	})
}

// TestDiagnosticsOrder checks that the order of diagnostics, which HCL in part
// takes from a map, is always the same.
func TestDiagnosticsOrder(t *testing.T) {
	for _, name := range []string{"not_yet", "unknown"} {
		archive, err := txtar.ParseFile(filepath.Join("testdata", "bad", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		sources := map[string][]byte{"main.vbk.hcl": archive.Files[0].Data}
		_, files, first := Parse("/", sources)
		for range 20 {
			_, _, again := Parse("/", sources)
			if diff := cmp.Diff(printed(t, files, first), printed(t, files, again)); diff != "" {
				t.Fatal(diff)
			}
		}
	}
}

// TestDocumentation checks that the page about the language is true: its
// example is a configuration.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(page)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			example.WriteString(code)
		}
	}
	c, files, diags := Parse("/configuration", map[string][]byte{"doc.vbk.hcl": []byte(example.String())})
	if diags.HasErrors() {
		t.Fatal(printed(t, files, diags))
	}
	if len(c.Hosts) != 1 || len(c.Stores) != 1 || len(c.Domains) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, source string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "below.vbk.hcl"), 0o777); err != nil {
		t.Fatal(err)
	}
	write("below.vbk.hcl/not.vbk.hcl", "nonsense {}")
	write("other.hcl", "nonsense {}")
	write(".hidden.vbk.hcl", "nonsense {}")

	c, _, diags := Load(dir)
	if c != nil || len(diags) != 1 || !strings.Contains(diags[0].Detail, dir) || !strings.Contains(diags[0].Detail, "vbk init") {
		t.Errorf("no files: %v, %v", c, diags)
	}

	write("a.vbk.hcl", `store "local" "nas" { path = "backup" }`)
	write("b.vbk.json", `{"domain": {"web": {"match": ["web"], "store": "${store.local.nas}"}}}`)
	t.Chdir(dir)
	for _, from := range []string{dir, "."} {
		c, files, diags := Load(from)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if c.Dir != dir || c.Stores[0].Path != filepath.Join(dir, "backup") || c.Domains[0].Policy.Store != "store.local.nas" {
			t.Errorf("Load(%q) = %+v", from, c)
		}
		want := []string{filepath.Join(from, "a.vbk.hcl"), filepath.Join(from, "b.vbk.json")}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
			t.Error(diff)
		}
	}

	if err := os.Symlink("nowhere", filepath.Join(dir, "c.vbk.hcl")); err != nil {
		t.Fatal(err)
	}
	if c, _, diags := Load(dir); c != nil || !strings.Contains(diags.Error(), "c.vbk.hcl") {
		t.Errorf("a file that cannot be read: %v, %v", c, diags)
	}
	if c, _, diags := Load(filepath.Join(dir, "missing")); c != nil || !strings.Contains(diags.Error(), "missing") {
		t.Errorf("no directory: %v, %v", c, diags)
	}
}

func printed(t *testing.T, files Files, diags hcl.Diagnostics) string {
	t.Helper()
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, files, diags, 100, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// FuzzParse checks that no source makes Parse panic, and that what it returns
// is a configuration or an error, with every diagnostic in a known file.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"ok", "bad"} {
		paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				f.Fatal(err)
			}
			for _, file := range archive.Files {
				f.Add(file.Data, strings.HasSuffix(file.Name, jsonSuffix))
			}
		}
	}
	f.Fuzz(func(t *testing.T, source []byte, inJSON bool) {
		name := "fuzz" + nativeSuffix
		if inJSON {
			name = "fuzz" + jsonSuffix
		}
		c, files, diags := Parse("/configuration", map[string][]byte{name: source})
		if (c == nil) != diags.HasErrors() {
			t.Fatalf("config %v with diagnostics %v", c, diags)
		}
		printed(t, files, diags)
		if c == nil {
			return
		}
		for _, d := range c.Domains {
			if d.Policy.Store == "" || d.Policy.Every <= 0 || len(d.Hosts) == 0 {
				t.Errorf("incomplete: %+v", d)
			}
			d.Claims("local", "web", "4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f", nil)
		}
	})
}
