package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// assertBlock is an assert or a validation block, of which there may be several.
func assertBlock[T any](name, about string, add func(*T, Assert)) block[T] {
	s := spec[Assert]{fields: []field[Assert]{
		expression("condition", "bool", func(a *Assert, e hcl.Expression) hcl.Diagnostics {
			a.Condition = e
			return nil
		}, "An expression that is `true` or `false`.").required(),
		expression("error_message", "string", func(a *Assert, e hcl.Expression) hcl.Diagnostics {
			a.ErrorMessage = e
			return nil
		}, "What is said where the condition is false.").required(),
	}}
	return block[T]{
		Block:    Block{Name: name, About: about, Several: true},
		describe: func(T) ([]Argument, []Block) { return s.describe(Assert{}) },
		read: func(r reader, b *hcl.Block, t *T, _ T) hcl.Diagnostics {
			none := hcl.StaticExpr(cty.DynamicVal, b.DefRange)
			a := Assert{none, none}
			diags := decode(r, b.Body, s, &a, a)
			add(t, a)
			return diags
		},
	}
}

// holds evaluates the condition. It is not known where it hangs on what is not.
func (a Assert) holds(in scope) (ok, known bool, diags hcl.Diagnostics) {
	v, diags := in.value(a.Condition)
	if diags.HasErrors() {
		return false, false, diags
	}
	v, _ = v.UnmarkDeep()
	v, err := convert.Convert(v, cty.Bool)
	switch {
	case err != nil:
		return false, false, append(diags, failure("Invalid condition", "A condition must be true or false: "+err.Error()+".", a.Condition.Range()))
	case !v.IsKnown():
		return false, false, diags
	case v.IsNull():
		return false, false, append(diags, failure("Invalid condition", "A condition must be true or false; this is null.", a.Condition.Range()))
	}
	return v.True(), true, diags
}

// message evaluates the error message. One that uses a secret is not shown.
func (a Assert) message(in scope) (string, hcl.Diagnostics) {
	v, diags := in.value(a.ErrorMessage)
	if diags.HasErrors() {
		return "", diags
	}
	if v.ContainsMarked() {
		return "The message is not shown, because it uses a sensitive value.", diags
	}
	s, err := text(v)
	if err != nil {
		return "", append(diags, failure("Invalid error message", sentence(err), a.ErrorMessage.Range()))
	}
	return s, diags
}

func checkSpec() spec[Check] {
	return spec[Check]{blocks: []block[Check]{assertBlock("assert", "What has to be true. One is required.",
		func(c *Check, a Assert) { c.Asserts = append(c.Asserts, a) })}}
}

// checks reads check blocks, and evaluates them once as far as they go without
// results.
func (p *parser) checks(blocks hcl.Blocks, in scope) {
	for _, b := range blocks {
		c := Check{Name: b.Labels[0], Range: b.DefRange, in: in}
		diags := decode(reader{in: in, ledger: newLedger("check." + c.Name)}, b.Body, checkSpec(), &c, c)
		if len(c.Asserts) == 0 && !diags.HasErrors() {
			diags = append(diags, failure("Missing assert", fmt.Sprintf("check.%s asserts nothing.", c.Name), b.DefRange))
		}
		blank := in.with("vbk", Results{}.value())
		for _, a := range c.Asserts {
			_, _, more := a.holds(blank)
			diags = append(diags, more...)
			if _, more := blank.value(a.ErrorMessage); more.HasErrors() {
				diags = append(diags, more...)
			}
		}
		p.report(diags...)
		p.config.Checks = append(p.config.Checks, c)
	}
}

// removals reads removed blocks, which name blocks that are not there.
func (p *parser) removals(blocks, domains hcl.Blocks) {
	for _, b := range blocks {
		var r Removed
		diags := decode(reader{ledger: newLedger("removed")}, b.Body, removedSpec(), &r, r)
		p.report(diags...)
		if !diags.HasErrors() {
			p.removal(r, domains)
		}
	}
}

func removedSpec() spec[Removed] {
	return spec[Removed]{fields: []field[Removed]{expression("from", "address", func(r *Removed, e hcl.Expression) hcl.Diagnostics {
		traversal, diags := hcl.AbsTraversalForExpr(e)
		name, named := "", false
		if !diags.HasErrors() && len(traversal) == 2 && traversal.RootName() == "domain" {
			name, named = stepName(traversal[1])
		}
		if !named {
			return hcl.Diagnostics{failure("Invalid address", "The address of a domain block is required, such as domain.web, without quotes (in JSON: \"domain.web\").", e.Range())}
		}
		*r = Removed{From: "domain." + name, Range: e.Range()}
		return nil
	}, "The address of the domain block that was deleted, such as `domain.web`.").required()}}
}

func (p *parser) removal(r Removed, domains hcl.Blocks) {
	for _, d := range domains {
		if "domain."+d.Labels[0] == r.From {
			p.report(failure("Removed and declared", fmt.Sprintf("%s is declared at %s:%d. A removed block asks for the deletion of its chains: take one of the two out.",
				r.From, d.DefRange.Filename, d.DefRange.Start.Line), r.Range))
			return
		}
	}
	for _, other := range p.config.Removed {
		if other.From == r.From {
			p.report(duplicate("A removed block with "+r.From, other.Range, r.Range))
			return
		}
	}
	p.config.Removed = append(p.config.Removed, r)
}
