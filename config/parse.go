package config

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Parse reads the sources of one configuration, by file name; names that end
// in .vbk.json are JSON, all others HCL. Relative store paths start at dir,
// which is absolute. The Config is nil if there are errors; diagnostics are in
// the order of file and line.
func Parse(dir string, sources map[string][]byte) (*Config, Files, hcl.Diagnostics) {
	p := parser{files: Files{}, config: &Config{Dir: dir, TimeZone: time.UTC}}
	var bodies []*hcl.File
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		file, diags := parseFile(name, sources[name])
		p.report(diags...)
		if file == nil {
			file = &hcl.File{Bytes: sources[name]}
		}
		p.files[name] = file
		bodies = append(bodies, file)
	}
	if !p.diags.HasErrors() {
		p.evaluate(hcl.MergeFiles(bodies))
	}
	slices.SortStableFunc(p.diags, byPlace)
	if p.diags.HasErrors() {
		return nil, p.files, p.diags
	}
	return p.config, p.files, p.diags
}

// parser takes one configuration through its phases.
type parser struct {
	files  Files
	config *Config
	diags  hcl.Diagnostics
}

func (p *parser) report(diags ...*hcl.Diagnostic) { p.diags = append(p.diags, diags...) }

// evaluate goes through the phases: each sees what the earlier ones declared.
func (p *parser) evaluate(body hcl.Body) {
	content, diags := body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "vbk"},
		{Type: "host", LabelNames: []string{"name"}},
		{Type: "store", LabelNames: []string{"kind", "name"}},
		{Type: "policy", LabelNames: []string{"name"}},
		{Type: "domain", LabelNames: []string{"name"}},
		{Type: "variable", LabelNames: []string{"name"}},
		{Type: "locals"},
		{Type: "encryption", LabelNames: []string{"kind", "name"}},
		{Type: "removed"},
		{Type: "check", LabelNames: []string{"name"}},
	}})
	p.report(diags...)
	blocks := p.declared(content.Blocks)
	for _, b := range blocks["vbk"] {
		p.report(decode(b.Body, vbkSpec(), p.config, *p.config, nil)...)
	}
	hosts := p.hosts(blocks["host"])
	stores := p.stores(blocks["store"])
	in := scope{"host": hosts, "store": cty.ObjectVal(map[string]cty.Value{"local": stores})}
	before := len(p.diags)
	in = scope{"host": hosts, "store": in["store"], "policy": p.policies(blocks["policy"], in)}
	p.domains(blocks["domain"], in, len(p.diags) == before)
}

// declared sorts the blocks by type and drops, with a diagnostic, those that
// are not supported, have a bad name or the name of another.
func (p *parser) declared(all hcl.Blocks) map[string]hcl.Blocks {
	blocks, first := map[string]hcl.Blocks{}, map[string]hcl.Range{}
	for _, b := range all {
		address := strings.Join(append([]string{b.Type}, b.Labels...), ".")
		known, repeated := first[address]
		switch {
		case slices.Contains([]string{"variable", "locals", "encryption", "removed", "check"}, b.Type):
			p.report(notYet(fmt.Sprintf("The block %q", b.Type), b.TypeRange))
		case b.Type == "store" && b.Labels[0] == "s3":
			p.report(notYet(`The store kind "s3"`, b.LabelRanges[0]))
		case b.Type == "store" && b.Labels[0] != "local":
			p.report(failure("Unknown kind of store", fmt.Sprintf("There is no kind %q.%s", b.Labels[0], meant("", b.Labels[0], []string{"local", "s3"})), b.LabelRanges[0]))
		case repeated:
			p.report(duplicate(address, known, b.DefRange))
		case len(b.Labels) > 0 && !hclsyntax.ValidIdentifier(b.Labels[len(b.Labels)-1]):
			p.report(failure("Invalid name", "A name starts with a letter and holds letters, digits, - and _ only.", b.LabelRanges[len(b.Labels)-1]))
		default:
			first[address] = b.DefRange
			blocks[b.Type] = append(blocks[b.Type], b)
		}
	}
	for _, list := range blocks {
		slices.SortStableFunc(list, func(a, b *hcl.Block) int { return slices.Compare(a.Labels, b.Labels) })
	}
	return blocks
}

// hosts evaluates host blocks and returns the references to them.
func (p *parser) hosts(blocks hcl.Blocks) cty.Value {
	defaults := Host{URI: "qemu:///system", MaxParallel: 2, ScratchDir: "/var/tmp"}
	for _, b := range blocks {
		h := defaults
		h.Name, h.Range = b.Labels[0], b.DefRange
		p.report(decode(b.Body, hostSpec(), &h, defaults, nil)...)
		p.config.Hosts = append(p.config.Hosts, h)
	}
	if len(blocks) == 0 {
		defaults.Name = "local"
		p.config.Hosts = []Host{defaults}
	}
	references := map[string]cty.Value{}
	for i, h := range p.config.Hosts {
		references[h.Name] = cty.CapsuleVal(hostType, &p.config.Hosts[i])
	}
	return cty.ObjectVal(references)
}

// stores evaluates the local stores and returns the references to them.
func (p *parser) stores(blocks hcl.Blocks) cty.Value {
	references, paths := map[string]cty.Value{}, map[string]string{}
	for _, b := range blocks {
		s := Store{Kind: b.Labels[0], Name: b.Labels[1], Range: b.DefRange}
		diags := decode(b.Body, localStoreSpec(), &s, Store{}, nil)
		if s.Path == "" && !diags.HasErrors() {
			diags = append(diags, failure("Missing required argument", fmt.Sprintf("%s needs a path.", s.Address()), b.DefRange))
		}
		if s.Path = filepath.Clean(s.Path); !filepath.IsAbs(s.Path) {
			s.Path = filepath.Join(p.config.Dir, s.Path)
		}
		if other, taken := paths[s.Path]; taken && !diags.HasErrors() {
			diags = append(diags, failure("Two stores in one place", fmt.Sprintf("%s has the same path as %s: %s.", s.Address(), other, s.Path), b.DefRange))
		}
		paths[s.Path] = s.Address()
		p.report(diags...)
		p.config.Stores = append(p.config.Stores, s)
		references[s.Name] = cty.CapsuleVal(storeType, &s)
	}
	return cty.ObjectVal(references)
}

// policies evaluates policy blocks over the defaults and returns the
// references to them.
func (p *parser) policies(blocks hcl.Blocks, in scope) cty.Value {
	s := policySpec()
	s.fields = append(s.fields, field[Domain]{"extends", nil})
	references := map[string]cty.Value{}
	for _, b := range blocks {
		d := Domain{Policy: defaultPolicy()}
		p.report(decode(b.Body, s, &d, d, in)...)
		references[b.Labels[0]] = cty.CapsuleVal(policyType, &d.Policy)
	}
	return cty.ObjectVal(references)
}

// byPlace orders diagnostics by file and line; HCL tells some of them in the
// order of a map.
func byPlace(a, b *hcl.Diagnostic) int {
	at, bt := place(a), place(b)
	return cmp.Or(cmp.Compare(at.Filename, bt.Filename), cmp.Compare(at.Start.Byte, bt.Start.Byte), cmp.Compare(a.Detail, b.Detail))
}

func place(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}
