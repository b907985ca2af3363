package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// errNotYet ends the sentence about what the language keeps for later.
var errNotYet = errors.New("part of the language, but this version of vbk does not act on it yet")

// failure makes an error diagnostic about a place.
func failure(summary, detail string, subject hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &subject}
}

func warning(summary, detail string, subject hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: &subject}
}

func notYet(what string, subject hcl.Range) *hcl.Diagnostic {
	return failure("Not supported yet", fmt.Sprintf("%s is %s.", what, errNotYet), subject)
}

func duplicate(what string, first, second hcl.Range) *hcl.Diagnostic {
	return failure("Duplicate block", fmt.Sprintf("%s is already declared at %s:%d.", what, first.Filename, first.Start.Line), second)
}

// sentence makes the detail of a diagnostic from an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// reader reads the body of a block, and the blocks in it.
type reader struct {
	in     scope
	ledger *ledger
	prefix string // of the paths of settings: "" or "chain."
}

// decode reads a body into t, which holds what the body overrides; null resets
// to defaults.
func decode[T any](r reader, body hcl.Body, s spec[T], t *T, defaults T) hcl.Diagnostics {
	content, diags := body.Content(s.schema())
	diags = append(s.explain(diags), decodeFields(r, content.Attributes, s.fields, t, defaults)...)
	for _, b := range s.blocks {
		first := map[string]hcl.Range{}
		for _, found := range content.Blocks.OfType(b.Name) {
			what := strings.Join(append([]string{b.Name}, found.Labels...), " ")
			known, repeated := first[what]
			switch {
			case b.Status == Later:
				diags = append(diags, notYet(fmt.Sprintf("The block %q", b.Name), found.TypeRange))
			case repeated && !b.Several:
				diags = append(diags, duplicate("A "+what+" block", known, found.DefRange))
			default:
				first[what] = found.DefRange
				diags = append(diags, b.read(r, found, t, defaults)...)
			}
		}
	}
	return diags
}

// decodeFields sets what the attributes say: first those that are null and
// reset, then the others, so that a setting beside a null of its alternative
// holds.
func decodeFields[T any](r reader, attrs hcl.Attributes, fields []field[T], t *T, defaults T) hcl.Diagnostics {
	var diags hcl.Diagnostics
	values := map[string]cty.Value{}
	for _, f := range fields {
		attr, ok := attrs[f.Name]
		switch {
		case !ok || f.before:
			continue
		case f.Status == Later:
			diags = append(diags, notYet(fmt.Sprintf("%q", f.Name), attr.NameRange))
			continue
		case f.take != nil:
			diags = append(diags, f.take(t, attr.Expr)...)
			continue
		}
		v, more := f.value(r.in, attr.Expr)
		diags = append(diags, more...)
		switch {
		case more.HasErrors():
		case v.IsNull():
			f.reset(t, &defaults)
			r.ledger.forget(r.prefix + f.Name)
			r.ledger.forget(r.prefix + f.other)
		default:
			values[f.Name] = v
		}
	}
	for _, f := range fields {
		v, ok := values[f.Name]
		if !ok {
			continue
		}
		r.ledger.enter(r.prefix+f.Name, attrs[f.Name].Range)
		r.ledger.supersede(r.prefix + f.other)
		if err := f.set(t, v); err != nil {
			diags = append(diags, r.refused(f.Name, err, attrs[f.Name].Expr.Range())...)
		}
	}
	return diags
}

// value is that of the attribute, unmarked, where it may be there.
func (f field[T]) value(in scope, e hcl.Expression) (cty.Value, hcl.Diagnostics) {
	v, diags := in.value(e)
	if v.ContainsMarked() && !f.Sensitive {
		diags = append(diags, failure("Sensitive value", fmt.Sprintf("%s must not be sensitive: only credentials and the env of a hook may be.", f.Name), e.Range()))
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() && f.Required && !diags.HasErrors() {
		diags = append(diags, failure("Missing required argument", fmt.Sprintf("The argument %q is required; null is no value.", f.Name), e.Range()))
	}
	return v, diags
}

// refused tells why a value was not taken. One that is unknown is no mistake
// of its own.
func (r reader) refused(name string, err error, at hcl.Range) hcl.Diagnostics {
	switch {
	case errors.Is(err, errUnknown):
		r.ledger.unknown = true
		return nil
	case errors.Is(err, errNotYet):
		return hcl.Diagnostics{failure("Not supported yet", sentence(err), at)}
	}
	return hcl.Diagnostics{failure("Invalid value for "+name, sentence(err), at)}
}

// ledger says where the settings of a block come from.
type ledger struct {
	block   string // address of the block that is read
	from    map[string]Origin
	unknown bool // a setting hangs on a variable without a value
}

// Origin is the place of a setting. The zero Origin is the default's.
type Origin struct {
	Block string // address: policy.gold, domain.web
	Range hcl.Range
}

func newLedger(block string) *ledger { return &ledger{block: block, from: map[string]Origin{}} }

func (l *ledger) enter(path string, at hcl.Range) { l.from[path] = Origin{l.block, at} }

func (l *ledger) forget(path string) { delete(l.from, path) }

// supersede drops a setting of another block.
func (l *ledger) supersede(path string) {
	if l.from[path].Block != l.block {
		delete(l.from, path)
	}
}

// forgetBlock drops all settings of a block.
func (l *ledger) forgetBlock(name string) {
	for path := range l.from {
		if strings.HasPrefix(path, name+".") {
			delete(l.from, path)
		}
	}
}

// place of a setting; of the first of these that is not a default, or else.
func (l *ledger) place(otherwise hcl.Range, paths ...string) hcl.Range {
	for _, path := range paths {
		if o, ok := l.from[path]; ok {
			return o.Range
		}
	}
	return otherwise
}
