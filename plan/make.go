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
	taken, unclaimed := claims(want.Domains, have)
	p.Unclaimed = unclaimed
	for _, c := range taken {
		w := wantOf(want, have, c, o)
		if !selected(w, o) {
			p.LeftOut = append(p.LeftOut, w.Address)
			continue
		}
		i := instance(w, c, have, now)
		p.Instances = append(p.Instances, i)
		p.Warnings = append(p.Warnings, diskWarnings(i, c.domain)...)
		p.Warnings = append(p.Warnings, strangerWarnings(w, c, have)...)
	}
	p.Warnings = append(p.Warnings, folderWarnings(have, p.Instances)...)
	slices.Sort(p.Warnings)
	slices.SortStableFunc(p.Instances, func(a, b Instance) int { return strings.Compare(a.Want.Address, b.Want.Address) })
	p.Departed, p.Others = departed(want, have, taken)
	p.Warnings = append(p.Warnings, spaceWarnings(want, have, p.Instances)...)
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
	seen := Seen{Domain: c.domain}
	switch found := s.folders(w.Domain, w.UUID); len(found) {
	case 0:
	case 1:
		seen.Folder = found[0]
		if open, _, _ := openChain(seen.Folder); w.Full {
			w.FullAfter = open.Name
		}
	default:
		var twins []string
		for _, f := range found {
			twins = append(twins, f.Folder)
		}
		return broken(fmt.Sprintf("%s has several folders of this domain: %s", s.Address, strings.Join(twins, ", ")),
			"move all but the right one out of the store; vbk list shows what they hold")
	}
	return Decide(w, seen, now)
}

// departed lists folders of this configuration whose domain no block takes any
// more; chains of other configurations are counted.
func departed(want *config.Config, have Inventory, taken []claim) (gone []Departed, others int) {
	claimed := map[[2]string]bool{} // store and UUID, or folder where no manifest tells the UUID
	known := map[string]bool{}
	for _, h := range have.Hosts {
		for _, d := range h.Domains {
			known[d.UUID] = true
		}
	}
	for _, c := range taken {
		for _, b := range c.blocks {
			claimed[[2]string{b.Policy.Store, c.domain.UUID}] = true
			claimed[[2]string{b.Policy.Store, store.FolderName(c.domain.Name, c.domain.UUID)}] = true
		}
	}
	for _, s := range have.Stores {
		for _, f := range s.Domains {
			id, owner := f.UUID, newestOwner(f)
			if id == "" {
				id = f.Folder
			}
			switch {
			case len(f.Chains) == 0 || claimed[[2]string{s.Address, id}]:
			case f.UUID != "" && owner.Configuration != want.Name:
				others += len(f.Chains)
			case f.UUID != "" && !known[f.UUID] && !have.complete():
				// Its host may be the one that did not answer.
			default:
				gone = append(gone, departure(s.Address, f, whyDeparted(want, f, owner, known[f.UUID])))
			}
		}
	}
	return gone, others
}

// newestOwner is the owner in the newest manifest that can be read.
func newestOwner(f store.Domain) store.Owner {
	for _, c := range slices.Backward(f.Chains) {
		if c.Manifest.Number > 0 {
			return c.Manifest.Owner
		}
	}
	return store.Owner{}
}

func whyDeparted(want *config.Config, f store.Domain, owner store.Owner, known bool) string {
	block, _, _ := strings.Cut(owner.Address, "[")
	switch {
	case f.UUID == "":
		return "no manifest of it can be read"
	case !known:
		return "the domain is on no host"
	case !slices.ContainsFunc(want.Domains, func(b config.Domain) bool { return b.Address() == block }):
		return fmt.Sprintf("%s, which made its chains, is not in the configuration", block)
	}
	return "no block claims the domain for this store"
}

func departure(address string, f store.Domain, why string) Departed {
	d := Departed{Store: address, Folder: f.Folder, Domain: f.Name, Why: why}
	for _, c := range f.Chains {
		d.Points += len(c.Manifest.Points)
		for _, p := range c.Manifest.Points {
			if p.Start.After(d.Newest) {
				d.Newest = p.Start
			}
		}
	}
	return d
}

// spaceWarnings compares what the planned backups may need with what is free,
// and with what deletions free before them.
func spaceWarnings(want *config.Config, have Inventory, instances []Instance) []string {
	var all []string
	for _, s := range want.Stores {
		found := have.store(s.Address())
		if found.Error != "" {
			continue
		}
		var need, freed int64
		for _, i := range instances {
			if i.Want.Store.Address() != s.Address() {
				continue
			}
			for _, a := range i.Actions {
				switch {
				case a.Kind == KindBackup:
					need += a.Backup.Estimate
				case a.Kind == KindPrune && !a.Prune.After:
					freed += a.Prune.Stored
				}
			}
		}
		if need > found.Free+freed-s.MinFree && need > 0 {
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
