package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// Options are what the command line asks of a plan. Addresses may be a block
// (domain.web) or an instance (domain.web["local/web01"]), with * for any text
// and ? for any character.
type Options struct {
	Full       []string // open a new chain
	AllowPrune []string // lift max_prune
	NoPrune    bool
	Target     []string // only these; empty: all
	Exclude    []string
	Version    string // of vbk

	NotApplicable string // why the plan may never be applied: made at another time (-now), or from a file (-inventory)
}

// Make compares what is wanted with what is there. Equal arguments give equal
// plans, and nothing is touched.
func Make(want *config.Config, have Inventory, o Options, now time.Time) Plan {
	p := Plan{Created: now.UTC(), Version: o.Version, NotApplicable: o.NotApplicable, Variables: maps.Clone(want.Variables)}
	p.Failures = failures(have)
	taken, unclaimed, unclear := claims(want.Domains, have)
	p.Unclaimed = unclaimed
	p.Failures = append(p.Failures, unclear...)
	shelves := shelvesOf(have)
	p.Instances = make([]Instance, 0, len(taken))
	for _, c := range taken {
		w := wantOf(want, have, c, o)
		if !selected(w, o) {
			p.LeftOut = append(p.LeftOut, w.Address)
			continue
		}
		folders := shelves[w.Policy.Store].folders(w.Domain, w.UUID)
		i := instance(w, c, have, folders, now)
		p.Instances = append(p.Instances, i)
		p.Warnings = append(p.Warnings, diskWarnings(i, c.domain)...)
		p.Warnings = append(p.Warnings, strangerWarnings(w, c, have, folders)...)
	}
	gone := departed(want, have, taken, o, now)
	p.Departed, p.Others = gone.gone, gone.others
	for _, i := range gone.releases {
		if !selected(i.Want, o) {
			p.LeftOut = append(p.LeftOut, i.Want.Address)
			continue
		}
		p.Instances = append(p.Instances, i)
	}
	p.Warnings = append(p.Warnings, folderWarnings(have, p.Instances)...)
	slices.Sort(p.Warnings)
	slices.SortStableFunc(p.Instances, func(a, b Instance) int { return strings.Compare(a.Want.Address, b.Want.Address) })
	p.Space = spaceOf(want, have, p.Instances)
	for _, s := range p.Space {
		p.Warnings = append(p.Warnings, s.warnings()...)
	}
	return p
}

func failures(have Inventory) []Failure {
	var all []Failure
	for _, h := range have.Hosts {
		if h.Error != "" {
			all = append(all, Failure{"host." + h.Name, h.Error, h.Hint})
		}
	}
	for _, s := range have.Stores {
		if s.Error != "" {
			all = append(all, Failure{s.Address, s.Error, s.Hint})
		}
	}
	return all
}

func wantOf(want *config.Config, have Inventory, c claim, o Options) Want {
	b := c.blocks[0]
	w := Want{
		Address:       fmt.Sprintf("%s[%q]", b.Address(), c.label()),
		Configuration: want.Name, Block: b.Address(), HostUUID: c.host.UUID,
		Domain: c.domain.Name, UUID: c.domain.UUID,
		StoreID: have.store(b.Policy.Store).ID, Policy: b.Policy, TimeZone: want.TimeZone.String(), place: want.TimeZone,
		NoPrune: o.NoPrune,
	}
	for _, h := range want.Hosts {
		if h.Name == c.host.Name {
			w.Host = h
		}
	}
	for _, s := range want.Stores {
		if s.Address() == b.Policy.Store {
			w.Store = s
		}
	}
	w.Full = names(o.Full, w)
	w.AllowPrune = names(o.AllowPrune, w)
	return w
}

func instance(w Want, c claim, have Inventory, folders []*store.Domain, now time.Time) Instance {
	broken := func(problem, hint string) Instance { return Instance{Want: w, Error: problem, Hint: hint} }
	if c.problem != "" {
		return broken(c.problem, "undefine or stop it on all hosts but one")
	}
	if len(c.blocks) > 1 {
		var claimants []string
		for _, b := range c.blocks {
			claimants = append(claimants, fmt.Sprintf("%s (%s:%d)", b.Address(), b.Range.Filename, b.Range.Start.Line))
		}
		return broken("claimed by several blocks: "+strings.Join(claimants, ", "), "exclude it in all of them but one")
	}
	if pending := slices.Concat(w.Policy.Pending, w.Host.Pending, w.Store.Pending); len(pending) > 0 {
		return broken(strings.Join(pending, "; "), pendingHint)
	}
	s := have.store(w.Policy.Store)
	if s.Error != "" {
		return broken(fmt.Sprintf("%s: %s", s.Address, s.Error), s.Hint)
	}
	seen := Seen{Domain: c.domain}
	switch len(folders) {
	case 0:
	case 1:
		seen.Folder = folders[0]
		if open, _, _ := openChain(seen.Folder); w.Full {
			w.FullAfter = open.Name
		}
	default:
		var twins []string
		for _, f := range folders {
			twins = append(twins, f.Folder)
		}
		return broken(fmt.Sprintf("%s has several folders of this domain: %s", s.Address, strings.Join(twins, ", ")),
			"move all but the right one out of the store; vbk list shows what they hold")
	}
	i := Decide(w, seen, now)
	if b := i.Backup(); b != nil && b.Offline {
		if where := have.mayRunOn(c); where != "" {
			return broken(fmt.Sprintf("domain is %s on %s, and may run on %s, which does not tell", c.domain.State, c.host.Name, where),
				"its images here may be old ones; see to that host, or take it out of the configuration")
		}
	}
	return i
}

// mayRunOn names a host where a domain may be active that is not so where it was
// found: one that did not answer, or did not tell of the domain.
func (v Inventory) mayRunOn(c claim) string {
	for _, h := range v.Hosts {
		told := h.Error == "" && !slices.ContainsFunc(h.Domains, func(d virt.Domain) bool { return d.UUID == c.domain.UUID && undescribed(d) })
		if h.Name != c.host.Name && !told {
			return h.Name
		}
	}
	return ""
}
