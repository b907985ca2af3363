package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// runJQ is jq FILTER WANT [FILE]: the filter, over what the last command printed or
// what a file holds, gives this JSON.
func runJQ(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: jq FILTER WANT [FILE]")
	}
	file := "stdout"
	if len(args) == 3 {
		file = args[2]
	}
	program, err := exec.LookPath("jq")
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			ts.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		ts.Logf("not tried: %v", err)
		return
	}
	var complaint bytes.Buffer
	jq := exec.Command(program, "--compact-output", "--sort-keys", "--slurp", "if length == 1 then .[0] else . end | "+args[0])
	jq.Stdin, jq.Stderr = strings.NewReader(ts.ReadFile(file)), &complaint
	got, err := jq.Output()
	if err != nil {
		ts.Fatalf("jq %s: %v\n%s", args[0], err, &complaint)
	}
	if strings.TrimSpace(string(got)) != args[1] {
		ts.Fatalf("jq %s:\n%swant\n%s", args[0], got, args[1])
	}
}

// matchSchema is schema NAME [FILE]: what the last command printed, or a file
// holds, are JSON values of docs/schema/NAME.json, without a property that it
// does not have; and still of that schema as each release had it.
func matchSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: schema NAME [FILE]")
	}
	compiled, err := schemasOf(args[0])
	ts.Check(err)
	file := "stdout"
	if len(args) == 2 {
		file = args[1]
	}
	values := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	values.UseNumber()
	for n := 0; ; n++ {
		var value any
		if err := values.Decode(&value); err != nil {
			if n == 0 || values.More() {
				ts.Fatalf("value %d of %s: %v", n, file, err)
			}
			return
		}
		for path, schema := range compiled {
			if err := schema.Validate(value); err != nil {
				text, _ := json.MarshalIndent(value, "", "  ") // it was JSON
				ts.Fatalf("value %d of %s, by %s: %v\n%s", n, file, path, err, text)
			}
		}
	}
}

// schemaDir is where the schemas are, seen from this package.
const schemaDir = "../../docs/schema"

// schemasOf are the published schema, which allows no other properties here: readers
// ignore those, but what is printed is to be described; and those that were published
// with each release, which programs were written for.
func schemasOf(name string) (map[string]*jsonschema.Schema, error) {
	published, err := filepath.Glob(filepath.Join(releases, "*", "schema", name+".json"))
	if err != nil {
		return nil, err
	}
	all := map[string]*jsonschema.Schema{}
	for _, path := range append(published, filepath.Join(schemaDir, name+".json")) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		schema, err := jsonschema.UnmarshalJSON(file)
		if err != nil {
			return nil, err
		}
		if filepath.Dir(path) == filepath.Clean(schemaDir) {
			forbidOthers(schema)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource(name+".json", schema); err != nil {
			return nil, err
		}
		if all[path], err = compiler.Compile(name + ".json"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// forbidOthers closes every object that says which type it has and lists its
// properties; alternatives (oneOf) only refer to them.
func forbidOthers(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		_, listed := s["properties"]
		_, open := s["additionalProperties"]
		if _, typed := s["type"].(string); typed && listed && !open {
			s["additionalProperties"] = false
		}
		for _, inner := range s {
			forbidOthers(inner)
		}
	case []any:
		for _, inner := range s {
			forbidOthers(inner)
		}
	}
}
