package config

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// described calls visit for every block of the language, those of the policy
// under "policy", with the path of its name.
func described(visit func(path string, b Block)) {
	var walk func(prefix string, b Block)
	walk = func(prefix string, b Block) {
		path := prefix + b.path()
		visit(path, b)
		for _, inner := range b.Blocks {
			walk(path+".", inner)
		}
	}
	l := Describe()
	for _, b := range l.Blocks {
		if b.Name == "policy" {
			b.Arguments, b.Blocks = slices.Concat(l.Policy.Arguments, b.Arguments), l.Policy.Blocks
			b.Example += "\n" + l.Policy.Example
		}
		walk("", b)
	}
}

var sentences = regexp.MustCompile("^[A-Z0-9`].*\\.$")

// TestSchemaIsComplete: each block, argument and word has a sentence; an argument
// is required, or says what holds without it; each type is one of the forms.
func TestSchemaIsComplete(t *testing.T) {
	known := map[string]bool{}
	for _, f := range Describe().Forms {
		known[f.Name] = true
	}
	described(func(path string, b Block) {
		if !sentences.MatchString(b.About) {
			t.Errorf("%s: %q", path, b.About)
		}
		for _, note := range b.Notes {
			if !sentences.MatchString(note) {
				t.Errorf("%s: %q", path, note)
			}
		}
		for _, a := range b.Arguments {
			what := path + "." + a.Name
			if !sentences.MatchString(a.About) {
				t.Errorf("%s: %q", what, a.About)
			}
			if a.Status == Later {
				continue
			}
			for _, of := range []string{"list of ", "map of "} {
				a.Type = strings.TrimPrefix(a.Type, of)
			}
			if !known[a.Type] {
				t.Errorf("%s is of type %q, which is none of the forms", what, a.Type)
			}
			if said := a.Required || a.Otherwise != "" || !slices.Contains([]string{"", "null", `""`, "[]"}, a.Default); !said {
				t.Errorf("%s does not say what holds without it (default %s)", what, a.Default)
			}
			for _, w := range a.Words {
				if w.Text == "" || w.About == "" {
					t.Errorf("%s: word %+v", what, w)
				}
			}
		}
	})
}

// TestForms: what a form says is accepted, and what not.
func TestForms(t *testing.T) {
	in := scope{functions: functions("."), values: map[string]cty.Value{
		"var":   cty.ObjectVal(map[string]cty.Value{"site": cty.StringVal("ams")}),
		"store": cty.ObjectVal(map[string]cty.Value{"local": cty.ObjectVal(map[string]cty.Value{"nas": (&Store{Kind: "local", Name: "nas"}).reference()})}),
	}}
	for _, f := range Describe().Forms {
		accepts := func(source string) error {
			e, diags := hclsyntax.ParseExpression([]byte(source), f.Name, hcl.InitialPos)
			switch {
			case diags.HasErrors():
				return diags
			case f.Name == "type":
				if _, _, diags = typeexpr.TypeConstraintWithDefaults(e); diags.HasErrors() {
					return diags
				}
				return nil
			case f.Name == "address":
				if _, diags = hcl.AbsTraversalForExpr(e); diags.HasErrors() {
					return diags
				}
				return nil
			case f.Name == "reference": // the examples of the blocks have those that are right
				if strings.HasPrefix(source, `"`) {
					_, err := storeReference(cty.StringVal(source))
					return err
				}
				return nil
			}
			v, diags := in.value(e)
			if diags.HasErrors() {
				return diags
			}
			return f.read(v)
		}
		if len(f.Examples) == 0 {
			t.Errorf("%s has no example", f.Name)
		}
		for _, source := range f.Examples {
			if err := accepts(source); err != nil {
				t.Errorf("%s: %s: %v", f.Name, source, err)
			}
		}
		for _, source := range f.Mistakes {
			if accepts(source) == nil {
				t.Errorf("%s: %s is accepted", f.Name, source)
			}
		}
	}
}

// around is what the examples refer to and leave out.
var around = map[string]string{
	"store.local.nas":        `store "local" "nas" { path = "/srv/backup" }`,
	"store.s3.offsite":       `store "s3" "offsite" { bucket = "backup" }`,
	"encryption.age.offsite": `encryption "age" "offsite" { recipients_file = "/etc/vbk/recipients.txt" }`,
	"policy.gold":            `policy "gold" { store = store.local.nas }`,
	"var.ping_url":           `variable "ping_url" { default = "https://hc.example.net" }`,
}

// completed is an example with what it refers to and a domain for each policy in it.
func completed(source string) string {
	file, _ := hclsyntax.ParseConfig([]byte(source), "example", hcl.InitialPos)
	there, claimed := map[string]bool{}, strings.Contains(source, "\ndomain ") || strings.HasPrefix(source, "domain ")
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		address := strings.Join(append([]string{b.Type}, b.Labels...), ".")
		there[strings.Replace(address, "variable.", "var.", 1)] = true
		if b.Type == "policy" && !claimed {
			source += fmt.Sprintf("\ndomain \"of_%s\" {\n match = [\"%[1]s\"]\n policy = policy.%[1]s\n store = store.local.nas\n}\n", b.Labels[0])
		}
	}
	for address, block := range around {
		if !there[address] {
			source += "\n" + block
		}
	}
	return source
}

// TestSchemaExamples loads the example of each block. There is a warning where
// the schema says that plan refuses the block, and only there; it is laid out as
// vbk fmt does it; and its checks can be evaluated.
func TestSchemaExamples(t *testing.T) {
	described(func(path string, b Block) {
		if b.Example == "" {
			return
		}
		c, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(completed(b.Example))}, Inputs{Version: "1.0.0", Getenv: func(name string) string {
			return map[string]string{"VBK_VAR_ping_url": "https://hc.example.net/ping/4f1c"}[name]
		}})
		if diags.HasErrors() {
			t.Errorf("%s:\n%s", path, printed(t, files, diags))
			return
		}
		lines := strings.Count(b.Example, "\n")
		warned := slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return d.Subject.Start.Line <= lines })
		if warned != (b.Status == Refused) {
			t.Errorf("%s has the status %d, and there are the warnings\n%s", path, b.Status, printed(t, files, diags))
		}
		if formatted := string(Format([]byte(b.Example))); formatted != b.Example {
			t.Errorf("%s is not formatted", path)
		}
		past, fresh := Duration(30*3600e9), Duration(3600e9)
		for _, r := range c.EvalChecks(Results{Complete: true, Instances: []InstanceResult{{Name: "a"}, {Name: "b", Age: &past, RPO: fresh}, {Name: "c", Age: &fresh, RPO: past}}}) {
			if r.Status == "error" || r.Name == "age" && r.Message != "Too old: a, b." {
				t.Errorf("%s: %+v", path, r)
			}
		}
	})
}

// TestSchemaExamplesHaveEverything: there is no argument and no block that
// the example of its block does not show, but for what plan would refuse.
func TestSchemaExamplesHaveEverything(t *testing.T) {
	shown := map[string]bool{}
	var walk func(prefix string, body *hclsyntax.Body)
	walk = func(prefix string, body *hclsyntax.Body) {
		for name := range body.Attributes {
			shown[prefix+name] = true
		}
		for _, b := range body.Blocks {
			path := prefix + b.Type
			if b.Type == "store" || b.Type == "encryption" {
				path += "." + b.Labels[0]
			}
			shown[path] = true
			walk(path+".", b.Body)
		}
	}
	described(func(_ string, b Block) {
		file, diags := hclsyntax.ParseConfig([]byte(b.Example), "example", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		walk("", file.Body.(*hclsyntax.Body))
	})
	elsewhere := []string{"host.nbd.address", "host.nbd.port_range", "host.nbd.tls_dir", "store.local.encryption"} // testdata/warned/pending.txtar
	described(func(path string, b Block) {
		if b.Status != Later && !shown[path] {
			t.Errorf("no example shows the block %s", path)
		}
		for _, a := range b.Arguments {
			name := path + "." + a.Name
			if path == "policy.copy.retention" {
				name = "policy.retention." + a.Name
			}
			if a.Status != Later && !shown[name] && !slices.Contains(elsewhere, name) {
				t.Errorf("no example shows %s", name)
			}
		}
	})
}

// within is source in the block of a path.
func within(path, source string) string {
	blocks := strings.Split(path, ".")
	for i := len(blocks) - 1; i >= 0; i-- {
		label := ""
		if i == 0 {
			label = `"x"`
		}
		source = fmt.Sprintf("%s %s {\n%s\n}", blocks[i], label, source)
	}
	return source
}

// TestStatusIsTrue: what the schema keeps for later is an error, and the words that
// it calls refused are warned of.
func TestStatusIsTrue(t *testing.T) {
	seen := map[Status]int{}
	check := func(path, source string, status Status) {
		if status == ActedOn {
			return
		}
		seen[status]++
		want := map[Status]string{Later: "Not supported yet", Refused: "Not acted on yet"}[status]
		_, _, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(within(path, source))}, Inputs{})
		if !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return d.Summary == want }) {
			t.Errorf("%s: %v, want %q", within(path, source), diags, want)
		}
	}
	described(func(path string, b Block) {
		for _, a := range b.Arguments {
			if a.Status == Later {
				check(path, a.Name+" = 1", Later)
			}
			for _, w := range a.Words {
				check(path, fmt.Sprintf("%s = %q", a.Name, w.Text), w.Status)
			}
		}
		for _, inner := range b.Blocks {
			if inner.Status == Later {
				check(path, inner.Name+" {}", Later)
			}
		}
	})
	if seen[Later] < 6 || seen[Refused] != 3 {
		t.Errorf("%v: for_each, where, window, drill, differential; three transports", seen)
	}
}

// TestValuesAreTyped: what a check sees is what the reference says.
func TestValuesAreTyped(t *testing.T) {
	age := Duration(1)
	r := Results{Complete: true, Instances: []InstanceResult{{Age: &age}}, Stores: []StoreResult{{}}}.value()
	for name, typ := range map[string]cty.Type{"instances": instanceType, "stores": storeType} {
		if got := r.GetAttr(name).Type().ElementType(); !got.Equals(typ) {
			t.Errorf("%s: %#v", name, got)
		}
	}
	for _, c := range []struct {
		v    cty.Value
		want []attribute
	}{
		{(&Host{}).reference(), hostAttributes}, {(&Store{}).reference(), storeAttributes},
		{(&draft{}).reference(), namedAttributes}, {(&encryption{}).reference(), namedAttributes},
	} {
		types := maps.Clone(c.v.Type().AttributeTypes())
		delete(types, identity)
		if !cty.Object(types).Equals(cty.Object(objectOf(c.want))) {
			t.Errorf("%#v, want %v", types, c.want)
		}
	}
}

// TestFunctionExamples evaluates the example of each function.
func TestFunctionExamples(t *testing.T) {
	for _, f := range Describe().Functions {
		if !sentences.MatchString(f.About) || !strings.Contains(f.Example, f.Name+"(") {
			t.Errorf("%s: %q, %s", f.Name, f.About, f.Example)
		}
		got, diags := evaluated(t, "testdata/functions", f.Example)
		want, more := evaluated(t, ".", f.Result)
		if diags.HasErrors() || more.HasErrors() || got != want {
			t.Errorf("%s = %s, want %s; %v %v", f.Example, got, want, diags, more)
		}
	}
}

// TestPageExamples loads the examples of the page that teaches the language.
func TestPageExamples(t *testing.T) {
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(found) < 2 {
		t.Fatal("no examples")
	}
	for _, e := range found {
		if _, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(completed(e[1]))}, Inputs{}); diags.HasErrors() {
			t.Error(printed(t, files, diags))
		}
		if diff := cmp.Diff(string(Format([]byte(e[1]))), e[1]); diff != "" {
			t.Errorf("not formatted:\n%s", diff)
		}
	}
}
