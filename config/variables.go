package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// variable is a variable block.
type variable struct {
	name        string
	typ         cty.Type
	optional    *typeexpr.Defaults // of attributes of objects in it
	literal     bool               // text from outside is the value itself, not an expression
	standard    hcl.Expression     // nil: there is no default
	sensitive   bool
	validations []Assert
	broken      bool // the declaration has errors
	place       hcl.Range
}

// variables evaluates variable blocks with what gives them values, and returns
// the object var.
func (p *parser) variables(blocks hcl.Blocks, in scope) cty.Value {
	declared, values := map[string]variable{}, map[string]cty.Value{}
	for _, b := range blocks {
		v, diags := declareVariable(b, in)
		p.report(diags...)
		v.broken = diags.HasErrors()
		declared[v.name] = v
	}
	given := p.assignments(declared)
	for name, v := range declared {
		value := cty.UnknownVal(v.typ)
		if !v.broken {
			var diags hcl.Diagnostics
			value, diags = v.evaluate(given[name], p.inputs.Partial)
			p.report(diags...)
			p.keep(v, value)
		}
		if v.sensitive {
			value = value.Mark(secret)
		}
		values[name] = value
	}
	result := cty.ObjectVal(values)
	for _, v := range declared {
		p.report(v.validate(in.with("var", result))...)
	}
	return result
}

// keep notes a value for the record of a plan, and that of a secret apart.
func (p *parser) keep(v variable, value cty.Value) {
	if !value.IsWhollyKnown() {
		return
	}
	if v.sensitive {
		p.config.Secrets = append(p.config.Secrets, stringsIn(value)...)
		return
	}
	text, err := ctyjson.Marshal(value, value.Type())
	if err != nil {
		panic("config: the value of a variable is always encodable: " + err.Error())
	}
	if p.config.Variables == nil {
		p.config.Variables = map[string]string{}
	}
	p.config.Variables[v.name] = string(text)
}

// stringsIn are all the strings in a value, and its numbers as text.
func stringsIn(value cty.Value) []string {
	var all []string
	value, _ = value.UnmarkDeep()
	_ = cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) { // never fails
		if v.IsNull() || !v.Type().IsPrimitiveType() || v.Type() == cty.Bool {
			return true, nil
		}
		if text, err := convert.Convert(v, cty.String); err == nil {
			all = append(all, text.AsString()) // of a number, too: a PIN
		}
		return true, nil
	})
	return all
}

func declareVariable(b *hcl.Block, in scope) (variable, hcl.Diagnostics) {
	v := variable{name: b.Labels[0], typ: cty.DynamicPseudoType, literal: true, place: b.DefRange}
	return v, decode(reader{in: in, ledger: newLedger("var." + v.name)}, b.Body, variableSpec(), &v, variable{})
}

func variableSpec() spec[variable] {
	var description string
	return spec[variable]{
		fields: []field[variable]{
			expression("type", "type", func(v *variable, e hcl.Expression) (diags hcl.Diagnostics) {
				v.typ, v.optional, diags = typeexpr.TypeConstraintWithDefaults(e)
				v.literal = v.typ.IsPrimitiveType()
				return diags
			}, "What its values have to be, or can be converted to.").otherwise("any; text from `-var` and the environment is taken as it stands"),
			expression("default", "any", func(v *variable, e hcl.Expression) hcl.Diagnostics {
				v.standard = e
				return nil
			}, "The value where nothing else gives one: a constant.").otherwise("none: a value is needed"),
			at("description", texts, func(*variable) *string { return &description }, "What it is for.").otherwise("none"),
			at("sensitive", flags, func(v *variable) *bool { return &v.sensitive },
				"Its values are shown and recorded nowhere."),
		},
		blocks: []block[variable]{assertBlock("validation", "What has to be true of its values.",
			func(v *variable, a Assert) { v.validations = append(v.validations, a) })},
	}
}

// evaluate takes the last of the assignments, or else the default.
func (v variable) evaluate(all []assignment, partial bool) (cty.Value, hcl.Diagnostics) {
	switch {
	case len(all) > 0:
		return v.accept(all[len(all)-1])
	case v.standard != nil:
		return v.accept(assignment{expr: v.standard, from: "its default"})
	case partial:
		return cty.UnknownVal(v.typ), nil
	}
	return cty.UnknownVal(v.typ), hcl.Diagnostics{failure("No value for a variable", fmt.Sprintf(
		"var.%[1]s has no default. Give it a value by -var '%[1]s=VALUE', in a file (vbk.vbkvars, *.auto.vbkvars, or one that -var-file names), or by the environment variable VBK_VAR_%[1]s.",
		v.name), v.place)}
}

// accept converts an assigned value to the type of the variable. What it says
// about a secret does not show it.
func (v variable) accept(a assignment) (cty.Value, hcl.Diagnostics) {
	value, diags := v.read(a)
	if !diags.HasErrors() {
		var err error
		if v.optional != nil && !value.IsNull() {
			value = v.optional.Apply(value)
		}
		if value, err = convert.Convert(value, v.typ); err == nil {
			err = refuseHugeNumbers(value)
		}
		if err == nil {
			return value, nil
		}
		diags = hcl.Diagnostics{failure("Invalid value for variable", fmt.Sprintf("The value of var.%s from %s does not fit its type: %s.", v.name, a.from, err), v.place)}
		if a.expr != nil {
			r := a.expr.Range()
			diags[0].Subject = &r
		}
	}
	if v.sensitive {
		diags = hcl.Diagnostics{failure("Invalid value for variable", fmt.Sprintf("The value of var.%s from %s is not valid. The details are not shown, because the variable is sensitive.", v.name, a.from), v.place)}
	}
	return cty.UnknownVal(v.typ), diags
}

// refuseHugeNumbers keeps out what would be recorded in gigabytes of digits.
func refuseHugeNumbers(value cty.Value) error {
	return cty.Walk(value, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.Type() == cty.Number && v.IsKnown() && !v.IsNull() && huge(v.AsBigFloat()) {
			return false, errors.New("a number in it is too large")
		}
		return true, nil
	})
}

// read is the value as it is given. Values are constants: expressions in them
// see nothing.
func (v variable) read(a assignment) (cty.Value, hcl.Diagnostics) {
	if a.expr != nil {
		return a.expr.Value(nil)
	}
	if v.literal {
		return cty.StringVal(a.text), nil
	}
	expr, diags := hclsyntax.ParseExpression([]byte(a.text), a.from, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, hcl.Diagnostics{failure("Invalid value for variable",
			fmt.Sprintf("The value of var.%s from %s is not an expression of HCL: %s", v.name, a.from, diags[0].Detail), v.place)}
	}
	value, diags := expr.Value(nil)
	if diags.HasErrors() {
		diags = hcl.Diagnostics{failure("Invalid value for variable", fmt.Sprintf("The value of var.%s from %s: %s", v.name, a.from, diags[0].Detail), v.place)}
	}
	return value, diags
}

func (v variable) validate(in scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range v.validations {
		ok, known, more := a.holds(in)
		diags = append(diags, more...)
		if known && !ok && !more.HasErrors() {
			message, more := a.message(in)
			diags = append(append(diags, more...), failure("Invalid value for variable", message, a.Condition.Range()))
		}
	}
	return diags
}
