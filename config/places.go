package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// encryption is an encryption block. What it says is checked; this version
// does not act on it.
type encryption struct {
	name           string
	recipients     []string
	recipientsFile string
	identityFile   string
}

func encryptionSpec() spec[encryption] {
	return spec[encryption]{fields: []field[encryption]{
		at("recipients", kind[[]string]{recipients, showList}, func(e *encryption) *[]string { return &e.recipients }),
		at("recipients_file", lines, func(e *encryption) *string { return &e.recipientsFile }),
		at("identity_file", lines, func(e *encryption) *string { return &e.identityFile }),
	}}
}

// encryptions evaluates encryption blocks and returns the references to them.
func (p *parser) encryptions(blocks hcl.Blocks, in scope) cty.Value {
	references := map[string]cty.Value{}
	for _, b := range blocks {
		e, l := encryption{name: b.Labels[1]}, newLedger("encryption.age."+b.Labels[1])
		diags := decode(reader{in: in, ledger: l}, b.Body, encryptionSpec(), &e, encryption{})
		if e.recipients == nil && e.recipientsFile == "" && !diags.HasErrors() && !l.unknown {
			diags = append(diags, failure("Missing required argument", fmt.Sprintf("encryption.age.%s needs recipients or recipients_file.", e.name), b.DefRange))
		}
		p.report(diags...)
		references[e.name] = e.reference()
	}
	return cty.ObjectVal(map[string]cty.Value{"age": cty.ObjectVal(references)})
}

// recipients reads public keys of age.
func recipients(v cty.Value) ([]string, error) {
	return list(v, func(v cty.Value) (string, error) {
		s, err := line(v)
		if err == nil && !strings.HasPrefix(s, "age1") && !strings.HasPrefix(s, "ssh-") {
			err = errors.New(`a recipient of age starts with "age1" or "ssh-"`) // what is there may be the secret key
		}
		return s, err
	})
}

// place is a store and what its block holds for versions that act on it.
type place struct {
	Store
	encryption string
	s3         s3Settings
}

type s3Settings struct {
	bucket, prefix, endpoint, region, pathStyle, caFile string
	envPrefix, file, profile                            string
	lockMode                                            string
	lockSlack                                           Duration
}

func defaultPlace() place { return place{s3: s3Settings{pathStyle: "auto"}} }

// placeSpec is for stores of all kinds.
func placeSpec() spec[place] {
	return spec[place]{
		fields: []field[place]{
			at("encryption", kind[string]{encryptionReference, showText}, func(p *place) *string { return &p.encryption }),
		},
		blocks: []block[place]{
			nested("limits", at("write", rates, func(p *place) *int64 { return &p.WriteLimit })),
		},
	}
}

func encryptionReference(v cty.Value) (string, error) {
	e, err := referred[encryption](v, encryptionIdentity, "an encryption", "encryption.age.offsite")
	if err != nil {
		return "", err
	}
	return e.name, nil
}

func localSpec() spec[place] {
	s := placeSpec()
	s.fields = append(s.fields,
		at("path", lines, func(p *place) *string { return &p.Path }),
		at("min_free", sizes, func(p *place) *int64 { return &p.MinFree }),
	)
	return s
}

func s3Spec() spec[place] {
	s := placeSpec()
	s.fields = append(s.fields,
		at("bucket", lines, func(p *place) *string { return &p.s3.bucket }),
		at("prefix", kind[string]{text, showText}, func(p *place) *string { return &p.s3.prefix }),
		at("endpoint", lines, func(p *place) *string { return &p.s3.endpoint }),
		at("region", lines, func(p *place) *string { return &p.s3.region }),
		at("path_style", kind[string]{pathStyle, showText}, func(p *place) *string { return &p.s3.pathStyle }),
		at("ca_file", lines, func(p *place) *string { return &p.s3.caFile }),
	)
	s.blocks = append(s.blocks,
		nested("credentials",
			secretLine("env_prefix", func(p *place) *string { return &p.s3.envPrefix }),
			secretLine("file", func(p *place) *string { return &p.s3.file }),
			secretLine("profile", func(p *place) *string { return &p.s3.profile }),
		),
		nested("object_lock",
			at("mode", wordOf("governance", "compliance"), func(p *place) *string { return &p.s3.lockMode }),
			at("slack", durations, func(p *place) *Duration { return &p.s3.lockSlack }),
		),
	)
	return s
}

// secretLine is an attribute that may be sensitive.
func secretLine[T any](name string, place func(*T) *string) field[T] {
	f := at(name, lines, place)
	f.secret = true
	return f
}

// pathStyle reads true, false or "auto".
func pathStyle(v cty.Value) (string, error) { return oneOf([]string{"auto", "true", "false"})(v) }

// stores evaluates stores of all kinds and returns the references to them.
func (p *parser) stores(blocks hcl.Blocks, in scope) cty.Value {
	references, taken := map[string]map[string]cty.Value{"local": {}, "s3": {}}, map[string]string{}
	for _, b := range blocks {
		s, l := defaultPlace(), newLedger("store."+b.Labels[0]+"."+b.Labels[1])
		s.Kind, s.Name, s.Range = b.Labels[0], b.Labels[1], b.DefRange
		read := localSpec()
		if s.Kind == "s3" {
			read = s3Spec()
		}
		diags := decode(reader{in: in, ledger: l}, b.Body, read, &s, defaultPlace())
		if !diags.HasErrors() && !l.unknown {
			diags = append(diags, s.complete()...)
		}
		if s.Kind == "local" {
			if s.Path = filepath.Clean(s.Path); !filepath.IsAbs(s.Path) {
				s.Path = filepath.Join(p.config.Dir, s.Path)
			}
			if other, same := taken[s.Path]; same && !diags.HasErrors() && !l.unknown {
				diags = append(diags, failure("Two stores in one place", fmt.Sprintf("%s has the same path as %s: %s.", s.Address(), other, s.Path), b.DefRange))
			}
			taken[s.Path] = s.Address()
		}
		p.report(append(diags, s.settle(l)...)...)
		p.config.Stores = append(p.config.Stores, s.Store)
		references[s.Kind][s.Name] = s.reference()
	}
	slices.SortFunc(p.config.Stores, func(a, b Store) int { return strings.Compare(a.Address(), b.Address()) })
	values := map[string]cty.Value{}
	for kind, stores := range references {
		values[kind] = cty.ObjectVal(stores)
	}
	return cty.ObjectVal(values)
}

// complete tells what the block needs and lacks.
func (s *place) complete() hcl.Diagnostics {
	switch {
	case s.Kind == "local" && s.Path == "":
		return hcl.Diagnostics{failure("Missing required argument", fmt.Sprintf("%s needs a path.", s.Address()), s.Range)}
	case s.Kind == "s3" && s.s3.bucket == "":
		return hcl.Diagnostics{failure("Missing required argument", fmt.Sprintf("%s needs a bucket.", s.Address()), s.Range)}
	}
	return nil
}

// settle notes what is asked of the store and this version does not act on.
func (s *place) settle(l *ledger) hcl.Diagnostics {
	var diags hcl.Diagnostics
	pend := func(at hcl.Range, what string) {
		s.Pending = append(s.Pending, pendingSentence(what))
		diags = append(diags, refusedLater(s.Pending[len(s.Pending)-1], at))
	}
	if s.Kind == "s3" {
		pend(s.Range, s.Address()+", a store in S3,")
	}
	if s.encryption != "" {
		pend(l.place(s.Range, "encryption"), "encryption of "+s.Address())
	}
	return diags
}
