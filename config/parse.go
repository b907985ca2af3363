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
	p := parser{inputs: inputs, files: Files{}, told: map[string]bool{}, config: defaultConfig(dir)}
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
	top := fileSpec()
	content, diags := body.Content(top.schema())
	p.report(top.explain(diags)...)
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

func defaultConfig(dir string) *Config { return &Config{Dir: dir, TimeZone: time.UTC} }

// settings are those of the vbk block.
type settings struct {
	*Config
	required []requirement
}

func settingsSpec() spec[settings] {
	zone := kind[*time.Location]{form: "time zone", read: timeZone, show: func(l *time.Location) string { return showText(l.String()) }}
	version := kind[[]requirement]{form: "version constraint", read: requirements, show: func([]requirement) string { return "null" }}
	return spec[settings]{fields: []field[settings]{
		at("name", names, func(s *settings) *string { return &s.Name },
			"The name of this configuration. It is recorded as the owner of chains; several configurations that share a store need one each.").otherwise("none"),
		at("required_version", version, func(s *settings) *[]requirement { return &s.required },
			"The versions of vbk that may read this configuration; the others refuse it.").otherwise("any version"),
		at("time_zone", zone, func(s *settings) **time.Location { return &s.TimeZone },
			"What `schedule` and the days, weeks and months of retention are counted in."),
	}}
}

// settings reads the vbk block.
func (p *parser) settings(blocks hcl.Blocks, in scope) {
	for _, b := range blocks {
		l, s := newLedger("vbk"), settings{Config: p.config}
		p.report(decode(reader{in: in, ledger: l}, b.Body, settingsSpec(), &s, settings{Config: defaultConfig(p.config.Dir)})...)
		for _, r := range s.required {
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
	kinds := kindsOfBlocks()
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
