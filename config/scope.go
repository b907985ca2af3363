package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// References are values of these types. A capsule can be passed around in any
// expression and be made by none.
var (
	hostType   = cty.Capsule("host", reflect.TypeFor[Host]())
	storeType  = cty.Capsule("store", reflect.TypeFor[Store]())
	policyType = cty.Capsule("policy", reflect.TypeFor[Policy]())
)

// scope holds what expressions of a phase can refer to: objects by name
// ("host", "store", "policy"), down to references.
type scope map[string]cty.Value

// value evaluates an expression. A reference to what is not there is told with
// the name that was meant.
func (s scope) value(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	for _, traversal := range expr.Variables() {
		if d := s.missing(traversal); d != nil {
			diags = append(diags, d)
		}
	}
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	// The function map is there, but empty: HCL then marks the diagnostics
	// of calls, and they can be told apart.
	v, more := expr.Value(&hcl.EvalContext{Variables: s, Functions: map[string]function.Function{}})
	for i, d := range more {
		if _, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			more[i] = notYet("Calling functions", *d.Subject)
		}
	}
	if !more.HasErrors() && !v.IsWhollyKnown() {
		more = append(more, failure("Unknown value", "The value of this expression cannot be known.", expr.Range()))
	}
	return v, more
}

// missing walks a traversal down the scope, as far as it names things.
func (s scope) missing(traversal hcl.Traversal) *hcl.Diagnostic {
	where, path := cty.ObjectVal(s), ""
	for _, step := range traversal {
		name, ok := stepName(step)
		if !ok || !where.Type().IsObjectType() {
			return nil
		}
		if path == "" && slices.Contains([]string{"var", "local", "each", "encryption"}, name) {
			return notYet("A reference to "+name, step.SourceRange())
		}
		if !where.Type().HasAttribute(name) {
			return undeclared(path, name, slices.Sorted(maps.Keys(where.Type().AttributeTypes())), traversal.SourceRange())
		}
		where, path = where.GetAttr(name), path+name+"."
	}
	return nil
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

// storeReference reads a store's address from a reference.
func storeReference(v cty.Value) (string, error) {
	if v.Type() != storeType {
		return "", errors.New(`a reference to a store is required, such as store.local.nas, without quotes (in JSON: "${store.local.nas}")`)
	}
	return v.EncapsulatedValue().(*Store).Address(), nil
}

// hostReferences reads the names of a list of hosts, sorted.
func hostReferences(v cty.Value) ([]string, error) {
	names, err := list(v, func(v cty.Value) (string, error) {
		if v.Type() != hostType {
			return "", errors.New(`references to hosts are required, such as [host.a, host.b], without quotes (in JSON: ["${host.a}"])`)
		}
		return v.EncapsulatedValue().(*Host).Name, nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// setPolicy lets a domain block start from the policy that it names.
func setPolicy(d, defaults *Domain, v cty.Value) error {
	switch {
	case v.IsNull():
		d.Policy = defaults.Policy
	case v.Type() != policyType:
		return errors.New(`a reference to a policy is required, such as policy.gold, without quotes (in JSON: "${policy.gold}")`)
	default:
		d.Policy = *v.EncapsulatedValue().(*Policy)
	}
	return nil
}
