package config

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// defaultPolicy is what holds where neither policy nor domain say otherwise.
// There is no default store.
func defaultPolicy() Policy {
	return Policy{
		Every:       Duration(24 * time.Hour),
		RPO:         Duration(48 * time.Hour),
		Mode:        "incremental",
		Chain:       Chain{FullEvery: Duration(7 * 24 * time.Hour), MaxIncrements: 30, OnBroken: "resync"},
		Retention:   Retention{Anchor: "any", Prune: "chain", MinChains: 1, MaxPrune: 50},
		Quiesce:     Quiesce{Mode: "try", Timeout: Duration(10 * time.Second)},
		Disks:       Disks{Raw: "resync"},
		Compression: Compression{Codec: "zstd", Level: 1},
		Stream:      "v3",
		Extra:       Extra{NVRAM: true, TPM: true, Kernel: true},
		Audit:       64,
		Offline:     "backup",
	}
}

// domains evaluates domain blocks, each over the policy that it names. What
// results is checked only over sound policies: a mistake is told once.
func (p *parser) domains(blocks hcl.Blocks, in scope, soundPolicies bool) {
	defaults := Domain{Policy: defaultPolicy()}
	for _, h := range p.config.Hosts {
		defaults.Hosts = append(defaults.Hosts, h.Name)
	}
	for _, b := range blocks {
		d := defaults
		d.Name, d.Range = b.Labels[0], b.DefRange
		diags := decode(b.Body, domainSpec(), &d, defaults, in)
		if !diags.HasErrors() {
			diags = append(diags, d.checkSelector()...)
			if soundPolicies {
				diags = append(diags, d.checkPolicy()...)
			}
		}
		p.report(diags...)
		p.config.Domains = append(p.config.Domains, d)
	}
}

func (d Domain) checkSelector() hcl.Diagnostics {
	if d.Match != nil || d.UUIDs != nil || d.Fallback {
		return nil
	}
	return hcl.Diagnostics{failure("Missing selector",
		fmt.Sprintf("%s selects no domain: set match, uuids or fallback.", d.Address()), d.Range)}
}

func (d Domain) checkPolicy() hcl.Diagnostics {
	var diags hcl.Diagnostics
	if d.Policy.Store == "" {
		diags = append(diags, failure("Missing store",
			fmt.Sprintf("%s has no store: set it here or in its policy, such as store = store.local.nas.", d.Address()), d.Range))
	}
	if full := d.Policy.Chain.FullEvery; full != 0 && full < d.Policy.Every {
		diags = append(diags, failure("Chains shorter than the interval",
			fmt.Sprintf("%s has chain.full_every = %q, which is less than every = %q.", d.Address(), full, d.Policy.Every), d.Range))
	}
	return diags
}
