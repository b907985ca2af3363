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
		at("recipients", kind[[]string]{form: "list of string", read: recipients, show: showList}, func(e *encryption) *[]string { return &e.recipients },
			"Public keys, of age (`age1...`) or SSH (`ssh-...`).").otherwise("required, or `recipients_file`"),
		at("recipients_file", files, func(e *encryption) *string { return &e.recipientsFile },
			"A file with one public key a line.").otherwise("required, or `recipients`"),
		at("identity_file", files, func(e *encryption) *string { return &e.identityFile },
			"The file with the secret key, which only a restore needs.").otherwise("none"),
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
			at("encryption", kind[string]{form: "reference", read: encryptionReference, show: showText}, func(p *place) *string { return &p.encryption },
				"The keys that points are encrypted with.").otherwise("points are not encrypted").refused(),
		},
		blocks: []block[place]{
			nested("limits", "What backups may take of the store.",
				at("write", rates, func(p *place) *int64 { return &p.WriteLimit },
					"How much one `vbk apply` writes, of all domains together.").otherwise("no limit"),
			),
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
	s.fields = append([]field[place]{
		at("path", files, func(p *place) *string { return &p.Path },
			"The directory that restore points go to. Its file system needs hard links and locks, as ext4, XFS, Btrfs, ZFS and NFS have them; `vbk init` tries that.").required(),
		at("min_free", sizes, func(p *place) *int64 { return &p.MinFree },
			"How much backups leave free on its file system."),
	}, s.fields...)
	return s
}

func s3Spec() spec[place] {
	s := placeSpec()
	s.fields = append([]field[place]{
		at("bucket", names, func(p *place) *string { return &p.s3.bucket }, "The name of the bucket.").required(),
		at("prefix", texts, func(p *place) *string { return &p.s3.prefix }, "What the names of all objects begin with.").otherwise("nothing"),
		at("endpoint", names, func(p *place) *string { return &p.s3.endpoint }, "The server, where it is not Amazon's.").otherwise("that of the region"),
		at("region", names, func(p *place) *string { return &p.s3.region }, "Where the bucket is.").otherwise("none"),
		at("path_style", wordOf(
			word("auto", "as the server asks for"), word("true", "in the path"), word("false", "in the host name"),
		), func(p *place) *string { return &p.s3.pathStyle }, "Where URLs name the bucket."),
		at("ca_file", files, func(p *place) *string { return &p.s3.caFile }, "Certificates that the server's is checked with.").otherwise("those of the system"),
	}, s.fields...)
	s.blocks = append(s.blocks,
		nested("credentials", "Where the keys are. They are never in the configuration.",
			at("env_prefix", names, func(p *place) *string { return &p.s3.envPrefix },
				"How environment variables begin: `\"OFFSITE_\"` stands for `OFFSITE_ACCESS_KEY_ID` and `OFFSITE_SECRET_ACCESS_KEY`.").secret().otherwise("none"),
			at("file", files, func(p *place) *string { return &p.s3.file }, "A credentials file as Amazon's programs have it.").secret().otherwise("none"),
			at("profile", names, func(p *place) *string { return &p.s3.profile }, "A section of that file.").secret().otherwise("none"),
		),
		nested("object_lock", "Objects that nobody can delete while a rule keeps them.",
			at("mode", wordOf(word("governance", "whoever has the right may"), word("compliance", "nobody may")),
				func(p *place) *string { return &p.s3.lockMode }, "Who may delete them all the same.").otherwise("none: no lock"),
			at("slack", durations, func(p *place) *Duration { return &p.s3.lockSlack }, "How much longer than the rules they are locked.").otherwise("none"),
		),
	)
	return s
}

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
