package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// spec says what a block of the language may hold, whose settings go into a T.
type spec[T any] struct {
	fields []field[T]
	blocks []block[T]
}

// field is an attribute. Without set it is kept for a later version.
type field[T any] struct {
	name   string
	secret bool   // may be sensitive
	other  string // the setting that this one takes the place of, "" if there is none
	set    func(t *T, v cty.Value) error
	reset  func(t, defaults *T)
	show   func(*T) string // the value as it is written in HCL
}

// block is a block inside a block. Without read it is kept for a later version.
type block[T any] struct {
	name   string
	labels []string
	fields []field[T] // "" where it has labels
	read   func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics
}

func (s spec[T]) schema() *hcl.BodySchema {
	schema := &hcl.BodySchema{}
	for _, f := range s.fields {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: f.name})
	}
	for _, b := range s.blocks {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.name, LabelNames: b.labels})
	}
	return schema
}

// kind is how values of one kind are read and shown.
type kind[F any] struct {
	read func(cty.Value) (F, error)
	show func(F) string
}

// at is the attribute that sets one place in a T.
func at[T, F any](name string, k kind[F], place func(*T) *F) field[T] {
	return field[T]{
		name: name,
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

// optional is a kind that is nil unless set.
func optional[F any](k kind[F]) kind[*F] {
	return kind[*F]{
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

// later is an attribute that is kept for a later version.
func later[T any](name string) field[T] { return field[T]{name: name} }

// nested is a block whose settings go into the same T.
func nested[T any](name string, fields ...field[T]) block[T] {
	return block[T]{name: name, fields: fields, read: func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics {
		return decode(reader{r.in, r.ledger, r.prefix + name + "."}, b.Body, spec[T]{fields: fields}, t, defaults)
	}}
}

// replacing is a nested block that takes the place of all that it overrides.
func replacing[T any](inner block[T]) block[T] {
	read := inner.read
	inner.read = func(r reader, b *hcl.Block, t *T, defaults T) hcl.Diagnostics {
		for _, f := range inner.fields {
			f.reset(t, &defaults)
		}
		r.ledger.forgetBlock(r.prefix + inner.name)
		return read(r, b, t, defaults)
	}
	return inner
}

// laterBlock is a block that is kept for a later version.
func laterBlock[T any](name string) block[T] { return block[T]{name: name} }

// How values are shown.

func showList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = showText(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// showSome shows a list that restricts nothing where it is empty.
func showSome(list []string) string {
	if list == nil {
		return "null"
	}
	return showList(list)
}

func showMap(m map[string]string) string {
	if m == nil {
		return "null"
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, showText(key)+" = "+showText(m[key]))
	}
	return strings.TrimSpace("{ "+strings.Join(pairs, ", ")) + " }"
}

// showText quotes for HCL, where a template starts with ${ or %{.
func showText(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}

func showPercent(n int) string { return fmt.Sprintf(`"%d%%"`, n) }

// showDuration shows zero as word.
func showDuration(word string) func(Duration) string {
	return func(d Duration) string {
		if d == 0 {
			return showText(word)
		}
		return showText(d.String())
	}
}

// showSize takes the largest unit of 1024 that leaves a whole number.
func showSize(n int64) string {
	for _, u := range sizeUnits() {
		if n > 0 && u.worth%1024 == 0 && n%u.worth == 0 {
			return fmt.Sprintf(`"%d%s"`, n/u.worth, u.name)
		}
	}
	return fmt.Sprintf(`"%dB"`, n)
}

func showRate(n int64) string {
	if n == 0 {
		return "null"
	}
	return strings.TrimSuffix(showSize(n), `"`) + `/s"`
}

// The kinds that several blocks have.
var (
	lines     = kind[string]{line, showText}
	counts    = kind[int]{count, strconv.Itoa}
	durations = kind[Duration]{duration, showDuration("never")}
	orNever   = kind[Duration]{durationOr("never"), showDuration("never")}
	sizes     = kind[int64]{size, showSize}
	rates     = kind[int64]{rate, showRate}
	flags     = kind[bool]{boolean, strconv.FormatBool}
)

func wordOf(words ...string) kind[string] { return kind[string]{oneOf(words), showText} }
