package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"vbk/store"
)

// DomainKind is what an edit does to a domain, most dangerous first.
type DomainKind string

// The kinds of DomainChange.
const (
	DomainUnclaimed DomainKind = "unclaimed" // a block took it, none does now
	DomainDeadline  DomainKind = "deadline"  // it is departed, and the time of its deletion changes
	DomainStore     DomainKind = "store"     // its backups go elsewhere: what exists stays behind
	DomainSeen      DomainKind = "seen"      // it was not visible, and no block takes it
	DomainBlock     DomainKind = "block"     // another block takes it
	DomainClaimed   DomainKind = "claimed"   // no block took it
)

// DomainChange is a domain, or the folder of one that is departed.
type DomainChange struct {
	Kind   DomainKind `json:"kind"`
	Domain string     `json:"domain"` // HOST/NAME, or STORE/FOLDER of a departed one
	Before string     `json:"before"` // instance, or time of the deletion
	After  string     `json:"after"`
	Stores [2]string  `json:"stores"` // addresses before and after
	Points int        `json:"points"` // that exist and stay where they are, with nobody to delete them
	Until  time.Time  `json:"until,omitzero"`
	Why    string     `json:"why,omitempty"`
}

// domains compares who claims what.
func (c *comparer) domains() {
	for _, p := range c.pairs {
		if p.base != nil && p.base.Want.Release != "" || p.next != nil && p.next.Want.Release != "" {
			continue
		}
		if d, changed := c.domain(p); changed {
			c.Domains = append(c.Domains, d)
		}
	}
	for _, label := range c.next.Plan.Unclaimed {
		if !c.base.shows(label) {
			c.Domains = append(c.Domains, DomainChange{Kind: DomainSeen, Domain: label})
		}
	}
}

func (c *comparer) domain(p instancePair) (DomainChange, bool) {
	d := DomainChange{Domain: label(cmp.Or(p.next, p.base).Want)}
	if p.base != nil {
		d.Before, d.Stores[0] = p.base.Want.Address, p.base.Want.Policy.Store
	}
	if p.next != nil {
		d.After, d.Stores[1] = p.next.Want.Address, p.next.Want.Policy.Store
	}
	switch {
	case p.next == nil && slices.Contains(c.next.Plan.LeftOut, p.base.Want.Address):
		return d, false
	case p.base == nil && slices.Contains(c.base.Plan.LeftOut, p.next.Want.Address):
		return d, false
	case p.next == nil:
		d.Kind = DomainUnclaimed
		d.Why = "no block claims it"
		if !c.next.shows(d.Domain) {
			d.Why = "its host is not in the configuration"
		}
		c.leaves(&d, p.base)
	case p.base == nil:
		d.Kind = DomainClaimed
	case !sameStore(p.base.Want, p.next.Want):
		d.Kind = DomainStore
		c.leaves(&d, p.base)
	case p.base.Want.Block != p.next.Want.Block:
		d.Kind = DomainBlock
	default:
		return d, false
	}
	return d, true
}

// sameStore says whether two instances have the same store, under whatever name.
// The id of one that did not answer is unknown.
func sameStore(a, b Want) bool {
	return a.Policy.Store == b.Policy.Store || a.StoreID != "" && a.StoreID == b.StoreID
}

// leaves tells what stays behind when an instance goes.
func (c *comparer) leaves(d *DomainChange, i *Instance) {
	d.Points = len(i.Kept)
	for _, gone := range c.next.Plan.Departed {
		if gone.Folder == i.Folder && gone.Store == i.Want.Policy.Store {
			d.Until = gone.Until
		}
	}
}

func label(w Want) string { return w.Host.Name + "/" + w.Domain }

// shows says whether a domain is on a host that the configuration has.
func (v view) shows(domain string) bool {
	_, ok := v.domains[domain]
	return ok
}

// departures compares when folders that nobody claims are deleted, and sorts
// all changes of domains.
func (c *comparer) departures() {
	for _, after := range c.next.Plan.Departed {
		for _, before := range c.base.Plan.Departed {
			if before.Store == after.Store && before.Folder == after.Folder && !before.Until.Equal(after.Until) {
				c.Domains = append(c.Domains, DomainChange{Kind: DomainDeadline, Domain: after.Store + "/" + after.Folder, Points: after.Points,
					Stores: [2]string{before.Store, after.Store}, Before: deadline(before.Until), After: deadline(after.Until), Until: after.Until, Why: after.Why})
			}
		}
	}
	danger := []DomainKind{DomainUnclaimed, DomainDeadline, DomainStore, DomainSeen, DomainBlock, DomainClaimed}
	slices.SortStableFunc(c.Domains, func(a, b DomainChange) int {
		return cmp.Or(cmp.Compare(slices.Index(danger, a.Kind), slices.Index(danger, b.Kind)), strings.Compare(a.Domain, b.Domain))
	})
}

func deadline(t time.Time) string {
	if t.IsZero() {
		return "kept"
	}
	return "deleted on " + t.UTC().Format(time.DateOnly)
}

// ErrorChange is an instance that fails, or does no longer.
type ErrorChange struct {
	Address string `json:"address"`
	Before  string `json:"before,omitempty"`
	After   string `json:"after,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// errors compares what cannot be planned.
func (c *comparer) errors() {
	for _, p := range c.pairs {
		e := ErrorChange{Address: p.address()}
		if p.base != nil {
			e.Before = p.base.Error
		}
		if p.next != nil {
			e.After, e.Hint = p.next.Error, p.next.Hint
		}
		switch {
		case e.After != "" && e.After != e.Before:
			c.Failing = append(c.Failing, e)
		case e.After == "" && e.Before != "" && p.next != nil:
			c.Recovered = append(c.Recovered, e)
		}
	}
}

// BackupChange is the next backup of an instance, which becomes another.
type BackupChange struct {
	Address string `json:"address"`
	Before  string `json:"before"` // a kind of point, or "" where none was due
	After   string `json:"after"`
	Reason  string `json:"reason"`
	Read    int64  `json:"read"` // bytes that it reads, about
}

// DueChange is a next backup that is due at another time. The time of the plan
// means now.
type DueChange struct {
	Address string    `json:"address"`
	Before  time.Time `json:"before"`
	After   time.Time `json:"after"`
}

// backups compares kinds and times of the next backups of instances that both
// configurations have.
func (c *comparer) backups() {
	for _, p := range c.pairs {
		if p.base == nil || p.next == nil || p.base.Error != "" || p.next.Error != "" {
			continue
		}
		before, after := kindOf(p.base.Backup()), kindOf(p.next.Backup())
		if before != after && (after == string(store.Full) || after == string(store.Resync) || before != "" && after != "") {
			a := backupAction(*p.next)
			c.Backups = append(c.Backups, BackupChange{p.address(), before, after, a.Reason, a.Backup.Estimate})
		}
		d := DueChange{p.address(), c.due(*p.base), c.due(*p.next)}
		if !d.Before.Equal(d.After) {
			c.Due = append(c.Due, d)
		}
	}
}

func (c *comparer) due(i Instance) time.Time {
	if i.Backup() != nil {
		return c.Created
	}
	return i.Due
}

func kindOf(b *Backup) string {
	if b == nil {
		return ""
	}
	return string(b.Kind)
}

func backupAction(i Instance) Action {
	n := slices.IndexFunc(i.Actions, func(a Action) bool { return a.Kind == KindBackup })
	return i.Actions[n]
}

// StoreChange is what an edit does to the bytes of a store, compared with what
// happens without it.
type StoreChange struct {
	Store  string `json:"store"`
	Freed  int64  `json:"freed"`
	Needed int64  `json:"needed"`
}

// bytes compares what deletions free and backups store.
func (c *comparer) bytes() {
	sums := map[string]*StoreChange{}
	add := func(p Plan, sign int64) {
		for _, i := range p.Instances {
			s := sums[i.Want.Store.Address()]
			if s == nil {
				s = &StoreChange{Store: i.Want.Store.Address()}
				sums[s.Store] = s
			}
			for _, a := range i.Actions {
				switch a.Kind {
				case KindBackup:
					s.Needed += sign * a.Backup.Stores
				case KindPrune:
					s.Freed += sign * a.Prune.Stored
				case KindMerge:
					s.Freed += sign * a.Merge.Stored
				}
			}
		}
	}
	add(c.next.Plan, 1)
	add(c.base.Plan, -1)
	for _, s := range sums {
		if s.Freed != 0 || s.Needed != 0 {
			c.Stores = append(c.Stores, *s)
		}
	}
	slices.SortFunc(c.Stores, func(a, b StoreChange) int { return strings.Compare(a.Store, b.Store) })
}
