package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// errNotYet ends the sentence about what the language has and this version
// lacks.
var errNotYet = errors.New("part of the language, but this version of vbk does not act on it yet")

// failure makes an error diagnostic about a place.
func failure(summary, detail string, subject hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &subject}
}

func notYet(what string, subject hcl.Range) *hcl.Diagnostic {
	return failure("Not supported yet", fmt.Sprintf("%s is %s.", what, errNotYet), subject)
}

func duplicate(what string, first, second hcl.Range) *hcl.Diagnostic {
	return failure("Duplicate block", fmt.Sprintf("%s is already declared at %s:%d.", what, first.Filename, first.Start.Line), second)
}

// decode reads a body into t, which holds what the body overrides; null resets
// to defaults.
func decode[T any](body hcl.Body, s spec[T], t *T, defaults T, in scope) hcl.Diagnostics {
	schema := fieldSchema(s.fields)
	for _, b := range s.blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.name, LabelNames: b.labels})
	}
	content, diags := body.Content(schema)
	diags = append(diags, decodeFields(content.Attributes, s.fields, t, defaults, in)...)
	for _, b := range s.blocks {
		for i, found := range content.Blocks.OfType(b.name) {
			switch {
			case b.fields == nil:
				diags = append(diags, notYet(fmt.Sprintf("The block %q", b.name), found.TypeRange))
			case i > 0:
				diags = append(diags, duplicate("A "+b.name+" block", content.Blocks.OfType(b.name)[0].DefRange, found.DefRange))
			default:
				if b.reset != nil {
					b.reset(t, &defaults)
				}
				inner, more := found.Body.Content(fieldSchema(b.fields))
				diags = append(diags, more...)
				diags = append(diags, decodeFields(inner.Attributes, b.fields, t, defaults, in)...)
			}
		}
	}
	return diags
}

func decodeFields[T any](attrs hcl.Attributes, fields []field[T], t *T, defaults T, in scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, f := range fields {
		attr, ok := attrs[f.name]
		if !ok {
			continue
		}
		if f.set == nil {
			diags = append(diags, notYet(fmt.Sprintf("%q", f.name), attr.NameRange))
			continue
		}
		v, more := in.value(attr.Expr)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		err := f.set(t, &defaults, v)
		switch {
		case errors.Is(err, errNotYet):
			diags = append(diags, failure("Not supported yet", sentence(err), attr.Expr.Range()))
		case err != nil:
			diags = append(diags, failure("Invalid value for "+f.name, sentence(err), attr.Expr.Range()))
		}
	}
	return diags
}

// sentence makes the detail of a diagnostic from an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func fieldSchema[T any](fields []field[T]) *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, f := range fields {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.name})
	}
	return schema
}
