package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Parse reads the sources of one configuration, by file name; names that end
// in .vbk.json are JSON, in .vbkvars values of variables, all others HCL.
// Relative store paths start at dir, which is absolute. The Config is nil if
// there are errors; diagnostics are in the order of file and line.
func Parse(dir string, sources map[string][]byte, inputs Inputs) (*Config, Files, hcl.Diagnostics) {
	p := parser{inputs: inputs, files: Files{}, told: map[string]bool{}, config: &Config{Dir: dir, TimeZone: time.UTC}}
	var bodies []*hcl.File
	for _, name := range slices.SortedFunc(maps.Keys(sources), byPrecedence) {
		if strings.HasSuffix(name, varsSuffix) {
			p.varFiles = append(p.varFiles, varFile{name, sources[name]})
			continue
		}
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
	inputs   Inputs
	files    Files
	varFiles []varFile // the winner last
	config   *Config
	diags    hcl.Diagnostics
	told     map[string]bool // what once has reported
}

func (p *parser) report(diags ...*hcl.Diagnostic) { p.diags = append(p.diags, diags...) }

// once reports what several blocks share, a policy or a for_each, only for the
// first of them.
func (p *parser) once(diags hcl.Diagnostics) {
	for _, d := range diags {
		if key := d.Summary + "\x00" + subjectOf(d).String(); !p.told[key] {
			p.told[key] = true
			p.report(d)
		}
	}
}

// evaluate goes through the phases: each sees what the earlier ones declared.
func (p *parser) evaluate(body hcl.Body) {
	content, diags := body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "vbk"},
		{Type: "variable", LabelNames: []string{"name"}},
		{Type: "locals"},
		{Type: "encryption", LabelNames: []string{"kind", "name"}},
		{Type: "host", LabelNames: []string{"name"}},
		{Type: "store", LabelNames: []string{"kind", "name"}},
		{Type: "policy", LabelNames: []string{"name"}},
		{Type: "domain", LabelNames: []string{"name"}},
		{Type: "removed"},
		{Type: "check", LabelNames: []string{"name"}},
	}})
	p.report(diags...)
	blocks := p.declared(content.Blocks)
	in := scope{values: map[string]cty.Value{}, functions: functions(p.config.Dir)}
	in = in.with("var", p.variables(blocks["variable"], in))
	in = in.with("local", p.locals(blocks["locals"], in))
	p.settings(blocks["vbk"], in)
	encryptions := p.encryptions(blocks["encryption"], in)
	hosts := p.hosts(blocks["host"], in)
	stores := p.stores(blocks["store"], in.with("encryption", encryptions))
	in = in.with("host", hosts).with("store", stores)
	in = in.with("policy", p.policies(blocks["policy"], in))
	p.domains(blocks["domain"], in)
	p.removals(blocks["removed"], blocks["domain"])
	p.checks(blocks["check"], in)
}

// settings reads the vbk block.
func (p *parser) settings(blocks hcl.Blocks, in scope) {
	var required []requirement
	s := spec[Config]{fields: []field[Config]{
		at("name", lines, func(c *Config) *string { return &c.Name }),
		at("time_zone", kind[*time.Location]{read: timeZone}, func(c *Config) **time.Location { return &c.TimeZone }),
		at("required_version", kind[[]requirement]{read: requirements}, func(*Config) *[]requirement { return &required }),
	}}
	for _, b := range blocks {
		l := newLedger("vbk")
		p.report(decode(reader{in: in, ledger: l}, b.Body, s, p.config, *p.config)...)
		for _, r := range required {
			if p.inputs.Version != "" && !r.meets(p.inputs.Version) {
				p.report(failure("Unsupported version", fmt.Sprintf("This is vbk %s; the configuration asks for another version.", p.inputs.Version), l.place(b.DefRange, "required_version")))
				break
			}
		}
	}
}

// declared sorts the blocks by type and drops, with a diagnostic, those that
// have an unknown kind, a bad name or the name of another.
func (p *parser) declared(all hcl.Blocks) map[string]hcl.Blocks {
	kinds := map[string][]string{"store": {"local", "s3"}, "encryption": {"age"}}
	several := []string{"locals", "removed"}
	blocks, first := map[string]hcl.Blocks{}, map[string]hcl.Range{}
	for _, b := range all {
		address := strings.Join(append([]string{b.Type}, b.Labels...), ".")
		known, repeated := first[address]
		switch {
		case kinds[b.Type] != nil && !slices.Contains(kinds[b.Type], b.Labels[0]):
			p.report(failure("Unknown kind of "+b.Type, fmt.Sprintf("There is no kind %q.%s", b.Labels[0], meant("", b.Labels[0], kinds[b.Type])), b.LabelRanges[0]))
		case repeated && !slices.Contains(several, b.Type):
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

// byPlace orders diagnostics by file and line; HCL tells some of them in the
// order of a map.
func byPlace(a, b *hcl.Diagnostic) int {
	at, bt := subjectOf(a), subjectOf(b)
	return cmp.Or(cmp.Compare(at.Filename, bt.Filename), cmp.Compare(at.Start.Byte, bt.Start.Byte), cmp.Compare(a.Detail, b.Detail))
}

func subjectOf(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}
