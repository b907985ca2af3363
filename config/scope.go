package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// scope holds what expressions of a phase can refer to: objects by name
// ("var", "host", "store"), down to references, and functions.
type scope struct {
	values    map[string]cty.Value
	functions map[string]function.Function
}

// with is the scope in which name stands for v besides.
func (s scope) with(name string, v cty.Value) scope {
	values := maps.Clone(s.values)
	values[name] = v
	return scope{values, s.functions}
}

// value evaluates an expression. A reference to what is not there is told with
// the name that was meant. After an error the value is unknown.
func (s scope) value(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	v, diags := expr.Value(&hcl.EvalContext{Variables: s.values, Functions: s.functions})
	if !diags.HasErrors() {
		return v, diags
	}
	if diags = explainCalls(diags); s.refersToSecret(expr) {
		diags = withoutDetails(diags)
	}
	for _, traversal := range expr.Variables() {
		diags = s.explain(traversal, diags)
	}
	return cty.DynamicVal, diags
}

// explain replaces what HCL says about a traversal that leads nowhere. What
// try and can have swallowed it leaves alone.
func (s scope) explain(traversal hcl.Traversal, diags hcl.Diagnostics) hcl.Diagnostics {
	better := s.missing(traversal)
	if better == nil {
		return diags
	}
	about := func(d *hcl.Diagnostic) bool { return d.Subject != nil && d.Subject.Overlaps(traversal.SourceRange()) }
	at := slices.IndexFunc(diags, about)
	if at < 0 {
		return diags
	}
	return slices.Insert(slices.DeleteFunc(diags, about), at, better)
}

// missing walks a traversal down the scope, as far as it names things.
func (s scope) missing(traversal hcl.Traversal) *hcl.Diagnostic {
	where, path := cty.ObjectVal(s.values), ""
	for _, step := range traversal {
		name, ok := stepName(step)
		names, named := namesIn(where)
		if !ok || !named {
			return nil
		}
		if !slices.Contains(names, name) {
			return undeclared(path, name, slices.DeleteFunc(names, func(n string) bool { return n == identity }), traversal.SourceRange())
		}
		if where.Type().IsObjectType() {
			where = where.GetAttr(name)
		} else {
			where = where.Index(cty.StringVal(name))
		}
		path += name + "."
	}
	return nil
}

// namesIn are the sorted names in an object or a map, and whether it is one
// that can be looked into.
func namesIn(v cty.Value) ([]string, bool) {
	switch t := v.Type(); {
	case v.IsMarked() || !v.IsKnown() || v.IsNull():
		return nil, false
	case t.IsObjectType():
		return slices.Sorted(maps.Keys(t.AttributeTypes())), true
	case t.IsMapType():
		return slices.Sorted(maps.Keys(v.AsValueMap())), true
	}
	return nil, false
}

// stepName is the name that a step of a traversal looks up: host.a or host["a"].
func stepName(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseRoot:
		return step.Name, true
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// undeclared says that path+name is not there, and what might have been meant.
func undeclared(path, name string, names []string, subject hcl.Range) *hcl.Diagnostic {
	return failure("Undeclared reference", fmt.Sprintf("Nothing is called %s%s here.%s", path, name, meant(path, name, names)), subject)
}

// meant is the sentence about the name nearest to the given one, or about all
// names where none is near.
func meant(path, given string, names []string) string {
	best, nearest := "", 3
	for _, name := range names {
		if d := levenshtein.Distance(given, name, nil); d < nearest && d < len(name) {
			best, nearest = name, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" Did you mean %s%s?", path, best)
	case len(names) > 0:
		return fmt.Sprintf(" There are: %s%s.", path, strings.Join(names, ", "+path))
	}
	return ""
}

// secret marks values that must not be shown nor saved.
const secret = secretMark("secret")

type secretMark string

// refersToSecret says whether an expression uses something secret, so that an
// error of a function about it might quote it.
func (s scope) refersToSecret(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		v, diags := t.TraverseAbs(&hcl.EvalContext{Variables: s.values})
		if diags.HasErrors() { // as for var.token.name: what it starts from counts
			root, declared := s.values[t.RootName()]
			return declared && root.ContainsMarked()
		}
		return v.ContainsMarked()
	})
}

// withoutDetails strips from diagnostics what may quote a value.
func withoutDetails(diags hcl.Diagnostics) hcl.Diagnostics {
	var stripped hcl.Diagnostics
	for _, d := range diags {
		stripped = append(stripped, &hcl.Diagnostic{Severity: d.Severity, Summary: d.Summary, Subject: d.Subject, Context: d.Context,
			Detail: "The details are not shown, because the expression uses a sensitive value."})
	}
	return stripped
}
