package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
)

// Options are what the command line asks of a plan. Addresses may be a block
// (domain.web) or an instance (domain.web["local/web01"]).
type Options struct {
	Full       []string // open a new chain
	AllowPrune []string // lift max_prune
	NoPrune    bool
	Target     []string // only these; empty: all
	Exclude    []string
	Version    string // of vbk
}

// Make compares what is wanted with what is there. Equal arguments give equal
// plans, and nothing is touched.
func Make(want *config.Config, have Inventory, o Options, now time.Time) Plan {
	p := Plan{Created: now.UTC(), Version: o.Version}
	p.Failures = failures(have)
	taken, unclaimed := claims(want.Domains, have.Hosts)
	p.Unclaimed = unclaimed
	for _, c := range taken {
		w := wantOf(want, have, c, o)
		if !selected(w, o) {
			p.LeftOut = append(p.LeftOut, w.Address)
			continue
		}
		p.Instances = append(p.Instances, instance(w, c, have, now))
	}
	slices.SortStableFunc(p.Instances, func(a, b Instance) int { return strings.Compare(a.Want.Address, b.Want.Address) })
	p.Departed, p.Others = departed(want, have, taken)
	p.Warnings = spaceWarnings(want, have, p.Instances)
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
		StoreID: have.store(b.Policy.Store).ID, Policy: b.Policy, TimeZone: want.TimeZone.String(),
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

// names says whether one of the addresses means this instance.
func names(addresses []string, w Want) bool {
	return slices.Contains(addresses, w.Block) || slices.Contains(addresses, w.Address)
}

func selected(w Want, o Options) bool {
	return (len(o.Target) == 0 || names(o.Target, w)) && !names(o.Exclude, w)
}

func instance(w Want, c claim, have Inventory, now time.Time) Instance {
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
	s := have.store(w.Policy.Store)
	if s.Error != "" {
		return broken(fmt.Sprintf("%s: %s", s.Address, s.Error), s.Hint)
	}
	return Decide(w, Seen{Domain: c.domain, Folder: s.folder(w.Domain, w.UUID)}, now)
}

// departed lists folders of this configuration whose domain no block takes any
// more; chains of other configurations are counted.
func departed(want *config.Config, have Inventory, taken []claim) (gone []Departed, others int) {
	claimed := map[[2]string]bool{}
	known := map[string]bool{}
	for _, h := range have.Hosts {
		for _, d := range h.Domains {
			known[d.UUID] = true
		}
	}
	for _, c := range taken {
		claimed[[2]string{c.blocks[0].Policy.Store, c.domain.UUID}] = true
	}
	for _, s := range have.Stores {
		for _, f := range s.Domains {
			if claimed[[2]string{s.Address, f.UUID}] || len(f.Chains) == 0 {
				continue
			}
			if f.Chains[len(f.Chains)-1].Manifest.Owner.Configuration != want.Name {
				others += len(f.Chains)
				continue
			}
			if !known[f.UUID] && !have.complete() {
				continue // its host may be the one that did not answer
			}
			gone = append(gone, departure(s.Address, f, known[f.UUID]))
		}
	}
	return gone, others
}

func departure(address string, f store.Domain, known bool) Departed {
	d := Departed{Store: address, Folder: f.Folder, Domain: f.Name, Why: "the domain is on no host"}
	if known {
		d.Why = "no block claims the domain for this store"
	}
	for _, c := range f.Chains {
		d.Points += len(c.Manifest.Points)
		if head, ok := c.Head(); ok && head.Start.After(d.Newest) {
			d.Newest = head.Start
		}
	}
	return d
}

// spaceWarnings compares what the planned backups may need with what is free.
func spaceWarnings(want *config.Config, have Inventory, instances []Instance) []string {
	var all []string
	for _, s := range want.Stores {
		found := have.store(s.Address())
		if found.Error != "" {
			continue
		}
		var need int64
		for _, i := range instances {
			if b := i.Backup(); b != nil && i.Want.Store.Address() == s.Address() {
				need += b.Estimate
			}
		}
		if need > found.Free-s.MinFree && need > 0 {
			all = append(all, fmt.Sprintf("%s has %s free and min_free = %s; the planned backups may need up to %s",
				s.Address(), Bytes(found.Free), Bytes(s.MinFree), Bytes(need)))
		}
	}
	return all
}

// UnknownAddresses lists what the command line names and the plan does not
// have: a misspelt -exclude must not back up what it was to leave out.
func UnknownAddresses(want *config.Config, p Plan, o Options) []string {
	known := map[string]bool{}
	for _, b := range want.Domains {
		known[b.Address()] = true
	}
	for _, i := range p.Instances {
		known[i.Want.Address] = true
	}
	var unknown []string
	for _, a := range slices.Concat(o.Target, o.Exclude, o.Full, o.AllowPrune) {
		if !known[a] && !slices.Contains(p.LeftOut, a) {
			unknown = append(unknown, a)
		}
	}
	return unknown
}
