package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
)

// departures are the folders that no instance has: those of this configuration,
// with the instances that release what is to go of them, and how many chains
// other configurations have.
type departures struct {
	gone     []Departed
	releases []Instance
	others   int
}

// departed looks at the folders that no block takes for their store. Nothing is
// released while a host is silent, because the domain may be there; and where
// the configuration has no name only what was backed up from one of its hosts:
// another one without a name may use the store, too.
func departed(want *config.Config, have Inventory, taken []claim, o Options, now time.Time) (all departures) {
	claimed := claimedFolders(taken)
	known, unclear, hosts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, h := range have.Hosts {
		hosts[h.UUID] = h.UUID != ""
		for _, d := range h.Domains {
			known[d.UUID] = true
			unclear[d.UUID] = unclear[d.UUID] || undescribed(d)
		}
	}
	complete, silence := have.complete(want), strangeSilence(want, have, now)
	for _, s := range have.Stores {
		for n := range s.Domains {
			f := &s.Domains[n]
			id, owner := f.UUID, newestOwner(*f)
			if id == "" {
				id = f.Folder
			}
			switch {
			case len(f.Chains) == 0 || claimed[[2]string{s.Address, id}]:
			case f.UUID != "" && owner.Configuration != want.Name:
				all.others += len(f.Chains)
			case f.UUID != "" && (!known[f.UUID] && !complete || unclear[f.UUID]):
				// Its host may be the one that did not answer, and a block may take it.
			default:
				sure := known[f.UUID] || hosts[owner.HostUUID]
				d := departure(want, s.Address, f, known[f.UUID], sure)
				if d.passed(now) && silence != "" {
					d.Why += silence
				}
				var released []Instance
				if complete && f.UUID != "" && (want.Name != "" || hosts[owner.HostUUID]) {
					released = releases(want, s, f, d, sure, silence == "", o, now)
				}
				if len(released) == 0 {
					all.gone = append(all.gone, d)
				}
				all.releases = append(all.releases, released...)
			}
		}
	}
	return all
}

// strangeSilence says that nothing at all has been backed up for so long that the
// clock may have jumped; "" if something has. What departed goes by the clock alone.
func strangeSilence(want *config.Config, have Inventory, now time.Time) string {
	limit, newest := strange(config.Policy{}), time.Time{}
	for _, b := range want.Domains {
		limit = max(limit, strange(b.Policy))
	}
	for _, s := range have.Stores {
		for n := range s.Domains {
			for _, c := range s.Domains[n].Chains {
				for k := range c.Manifest.Points {
					if start := c.Manifest.Points[k].Start; start.After(newest) && !fromFuture(start, now) {
						newest = start
					}
				}
			}
		}
	}
	if silence := now.Sub(newest); !newest.IsZero() && silence > limit {
		return fmt.Sprintf("; nothing was backed up for %s: if the clock is right, -allow-prune releases it", Age(silence))
	}
	return ""
}

// passed says whether the time of a departed domain is up.
func (d Departed) passed(now time.Time) bool { return !d.Until.IsZero() && !now.Before(d.Until) }

// claimedFolders holds store and UUID of what blocks take, or the folder's name
// for where no manifest tells the UUID.
func claimedFolders(taken []claim) map[[2]string]bool {
	claimed := map[[2]string]bool{}
	for _, c := range taken {
		for _, b := range c.blocks {
			claimed[[2]string{b.Policy.Store, c.domain.UUID}] = true
			claimed[[2]string{b.Policy.Store, store.FolderName(c.domain.Name, c.domain.UUID)}] = true
		}
	}
	return claimed
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

// blockOf is the address of the block that made a chain.
func blockOf(o store.Owner) string {
	block, _, _ := strings.Cut(o.Address, "[")
	return block
}

// departure describes a folder that nobody claims: known, its domain is on a
// host; sure, it is, or the host of its newest chain was looked at.
func departure(want *config.Config, address string, f *store.Domain, known, sure bool) Departed {
	d := Departed{Store: address, Folder: f.Folder, Domain: f.Name, Chains: len(f.Chains)}
	for _, c := range f.Chains {
		d.Points += len(c.Manifest.Points)
		for _, p := range c.Manifest.Points {
			if p.Start.After(d.Newest) {
				d.Newest = p.Start
			}
		}
	}
	owner := blockOf(newestOwner(*f))
	b, owned := findBlock(want, owner)
	switch {
	case f.UUID == "":
		d.Why = "no manifest of it can be read"
	case !owned:
		d.Orphaned, d.Why = true, fmt.Sprintf("orphaned: %s, which made its chains, is not in the configuration", owner)
	case !sure:
		d.Why = "the domain is on no host, and the one that its newest chain was made on is not among them"
		return d
	case !known:
		d.Why = "the domain is on no host"
	default:
		d.Why = "no block claims the domain for this store"
	}
	if after := b.Policy.Retention.Departed; after > 0 && d.Points > 0 {
		d.Until = d.Newest.Add(time.Duration(after))
	}
	return d
}

func findBlock(want *config.Config, address string) (config.Domain, bool) {
	for _, b := range want.Domains {
		if b.Address() == address {
			return b, true
		}
	}
	return config.Domain{}, false
}

// releases are the instances that delete the chains of a folder nobody claims:
// one for each block that made some of them and that is removed, or whose
// `departed` has passed since the newest point, by a clock that is trusted.
func releases(want *config.Config, s Store, f *store.Domain, d Departed, sure, trusted bool, o Options, now time.Time) (all []Instance) {
	owners := map[string]bool{}
	for _, c := range f.Chains {
		if c.Manifest.Number > 0 && c.Manifest.Owner.Configuration == want.Name {
			owners[blockOf(c.Manifest.Owner)] = true
		}
	}
	for _, block := range slices.Sorted(maps.Keys(owners)) {
		byTime := sure && (trusted || names(o.AllowPrune, releaseOf(want, s, f, block, "", d.Newest, o)))
		if why := whyRelease(want, block, d, byTime, now); why != "" {
			all = append(all, Decide(releaseOf(want, s, f, block, why, d.Newest, o), Seen{Folder: f}, now))
		}
	}
	return all
}

// whyRelease says why the chains of a block go, "" if they stay. It does not
// change while the reason lasts: a saved plan is bound to it. That a host was
// taken out of the configuration is no reason: its domains may be there.
func whyRelease(want *config.Config, block string, d Departed, byTime bool, now time.Time) string {
	b, exists := findBlock(want, block)
	removed := slices.ContainsFunc(want.Removed, func(r config.Removed) bool { return r.From == block })
	after := b.Policy.Retention.Departed
	switch {
	case !exists && removed:
		return fmt.Sprintf("removed { from = %s }", block)
	case exists && byTime && after > 0 && d.Points > 0 && now.Sub(d.Newest) >= time.Duration(after):
		return fmt.Sprintf("%s, the newest point is of %s, and departed = %q", d.Why, d.Newest.UTC().Format("2006-01-02 15:04 UTC"), after)
	}
	return ""
}

func releaseOf(want *config.Config, s Store, f *store.Domain, block, why string, newest time.Time, o Options) Want {
	b, _ := findBlock(want, block)
	w := Want{
		Address: fmt.Sprintf("%s[%q]", block, s.Address+"/"+f.Folder), Configuration: want.Name, Block: block,
		Domain: f.Name, UUID: f.UUID, StoreID: s.ID, Policy: b.Policy, TimeZone: want.TimeZone.String(), place: want.TimeZone, Release: why, ReleaseUntil: newest, NoPrune: o.NoPrune,
	}
	w.Policy.Store = s.Address
	for _, configured := range want.Stores {
		if configured.Address() == s.Address {
			w.Store = configured
		}
	}
	return w
}

// decideRelease deletes what a removed block, or the block of a departed domain,
// made. Nothing is known of the domain, so nothing is done to it. A chain stays
// if it holds a protected point, or may hold points that nobody can read of.
func (i *Instance) decideRelease(s Seen, now time.Time) {
	if s.Folder == nil {
		return
	}
	back := slices.ContainsFunc(s.Folder.Chains, func(c store.Chain) bool {
		return slices.ContainsFunc(c.Manifest.Points, func(p store.Point) bool { return p.Start.After(i.Want.ReleaseUntil) })
	})
	for _, c := range s.Folder.Chains {
		stays := i.whyStays(c, now)
		if back {
			stays.add("a point was made since: the domain is backed up again")
		}
		for _, p := range c.Manifest.Points {
			rules := []string{i.Want.Release}
			if len(stays) > 0 {
				rules = stays
			}
			i.Kept = append(i.Kept, Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules})
		}
		if len(stays) > 0 {
			i.Held = append(i.Held, fmt.Sprintf("chain %s stays: %s", c.Name, stays))
			continue
		}
		i.Actions = append(i.Actions, Action{Kind: KindPrune, Reason: i.Want.Release, Prune: pruneOf(c)})
	}
}

// whyStays says why a chain is not released.
func (i *Instance) whyStays(c store.Chain, now time.Time) (why sentences) {
	switch owner := c.Manifest.Owner; {
	case owner.Configuration != i.Want.Configuration || blockOf(owner) != i.Want.Block:
		why.add("of another block")
	case isIncomplete(&c):
		why.add("its manifest is damaged")
	}
	for _, p := range c.Manifest.Points {
		if p.Protected.Holds(now) {
			why.add(fmt.Sprintf("point %d is %s", p.Sequence, protection(p.Protected)))
		}
	}
	if i.Want.NoPrune {
		why.add("-no-prune")
	}
	return why
}
