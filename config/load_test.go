package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
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
// "inputs", which is what it is evaluated with, and the last, which is what got
// must return for them.
func cases(t *testing.T, folder, expected string, got func(t *testing.T, sources map[string][]byte, in Inputs) []byte) {
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
			sources, in := unpack(t, archive)
			want := sources[expected]
			delete(sources, expected)
			have := got(t, sources, in)
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

// unpack reads an archive. Each line of its file "inputs" is "-var NAME=VALUE",
// "-var-file FILE", "VBK_VAR_NAME=VALUE", "version X" or "partial".
func unpack(t *testing.T, archive *txtar.Archive) (sources map[string][]byte, in Inputs) {
	t.Helper()
	sources, environment := map[string][]byte{}, map[string]string{}
	for _, f := range archive.Files {
		sources[f.Name] = f.Data
	}
	in.Getenv = func(name string) string { return environment[name] }
	for line := range strings.Lines(string(sources["inputs"])) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch name, value, set := strings.Cut(strings.TrimSpace(line), "="); {
		case word == "-var":
			in.Vars = append(in.Vars, VarArg{Assignment: rest})
		case word == "-var-file":
			in.Vars = append(in.Vars, VarArg{File: rest, source: sources[rest]})
			delete(sources, rest)
		case word == "version":
			in.Version = rest
		case word == "partial":
			in.Partial = true
		case set:
			environment[name] = value
		default:
			t.Fatalf("inputs: %q", line)
		}
	}
	delete(sources, "inputs")
	return sources, in
}

// shown is a configuration as the cases expect it.
func shown(t *testing.T, c *Config) []byte {
	t.Helper()
	var checks []string
	for _, check := range c.Checks {
		checks = append(checks, check.Name)
	}
	out, err := json.MarshalIndent(struct {
		Dir, Name, TimeZone string
		Variables           map[string]string `json:",omitempty"`
		Hosts               []Host
		Stores              []Store
		Domains             []Domain
		Removed             []Removed `json:",omitempty"`
		Checks              []string  `json:",omitempty"`
	}{c.Dir, c.Name, c.TimeZone.String(), c.Variables, c.Hosts, c.Stores, c.Domains, c.Removed, checks}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func TestGoodConfigurations(t *testing.T) {
	cases(t, "ok", "want.json", func(t *testing.T, sources map[string][]byte, in Inputs) []byte {
		c, files, diags := Parse("/configuration", sources, in)
		if len(diags) > 0 {
			t.Fatal(printed(t, files, diags))
		}
		return shown(t, c)
	})
}

func TestBadConfigurations(t *testing.T) {
	cases(t, "bad", "diagnostics", func(t *testing.T, sources map[string][]byte, in Inputs) []byte {
		c, files, diags := Parse("/configuration", sources, in)
		if !diags.HasErrors() || c != nil {
			t.Fatal("accepted")
		}
		for _, d := range diags {
			if d.Subject == nil && len(in.Vars) == 0 {
				t.Errorf("no place: %v", d)
			}
		}
		text := printed(t, files, diags)
		if strings.Contains(text, "hunter2") {
			t.Errorf("a diagnostic shows a secret:\n%s", text)
		}
		return []byte(text)
	})
}

// TestWarnings runs configurations that are valid and of which this version
// does not do everything.
func TestWarnings(t *testing.T) {
	cases(t, "warned", "want", func(t *testing.T, sources map[string][]byte, in Inputs) []byte {
		c, files, diags := Parse("/configuration", sources, in)
		if diags.HasErrors() || len(diags) == 0 {
			t.Fatal(printed(t, files, diags))
		}
		text := printed(t, files, diags)
		for _, h := range c.Hosts {
			text += refusals("host."+h.Name, h.Pending)
		}
		for _, s := range c.Stores {
			text += refusals(s.Address(), s.Pending)
		}
		for _, d := range c.Domains {
			text += refusals(d.Address(), d.Policy.Pending)
		}
		if strings.Contains(text, "hunter2") {
			t.Error("a warning shows a secret")
		}
		return []byte(text)
	})
}

// refusals shows what a host, a store or a domain block is refused for.
func refusals(what string, pending []string) string {
	text := ""
	for _, s := range pending {
		text += what + ": " + s + "\n"
	}
	return text
}

// TestDiagnosticsOrder checks that the order of diagnostics, which HCL in part
// takes from a map, is always the same.
func TestDiagnosticsOrder(t *testing.T) {
	for _, name := range []string{"later", "unknown", "locals", "variables"} {
		archive, err := txtar.ParseFile(filepath.Join("testdata", "bad", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		sources := map[string][]byte{"main.vbk.hcl": archive.Files[0].Data}
		_, files, first := Parse("/", sources, Inputs{})
		for range 10 {
			_, _, again := Parse("/", sources, Inputs{})
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
	c, files, diags := Parse("/configuration", map[string][]byte{"doc.vbk.hcl": []byte(example.String())}, Inputs{})
	if diags.HasErrors() {
		t.Fatal(printed(t, files, diags))
	}
	if len(c.Hosts) != 2 || len(c.Stores) != 1 || len(c.Domains) != 2 {
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

	c, _, diags := Load(dir, Inputs{})
	if c != nil || len(diags) != 1 || !strings.Contains(diags[0].Detail, dir) || !strings.Contains(diags[0].Detail, "vbk init") {
		t.Errorf("no files: %v, %v", c, diags)
	}

	write("a.vbk.hcl", `store "local" "nas" { path = "backup" }`)
	write("b.vbk.json", `{"domain": {"web": {"match": ["web"], "store": "${store.local.nas}"}}}`)
	t.Chdir(dir)
	for _, from := range []string{dir, "."} {
		c, files, diags := Load(from, Inputs{})
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
	if c, _, diags := Load(dir, Inputs{}); c != nil || !strings.Contains(diags.Error(), "c.vbk.hcl") {
		t.Errorf("a file that cannot be read: %v, %v", c, diags)
	}
	if c, _, diags := Load(filepath.Join(dir, "missing"), Inputs{}); c != nil || !strings.Contains(diags.Error(), "missing") {
		t.Errorf("no directory: %v, %v", c, diags)
	}
}

// BenchmarkLoad loads a configuration of 1000 domain blocks, which use what
// large ones do.
func BenchmarkLoad(b *testing.B) {
	var source strings.Builder
	source.WriteString(`
store "local" "nas" { path = "/srv" }
variable "prefix" { default = "vm" }
locals { tiers = ["gold", "silver"] }
policy "base" {
  store    = store.local.nas
  schedule = "30 1 * * 1-5"
  retention { keep_daily = 7 }
}
host "hv" {
  for_each = toset([for n in range(20) : "hv${n}"])
  labels   = { site = "ams" }
}
`)
	for n := range 1000 {
		fmt.Fprintf(&source, "domain \"d%d\" {\n  match = [\"${var.prefix}-%d-*\"]\n  tags = { tier = local.tiers[0] }\n  hosts = [for h in host.hv : h if h.labels.site == \"ams\"]\n  policy = policy.base\n  chain {\n    max_increments = 5\n  }\n}\n", n, n)
	}
	sources := map[string][]byte{"main.vbk.hcl": []byte(source.String())}
	b.ReportAllocs()
	for b.Loop() {
		if c, _, diags := Parse("/configuration", sources, Inputs{}); diags.HasErrors() || len(c.Domains) != 1000 {
			b.Fatal(diags)
		}
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
		for _, partial := range []bool{false, true} {
			c, files, diags := Parse("/configuration", map[string][]byte{name: source}, Inputs{Partial: partial, Version: "0.1.0"})
			if (c == nil) != diags.HasErrors() {
				t.Fatalf("config %v with diagnostics %v", c, diags)
			}
			printed(t, files, diags)
			if c == nil {
				continue
			}
			c.Effective()
			c.EvalChecks(Results{Complete: true, Unclaimed: []string{"local/web"}})
			for _, d := range c.Domains {
				if !partial && (d.Policy.Store == "" || d.Policy.interval() <= 0 || d.Policy.RPO <= 0 || len(d.Hosts) == 0) {
					t.Errorf("incomplete: %+v", d)
				}
				d.Claims("local", "web", "4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f", map[string]string{"tier": "gold"})
			}
		}
	})
}
