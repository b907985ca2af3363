package config

import (
	"encoding/json"
	"strings"
)

// JSONSchema is the language as a JSON Schema for *.vbk.json files, for editors
// that complete and check by one. What a schema cannot know, which references
// there are say, it lets pass: vbk validate is the judge.
func (l Language) JSONSchema() map[string]any {
	s := jsonSchema{patterns: map[string]string{}, policy: l.Policy, defs: map[string]any{
		"comment":    map[string]any{"description": "A comment."},
		"expression": map[string]any{"type": "string", "pattern": `[$%]\{`, "description": "Text with an expression in it: ${...}"},
	}}
	for _, f := range l.Forms {
		s.patterns[f.Name] = f.Pattern
	}
	for _, a := range l.Policy.Arguments {
		s.defs["policy."+a.Name] = s.argument(a)
	}
	for _, b := range l.Policy.Blocks {
		if b.Status != Later {
			s.defs["policy."+b.Name] = s.labelled(b)
		}
	}
	properties := map[string]any{"//": def("comment")}
	for _, b := range l.Blocks {
		described := s.labelled(b)
		if b.Kind == "" {
			properties[b.Name] = described
			continue
		}
		kinds, ok := properties[b.Name].(map[string]any)
		if !ok {
			kinds = object(map[string]any{})
			properties[b.Name] = kinds
		}
		kinds["properties"].(map[string]any)[b.Kind] = described
	}
	schema := object(properties)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "A configuration of vbk in JSON (*.vbk.json)"
	schema["$defs"] = s.defs
	return schema
}

type jsonSchema struct {
	patterns map[string]string // by form
	policy   Block
	defs     map[string]any
}

func def(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }

func object(properties map[string]any) map[string]any {
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// either is one of the alternatives.
func either(alternatives ...any) map[string]any { return map[string]any{"anyOf": alternatives} }

// labelled is a block below its labels.
func (s jsonSchema) labelled(b Block) map[string]any {
	described := s.body(b)
	if b.Several {
		s.defs[b.Name] = described
		described = either(def(b.Name), map[string]any{"type": "array", "items": def(b.Name)})
	}
	for range b.Labels {
		described = map[string]any{"type": "object", "additionalProperties": described}
	}
	described["description"] = plain(b.About)
	return described
}

func (s jsonSchema) body(b Block) map[string]any {
	if b.Open {
		return map[string]any{"type": "object"}
	}
	properties, required := map[string]any{"//": def("comment")}, []string{}
	if b.Policy {
		s.addPolicy(properties)
	}
	for _, a := range b.Arguments {
		if a.Status != Later {
			properties[a.Name] = s.argument(a)
		}
		if a.Required {
			required = append(required, a.Name)
		}
	}
	for _, inner := range b.Blocks {
		if inner.Status != Later {
			properties[inner.Name] = s.labelled(inner)
		}
	}
	described := object(properties)
	if len(required) > 0 {
		described["required"] = required
	}
	return described
}

// addPolicy adds what policy and domain blocks have in common.
func (s jsonSchema) addPolicy(properties map[string]any) {
	for _, a := range s.policy.Arguments {
		properties[a.Name] = def("policy." + a.Name)
	}
	for _, b := range s.policy.Blocks {
		if b.Status != Later {
			properties[b.Name] = def("policy." + b.Name)
		}
	}
}

func (s jsonSchema) argument(a Argument) map[string]any {
	described := s.value(a.Type, a)
	if none := map[string]any{"type": "null"}; len(described) > 0 && !a.Required {
		if alternatives, ok := described["anyOf"].([]any); ok {
			described = either(append(alternatives, none)...)
		} else {
			described = either(described, none)
		}
	}
	described["description"] = plain(a.About)
	if a.Default != "" && a.Default != "null" {
		described["default"] = json.RawMessage(a.Default) // what is shown of them is JSON, too
	}
	return described
}

// value is what a value of a type looks like.
func (s jsonSchema) value(form string, a Argument) map[string]any {
	if element, ok := strings.CutPrefix(form, "list of "); ok {
		return either(map[string]any{"type": "array", "items": s.value(element, a)}, def("expression"))
	}
	if element, ok := strings.CutPrefix(form, "map of "); ok {
		return either(map[string]any{"type": "object", "additionalProperties": s.value(element, a)}, def("expression"))
	}
	text := map[string]any{"type": "string"}
	if pattern := s.patterns[form]; pattern != "" {
		text["pattern"] = pattern
	}
	switch {
	case form == "any":
		return map[string]any{}
	case form == "bool":
		return either(map[string]any{"type": "boolean"}, def("expression"))
	case form == "number" && a.Low|a.High != 0:
		return either(map[string]any{"type": "integer", "minimum": a.Low, "maximum": a.High}, def("expression"))
	case form == "reference":
		return def("expression")
	case len(a.Words) == 0 && text["pattern"] == nil:
		return text
	case len(a.Words) == 0:
		return either(text, def("expression"))
	}
	var words []string
	for _, w := range a.Words {
		if w.Status != Later {
			words = append(words, w.Text)
		}
	}
	if form == "string" {
		return either(map[string]any{"enum": words}, def("expression"))
	}
	return either(map[string]any{"enum": words}, text, def("expression"))
}

// plain is text without the marks of names.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }
