package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// spec says what a block of the language may hold, whose settings go into a T.
// It decodes the block (decode.go) and describes it (schema.go): there is no
// attribute without a sentence about it, and no sentence without an attribute.
type spec[T any] struct {
	fields []field[T]
	blocks []block[T]
}

// field is an attribute and its description. It is set by its value, or taken as
// an expression, or read before the block it is in; or it is kept for later.
type field[T any] struct {
	Argument
	other  string // the setting that this one takes the place of, "" if there is none
	set    func(t *T, v cty.Value) error
	reset  func(t, defaults *T)
	show   func(*T) string // the value as it is written in HCL
	take   func(t *T, e hcl.Expression) hcl.Diagnostics
	before bool
}

// block is a block inside a block. One that is kept for later has no read.
type block[T any] struct {
	Block
	fields   []field[T] // nil where it has labels, or goes into something else than a T
	read     func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics
	describe func(defaults T) ([]Argument, []Block)
}

func (s spec[T]) schema() *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, f := range s.fields {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.Name, Required: f.Required})
	}
	for _, b := range s.blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.Name, LabelNames: b.labelNames()})
	}
	return schema
}

// describe is what the spec says, with what holds where nothing is set.
func (s spec[T]) describe(defaults T) (arguments []Argument, blocks []Block) {
	for _, f := range s.fields {
		a := f.Argument
		if f.show != nil && a.Otherwise == "" && !a.Required {
			a.Default = f.show(&defaults)
		}
		arguments = append(arguments, a)
	}
	for _, b := range s.blocks {
		described := b.Block
		if b.describe != nil {
			described.Arguments, described.Blocks = b.describe(defaults)
		}
		blocks = append(blocks, described)
	}
	return arguments, blocks
}

// of is a block whose arguments and blocks are those of a spec.
func of[T any](b Block, s spec[T], defaults T) Block {
	b.Arguments, b.Blocks = s.describe(defaults)
	return b
}

// kind is how values of one kind are called, read and shown.
type kind[F any] struct {
	form      string // the name of a Form, or "list of" and one
	words     []Word // that are allowed besides, or of a string
	low, high int64  // of a number
	read      func(cty.Value) (F, error)
	show      func(F) string
}

// at is the attribute that sets one place in a T.
func at[T, F any](name string, k kind[F], place func(*T) *F, about string) field[T] {
	return field[T]{
		Argument: Argument{Name: name, Type: k.form, Words: k.words, Low: k.low, High: k.high, About: about},
		set: func(t *T, v cty.Value) error {
			value, err := k.read(v)
			if err == nil {
				*place(t) = value
			}
			return err
		},
		reset: func(t, defaults *T) { *place(t) = *place(defaults) },
		show:  func(t *T) string { return k.show(*place(t)) },
	}
}

// required makes an attribute one that the block must have.
func (f field[T]) required() field[T] {
	f.Required = true
	return f
}

// otherwise says what holds without the attribute, where no value does.
func (f field[T]) otherwise(words string) field[T] {
	f.Otherwise = words
	return f
}

// secret allows an attribute to be sensitive.
func (f field[T]) secret() field[T] {
	f.Sensitive = true
	return f
}

// refused is an attribute that is checked, and for which plan refuses what it
// concerns.
func (f field[T]) refused() field[T] {
	f.Status = Refused
	return f
}

// optional is a kind that is nil unless set.
func optional[F any](k kind[F]) kind[*F] {
	return kind[*F]{
		form: k.form, words: k.words, low: k.low, high: k.high,
		read: func(v cty.Value) (*F, error) {
			value, err := k.read(v)
			return &value, err
		},
		show: func(value *F) string {
			if value == nil {
				return "null"
			}
			return k.show(*value)
		},
	}
}

// expression is an attribute that is taken as it stands, to be evaluated later
// or never.
func expression[T any](name, form string, take func(t *T, e hcl.Expression) hcl.Diagnostics, about string) field[T] {
	return field[T]{Argument: Argument{Name: name, Type: form, About: about}, take: take}
}

// before is an attribute that says how the block itself is read; ahead reads it.
func before[T any](name, form, about string) field[T] {
	return field[T]{Argument: Argument{Name: name, Type: form, About: about}, before: true}
}

// ahead is the attribute of a field that is read before the others; nil if it is
// not there.
func ahead[T any](body hcl.Body, f field[T]) (*hcl.Attribute, hcl.Diagnostics) {
	content, _, diags := body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: f.Name}}})
	return content.Attributes[f.Name], diags
}

// later is an attribute that is kept for a later version.
func later[T any](name, about string) field[T] {
	return field[T]{Argument: Argument{Name: name, About: about, Status: Later}}
}

// nested is a block whose settings go into the same T.
func nested[T any](name, about string, fields ...field[T]) block[T] {
	s := spec[T]{fields: fields}
	return block[T]{Block: Block{Name: name, About: about}, fields: fields, describe: s.describe,
		read: func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics {
			return decode(reader{r.in, r.ledger, r.prefix + name + "."}, b.Body, s, t, defaults)
		}}
}

// replacing is a nested block that takes the place of all that it overrides.
func replacing[T any](inner block[T]) block[T] {
	read := inner.read
	inner.read = func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics {
		for _, f := range inner.fields {
			f.reset(t, &defaults)
		}
		r.ledger.forgetBlock(r.prefix + inner.Name)
		return read(r, b, t, defaults)
	}
	return inner
}

// laterBlock is a block that is kept for a later version.
func laterBlock[T any](name, about string) block[T] {
	return block[T]{Block: Block{Name: name, About: about, Status: Later}}
}
