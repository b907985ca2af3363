package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// readAssert reads an assert or a validation block.
func readAssert(b *hcl.Block) (Assert, hcl.Diagnostics) {
	content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}}})
	if diags.HasErrors() {
		none := hcl.StaticExpr(cty.DynamicVal, b.DefRange)
		return Assert{none, none}, diags
	}
	return Assert{content.Attributes["condition"].Expr, content.Attributes["error_message"].Expr}, diags
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

// checks reads check blocks, and evaluates them once as far as they go without
// results.
func (p *parser) checks(blocks hcl.Blocks, in scope) {
	for _, b := range blocks {
		content, diags := b.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "assert"}}})
		c := Check{Name: b.Labels[0], Range: b.DefRange, in: in}
		for _, found := range content.Blocks {
			a, more := readAssert(found)
			diags = append(diags, more...)
			c.Asserts = append(c.Asserts, a)
		}
		if len(content.Blocks) == 0 && !diags.HasErrors() {
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
		content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "from", Required: true}}})
		p.report(diags...)
		attr := content.Attributes["from"]
		if attr == nil {
			continue
		}
		traversal, diags := hcl.AbsTraversalForExpr(attr.Expr)
		name, named := "", false
		if !diags.HasErrors() && len(traversal) == 2 && traversal.RootName() == "domain" {
			name, named = stepName(traversal[1])
		}
		if !named {
			p.report(failure("Invalid address", "The address of a domain block is required, such as domain.web, without quotes (in JSON: \"domain.web\").", attr.Expr.Range()))
			continue
		}
		p.removal(Removed{From: "domain." + name, Range: attr.Expr.Range()}, domains)
	}
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
