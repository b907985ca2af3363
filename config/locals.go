package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// locals evaluates the attributes of all locals blocks, each after those that
// it refers to.
type locals struct {
	in     scope
	attrs  map[string]*hcl.Attribute
	values map[string]cty.Value
	open   []string // being evaluated, outermost first
	diags  hcl.Diagnostics
}

// locals evaluates locals blocks, which see variables and each other, and
// returns the object local.
func (p *parser) locals(blocks hcl.Blocks, in scope) cty.Value {
	l := locals{in: in, attrs: map[string]*hcl.Attribute{}, values: map[string]cty.Value{}}
	for _, b := range blocks {
		attrs, diags := b.Body.JustAttributes()
		p.report(diags...)
		for name, attr := range attrs {
			if first, repeated := l.attrs[name]; repeated {
				p.report(duplicate("local."+name, first.NameRange, attr.NameRange))
				continue
			}
			l.attrs[name] = attr
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.attrs)) {
		l.evaluate(name)
	}
	p.report(l.diags...)
	return cty.ObjectVal(l.values)
}

func (l *locals) evaluate(name string) {
	if _, done := l.values[name]; done {
		return
	}
	attr := l.attrs[name]
	l.open = append(l.open, name)
	value, sound := cty.DynamicVal, true
	for _, traversal := range attr.Expr.Variables() {
		sound = l.prepare(traversal) && sound
	}
	if sound {
		v, diags := l.in.with("local", cty.ObjectVal(l.values)).value(attr.Expr)
		l.diags = append(l.diags, diags...)
		value = v
	}
	l.open = l.open[:len(l.open)-1]
	l.values[name] = value
}

// prepare evaluates what an expression refers to, if that is a local value.
func (l *locals) prepare(traversal hcl.Traversal) bool {
	if traversal.RootName() != "local" {
		return true
	}
	name := ""
	if len(traversal) > 1 {
		name, _ = stepName(traversal[1])
	}
	names := slices.Sorted(maps.Keys(l.attrs))
	switch at := slices.Index(l.open, name); {
	case name == "":
		l.diags = append(l.diags, failure("Invalid reference", "A local value can refer to others by name only, such as local.a.", traversal.SourceRange()))
		return false
	case l.attrs[name] == nil:
		l.diags = append(l.diags, undeclared("local.", name, names, traversal.SourceRange()))
		return false
	case at >= 0:
		cycle := append(slices.Clone(l.open[at:]), name)
		l.diags = append(l.diags, failure("Circular reference", "These refer to each other: local."+strings.Join(cycle, ", local.")+".", traversal.SourceRange()))
		return false
	}
	l.evaluate(name)
	return true
}
