package config

import (
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// draft is a policy or a domain block over what it overrides, with the origin
// of each setting. Defaults that hang on other settings are not yet filled in.
type draft struct {
	Domain
	ledger *ledger
	broken bool // it has errors, which have been told
}

// inherit makes a draft that starts from another one's policy.
func inherit(base *draft, name, address string, at hcl.Range) *draft {
	d := &draft{Domain: Domain{Name: name, Range: at, Policy: defaultPolicy()}, ledger: newLedger(address)}
	if base != nil {
		d.Policy = base.Policy
		maps.Copy(d.ledger.from, base.ledger.from)
		d.ledger.unknown, d.broken = base.ledger.unknown, base.broken
	}
	return d
}

// read decodes the body of the block.
func (d *draft) read(body hcl.Body, s spec[Domain], defaults Domain, in scope) hcl.Diagnostics {
	diags := decode(reader{in: in, ledger: d.ledger}, body, s, &d.Domain, defaults)
	every, schedule := d.ledger.from["every"], d.ledger.from["schedule"]
	if every.Block == d.ledger.block && schedule.Block == d.ledger.block {
		diags = append(diags, failure("Two intervals", "every and schedule exclude each other: set one of them.", schedule.Range))
	}
	d.broken = d.broken || diags.HasErrors()
	return diags
}

// policies evaluates policy blocks, each over the policy that it extends or
// the defaults, and returns the references to them.
func (p *parser) policies(blocks hcl.Blocks, in scope) cty.Value {
	drafts, references := map[string]*draft{}, map[string]cty.Value{}
	var extending []func()
	spec := policySpec()
	evaluate := func(b *hcl.Block, base *draft) *draft {
		d := inherit(base, b.Labels[0], "policy."+b.Labels[0], b.DefRange)
		p.report(d.read(b.Body, spec, Domain{Policy: defaultPolicy()}, in)...)
		references[d.Name] = d.reference()
		return d
	}
	for _, b := range blocks {
		attr, diags := ahead(b.Body, extendsField())
		p.report(diags...)
		if attr != nil {
			extending = append(extending, func() {
				base := p.extended(attr, drafts, blocks)
				if base == nil {
					base = inherit(nil, "", "", b.DefRange)
					base.broken = true
				}
				evaluate(b, base)
			})
			continue
		}
		drafts[b.Labels[0]] = evaluate(b, nil)
	}
	for _, evaluate := range extending {
		evaluate()
	}
	return cty.ObjectVal(references)
}

// extended is the policy that extends names, which extends none itself; nil
// after an error.
func (p *parser) extended(attr *hcl.Attribute, drafts map[string]*draft, blocks hcl.Blocks) *draft {
	traversal, diags := hcl.AbsTraversalForExpr(attr.Expr)
	name, named := "", false
	if !diags.HasErrors() && len(traversal) == 2 && traversal.RootName() == "policy" {
		name, named = stepName(traversal[1])
	}
	if !named {
		p.report(failure("Invalid value for extends", `The name of a policy is required, such as policy.base, without quotes (in JSON: "policy.base").`, attr.Expr.Range()))
		return nil
	}
	if d, ok := drafts[name]; ok {
		return d
	}
	var names []string
	for _, b := range blocks {
		if b.Labels[0] == name {
			p.report(failure("Invalid value for extends", fmt.Sprintf("policy.%s extends a policy itself: there is one level only.", name), attr.Expr.Range()))
			return nil
		}
		if _, base := drafts[b.Labels[0]]; base {
			names = append(names, b.Labels[0])
		}
	}
	p.report(undeclared("policy.", name, names, attr.Expr.Range()))
	return nil
}

// domains evaluates domain blocks, each over the policy that it names.
func (p *parser) domains(blocks hcl.Blocks, in scope) {
	defaults, spec := Domain{Policy: defaultPolicy()}, domainSpec()
	for _, h := range p.config.Hosts {
		defaults.Hosts = append(defaults.Hosts, h.Name)
	}
	for _, b := range blocks {
		attr, diags := ahead(b.Body, policyField())
		base, unknown := (*draft)(nil), false
		if attr != nil {
			var more hcl.Diagnostics
			base, unknown, more = basePolicy(attr, in)
			diags = append(diags, more...)
		}
		d := inherit(base, b.Labels[0], "domain."+b.Labels[0], b.DefRange)
		d.Hosts = defaults.Hosts
		d.ledger.unknown = d.ledger.unknown || unknown
		d.broken = d.broken || diags.HasErrors()
		p.report(append(diags, d.read(b.Body, spec, defaults, in)...)...)
		p.once(d.settle())
		p.config.Domains = append(p.config.Domains, d.Domain)
		p.config.drafts = append(p.config.drafts, d)
	}
}

// basePolicy is the policy that a domain names, nil for none.
func basePolicy(attr *hcl.Attribute, in scope) (base *draft, unknown bool, diags hcl.Diagnostics) {
	v, diags := in.value(attr.Expr)
	if diags.HasErrors() {
		return nil, false, diags
	}
	if v.ContainsMarked() {
		return nil, false, append(diags, failure("Sensitive value", "The choice of a policy must not be sensitive.", attr.Expr.Range()))
	}
	if v.IsNull() {
		return nil, false, diags
	}
	base, err := referred[draft](v, policyIdentity, "a policy", "policy.gold")
	switch {
	case err == errUnknown:
		return nil, true, diags
	case err != nil:
		diags = append(diags, failure("Invalid value for policy", sentence(err), attr.Expr.Range()))
	}
	return base, false, diags
}

// settle fills in the defaults that hang on other settings, checks what is
// only wrong together, and notes what this version does not act on.
func (d *draft) settle() hcl.Diagnostics {
	if d.broken || d.ledger.unknown {
		return nil
	}
	policy := &d.Policy
	if policy.RPO == 0 {
		policy.RPO = Duration(2 * policy.interval())
	}
	if _, written := d.ledger.from["compression.codec"]; !written {
		switch policy.Stream {
		case "virtnbdbackup":
			policy.Compression.Codec = "lz4"
		case "raw":
			policy.Compression.Codec = "none"
		}
	}
	diags := append(d.checkSelector(), d.conflicts()...)
	return append(diags, d.pending()...)
}

func (d *draft) checkSelector() hcl.Diagnostics {
	if d.Match != nil || d.UUIDs != nil || d.Tags != nil || d.Fallback {
		return nil
	}
	return hcl.Diagnostics{failure("Missing selector",
		fmt.Sprintf("%s selects no domain: set match, uuids, tags or fallback.", d.Address()), d.Range)}
}

// conflicts tells which settings contradict each other, each at the place of
// the one that is not a default.
func (d *draft) conflicts() hcl.Diagnostics {
	var diags hcl.Diagnostics
	policy, interval := d.Policy, d.Policy.interval()
	conflict := func(asked bool, summary, detail string, paths ...string) {
		if asked {
			diags = append(diags, failure(summary, detail, d.ledger.place(d.Range, paths...)))
		}
	}
	full, codec, stream := time.Duration(policy.Chain.FullEvery), policy.Compression.Codec, policy.Stream
	conflict(policy.Store == "", "Missing store",
		fmt.Sprintf("%s has no store: set it here or in its policy, such as store = store.local.nas.", d.Address()))
	conflict(policy.Mode == "incremental" && policy.Schedule == "" && full != 0 && full < interval, "Chains shorter than the interval",
		fmt.Sprintf("%s has chain.full_every = %q, which is less than every = %q.", d.Address(), policy.Chain.FullEvery, policy.Every), "chain.full_every", "every")
	conflict(stream == "raw" && policy.Mode != "full", "Raw images and increments",
		`stream = "raw" writes whole images only: it needs mode = "full".`, "stream", "mode")
	conflict(stream == "virtnbdbackup" && codec == "zstd", "Codec of another stream",
		`stream = "virtnbdbackup" knows the codecs "lz4" and "none" only.`, "compression.codec")
	conflict(stream == "v3" && codec == "lz4", "Codec of another stream",
		`The codec "lz4" is for stream = "virtnbdbackup"; the stream "v3" knows "zstd" and "none".`, "compression.codec")
	conflict(stream == "raw" && codec != "none", "Codec of another stream",
		`stream = "raw" is not compressed: leave the codec out.`, "compression.codec")
	conflict(codec == "lz4" && policy.Compression.Level > 9, "Level of another codec",
		`The levels of "lz4" are 1 to 9.`, "compression.level")
	if policy.Retention.Prune == "merge" {
		conflict(policy.Retention.Anchor == "full", "Merging and full anchors",
			`prune = "merge" moves the full of a chain forward, so anchor = "full" has nothing to hold on to.`, "retention.anchor")
		conflict(policy.Retention.MinChains > 1, "Merging and several chains",
			`prune = "merge" keeps points in one chain: min_chains above 1 would never be reached.`, "retention.min_chains")
		conflict(stream == "virtnbdbackup", "Merging and the stream of virtnbdbackup",
			`Points in the stream of virtnbdbackup cannot be merged: use prune = "chain" or stream = "v3".`, "retention.prune", "stream")
	}
	if o, written := d.ledger.from["rpo"]; written && time.Duration(policy.RPO) < interval {
		diags = append(diags, warning("rpo shorter than the interval",
			fmt.Sprintf("A backup comes every %s at most, so rpo = %q is always breached.", Duration(interval), policy.RPO), o.Range))
	}
	return diags
}
