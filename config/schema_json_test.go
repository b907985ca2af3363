package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/santhosh-tekuri/jsonschema/v6"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// inJSON is a configuration in HCL as one in JSON.
func inJSON(t *testing.T, source string) []byte {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(source), "example", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	text, err := json.MarshalIndent(bodyInJSON(t, source, file.Body.(*hclsyntax.Body)), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func bodyInJSON(t *testing.T, source string, body *hclsyntax.Body) map[string]any {
	all := map[string]any{}
	for name, attr := range body.Attributes {
		r := attr.Expr.Range()
		if all[name] = expressionInJSON(t, source, attr.Expr); slices.Contains([]string{"extends", "from", "type"}, name) {
			all[name] = source[r.Start.Byte:r.End.Byte]
		}
	}
	for _, b := range body.Blocks {
		inner, into, path := any(bodyInJSON(t, source, b.Body)), all, append([]string{b.Type}, b.Labels...)
		for _, name := range path[:len(path)-1] {
			next, ok := into[name].(map[string]any)
			if !ok {
				next = map[string]any{}
				into[name] = next
			}
			into = next
		}
		last := path[len(path)-1]
		switch other := into[last].(type) {
		case nil:
			into[last] = inner
		case []any:
			into[last] = append(other, inner)
		default:
			into[last] = []any{other, inner}
		}
	}
	return all
}

func expressionInJSON(t *testing.T, source string, e hclsyntax.Expression) any {
	text := string(e.Range().SliceBytes([]byte(source)))
	if v, diags := e.Value(nil); !diags.HasErrors() {
		literal, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			t.Fatal(err)
		}
		return json.RawMessage(literal)
	}
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		return strings.Trim(text, `"`)
	case *hclsyntax.TupleConsExpr:
		var all []any
		for _, element := range e.Exprs {
			all = append(all, expressionInJSON(t, source, element))
		}
		return all
	}
	return "${" + text + "}"
}

// compiledSchema is the JSON Schema of the language as it is published.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.MarshalIndent(Describe().JSONSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("configuration.json", value); err != nil {
		t.Fatal(err)
	}
	return compiler.MustCompile("configuration.json")
}

func fits(t *testing.T, schema *jsonschema.Schema, text []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return schema.Validate(value)
}

// TestJSONSchemaFitsExamples: every example, written in JSON, is the same
// configuration, and what the schema describes.
func TestJSONSchemaFitsExamples(t *testing.T) {
	schema := compiledSchema(t)
	in := Inputs{Getenv: func(name string) string {
		return map[string]string{"VBK_VAR_ping_url": "https://hc.example.net"}[name]
	}}
	described(func(path string, b Block) {
		if b.Example == "" {
			return
		}
		source := completed(b.Example)
		text := inJSON(t, source)
		want, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(source)}, in)
		if diags.HasErrors() {
			t.Fatalf("%s:\n%s", path, printed(t, files, diags))
		}
		got, files, diags := Parse("/", map[string][]byte{"a.vbk.json": text}, in)
		if diags.HasErrors() {
			t.Fatalf("%s:\n%s\n%s", path, printed(t, files, diags), text)
		}
		if diff := cmp.Diff(string(shown(t, want)), string(shown(t, got))); diff != "" {
			t.Errorf("%s: HCL (-) and JSON (+):\n%s", path, diff)
		}
		if err := fits(t, schema, text); err != nil {
			t.Errorf("%s: %v\n%s", path, err, text)
		}
	})
}

// TestJSONSchemaRefuses what Parse refuses, as far as a schema can know.
func TestJSONSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	for _, c := range []struct {
		source string
		right  bool
	}{
		{`{"domain": {"web": {"match": ["a"], "store": "${store.local.nas}", "chain": {"full_every": "never"}, "verify": {"every": null}, "audit": "${1 + 1}"}}}`, true},
		{`{"domain": {"web": {"match": ["a"], "stroe": "${store.local.nas}"}}}`, false},
		{`{"domain": {"web": {"match": ["a"], "store": "store.local.nas"}}}`, false},
		{`{"domain": {"web": {"match": ["a"], "store": "${store.local.nas}", "every": "1 day"}}}`, false},
		{`{"domain": {"web": {"match": ["a"], "store": "${store.local.nas}", "mode": "differential"}}}`, false},
		{`{"domain": {"web": {"match": "a", "store": "${store.local.nas}"}}}`, false},
		{`{"domain": {"web": {"match": ["a"], "store": "${store.local.nas}", "chain": {"max_increments": 0}}}}`, false},
		{`{"domain": {"web": {"match": ["a"], "store": "${store.local.nas}", "window": {}}}}`, false},
		{`{"store": {"local": {"other": {"min_free": "1GiB"}}}}`, false},
		{`{"store": {"webdav": {"other": {"path": "/srv"}}}}`, false},
		{`{"hosts": {"hv1": {}}}`, false},
		{`{"removed": [{"from": "domain.a"}, {"from": "domain.b"}]}`, true},
		{`{"check": {"all": {"assert": {"condition": "${true}"}}}}`, false},
	} {
		_, _, diags := Parse("/", map[string][]byte{"a.vbk.json": []byte(c.source), "b.vbk.hcl": []byte(around["store.local.nas"])}, Inputs{})
		if err := fits(t, schema, []byte(c.source)); (err == nil) != c.right || diags.HasErrors() == c.right {
			t.Errorf("%s: %v; %v", c.source, err, diags)
		}
	}
}
