package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"vbk/store"
	"vbk/virt"
)

// Side is a plan with what it was made from.
type Side struct {
	Plan Plan
	Have Inventory
}

// CompareOptions say what is looked at besides what exists now.
type CompareOptions struct {
	Ahead  time.Duration // simulate changed policies for so long; 0: not at all
	Sample int           // at most so many instances for each kind of change
}

// Comparison is what an edit of the configuration causes: how the plan of the
// edited one differs from the plan that would be made without the edit, at the
// same time and of the same machines and points. What both plans do is not in it.
type Comparison struct {
	Created   time.Time      `json:"created"`
	Summary   Difference     `json:"summary"`
	Lost      []PointChange  `json:"lost"`               // deleted because of the edit
	HeldBack  []HeldBack     `json:"held_back"`          // would be deleted, and a limit or a flag keeps it
	Sooner    []PointChange  `json:"sooner"`             // the same, and without the edit the next backup would delete them
	Unheld    []PointChange  `json:"unheld"`             // held by a rule until now; what builds on them, or their chain, still keeps them
	Kept      []PointChange  `json:"kept"`               // would be deleted without the edit
	Domains   []DomainChange `json:"domains"`            // by danger
	Failing   []ErrorChange  `json:"failing"`            // could be backed up without the edit, or fail in another way
	Recovered []ErrorChange  `json:"recovered"`          // fail without the edit
	Backups   []BackupChange `json:"backups"`            // that become another kind
	Due       []DueChange    `json:"due"`                // next backups that move
	Policies  []PolicyChange `json:"policies"`           // what the configuration says else of instances that stay
	Stores    []StoreChange  `json:"stores"`             // bytes
	Failures  []Failure      `json:"failures,omitempty"` // what could not be surveyed: nothing is said of it
}

// Difference counts what is in a comparison.
type Difference struct {
	Lost      int   `json:"points_lost"`
	Sooner    int   `json:"points_sooner"`
	Unheld    int   `json:"points_unheld"`
	Kept      int   `json:"points_kept"`
	Unclaimed int   `json:"domains_unclaimed"`
	Claimed   int   `json:"domains_claimed"`
	Moved     int   `json:"domains_moved"` // to another store
	Failing   int   `json:"instances_failing"`
	Recovered int   `json:"instances_recovered"`
	Fulls     int   `json:"new_fulls"`
	Changed   int   `json:"instances_changed"` // policies
	Freed     int64 `json:"freed"`             // bytes, more than without the edit
	Needed    int64 `json:"needed"`            // bytes that backups store, more than without the edit
}

// Compare says what next does that base does not, and the other way round.
func Compare(base, next Side, o CompareOptions) Comparison {
	c := comparer{base: newView(base), next: newView(next), changes: map[[2]*Instance][]AttributeChange{}, o: o}
	c.Created = next.Plan.Created
	c.pairs = pair(c.base, c.next)
	for n := range c.pairs {
		p := &c.pairs[n]
		p.changes = attributeChanges(p.base, p.next)
		c.changes[[2]*Instance{p.base, p.next}] = p.changes
	}
	c.points()
	c.domains()
	c.departures()
	c.errors()
	c.backups()
	c.policies()
	c.bytes()
	c.Failures = c.failures()
	c.sum()
	c.fill()
	return c.Comparison
}

// fill makes lists of nothing empty: in JSON they are [], never null.
func (c *Comparison) fill() {
	for _, points := range []*[]PointChange{&c.Lost, &c.Sooner, &c.Unheld, &c.Kept} {
		*points = append([]PointChange{}, *points...)
	}
	c.HeldBack = append([]HeldBack{}, c.HeldBack...)
	c.Domains = append([]DomainChange{}, c.Domains...)
	c.Failing, c.Recovered = append([]ErrorChange{}, c.Failing...), append([]ErrorChange{}, c.Recovered...)
	c.Backups = append([]BackupChange{}, c.Backups...)
	c.Due = append([]DueChange{}, c.Due...)
	c.Policies = append([]PolicyChange{}, c.Policies...)
	c.Stores = append([]StoreChange{}, c.Stores...)
}

// Empty says whether the edit changes nothing at all.
func (c Comparison) Empty() bool {
	return len(c.Lost)+len(c.Sooner)+len(c.HeldBack)+len(c.Unheld)+len(c.Kept)+len(c.Domains)+len(c.Failing)+len(c.Recovered)+
		len(c.Backups)+len(c.Due)+len(c.Policies)+len(c.Stores) == 0
}

// Now says whether the edit has an effect on what exists: more than another
// word in a policy.
func (c Comparison) Now() bool {
	c.Policies = nil
	return !c.Empty()
}

type comparer struct {
	Comparison
	base, next view
	pairs      []instancePair
	changes    map[[2]*Instance][]AttributeChange // of each pair
	o          CompareOptions
}

// instancePair is an instance under both configurations; nil where one has it
// not.
type instancePair struct {
	base, next *Instance
	changes    []AttributeChange
}

// address is the one under the edited configuration, if that has it.
func (p instancePair) address() string {
	if p.next != nil {
		return p.next.Want.Address
	}
	return p.base.Want.Address
}

// view is a side with what is looked up in it.
type view struct {
	Side
	fates   map[pointKey]fate
	folders map[[2]string]*store.Domain  // by store id and name
	domains map[string]virt.Domain       // by HOST/NAME
	next    map[string]map[pointKey]bool // by UUID: what goes with the next backup, once it was asked
}

// pointKey finds a point whatever its store is called.
type pointKey struct {
	store, folder, chain string // store is an id
	sequence             int
}

// fate is what a plan says of an existing point.
type fate struct {
	owner *Instance
	kept  Kept
	goes  string // the reason of its deletion, "" if it stays
}

func newView(s Side) view {
	v := view{s, map[pointKey]fate{}, map[[2]string]*store.Domain{}, map[string]virt.Domain{}, map[string]map[pointKey]bool{}}
	for _, found := range s.Have.Stores {
		for n := range found.Domains {
			v.folders[[2]string{found.ID, found.Domains[n].Folder}] = &found.Domains[n]
		}
	}
	for _, h := range s.Have.Hosts {
		for _, d := range h.Domains {
			v.domains[h.Name+"/"+d.Name] = d
		}
	}
	v.decideFates()
	return v
}

func (v view) decideFates() {
	for n := range v.Plan.Instances {
		i := &v.Plan.Instances[n]
		at := func(chain string, sequence int) pointKey {
			return pointKey{i.Want.StoreID, i.Folder, chain, sequence}
		}
		for _, k := range i.Kept {
			v.fates[at(k.Chain, k.Sequence)] = fate{owner: i, kept: k}
		}
		for _, a := range i.Actions {
			for _, k := range v.gone(i, a) {
				f := v.fates[k]
				f.owner, f.goes = i, a.Reason
				v.fates[k] = f
			}
		}
	}
}

// gone are the points that an action deletes.
func (v view) gone(i *Instance, a Action) (all []pointKey) {
	switch a.Kind {
	case KindPrune:
		for _, p := range v.chain(i, a.Prune.Chain).Manifest.Points {
			all = append(all, pointKey{i.Want.StoreID, i.Folder, a.Prune.Chain, p.Sequence})
		}
	case KindMerge:
		for _, sequence := range a.Merge.Gone {
			all = append(all, pointKey{i.Want.StoreID, i.Folder, a.Merge.Chain, sequence})
		}
	}
	return all
}

func (v view) chain(i *Instance, name string) store.Chain {
	f := v.folder(i)
	if f == nil {
		return store.Chain{}
	}
	for _, c := range f.Chains {
		if c.Name == name {
			return c
		}
	}
	return store.Chain{}
}

// folder is the surveyed folder of an instance, nil before its first point.
func (v view) folder(i *Instance) *store.Domain {
	return v.folders[[2]string{i.Want.StoreID, i.Folder}]
}

// pair finds the instances that are the same under both configurations: a
// domain, or a folder that nobody claims.
func pair(base, next view) []instancePair {
	key := func(i Instance) string {
		if i.Want.Release != "" {
			return "folder " + i.Want.StoreID + "/" + i.Folder
		}
		return i.Want.UUID
	}
	var all []instancePair
	at := map[string]int{}
	for n := range next.Plan.Instances {
		i := &next.Plan.Instances[n]
		at[key(*i)] = len(all)
		all = append(all, instancePair{next: i})
	}
	for n := range base.Plan.Instances {
		i := &base.Plan.Instances[n]
		if m, ok := at[key(*i)]; ok {
			all[m].base = i
		} else {
			all = append(all, instancePair{base: i})
		}
	}
	slices.SortStableFunc(all, func(a, b instancePair) int { return strings.Compare(a.address(), b.address()) })
	return all
}

// failures are those of both plans, each once.
func (c *comparer) failures() []Failure {
	all := slices.Concat(c.next.Plan.Failures, c.base.Plan.Failures)
	slices.SortStableFunc(all, func(a, b Failure) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Error, b.Error))
	})
	return slices.CompactFunc(all, func(a, b Failure) bool { return a.Object == b.Object && a.Error == b.Error })
}

func (c *comparer) sum() {
	s := &c.Summary
	s.Lost, s.Sooner, s.Unheld, s.Kept = len(c.Lost), len(c.Sooner), len(c.Unheld), len(c.Kept)
	s.Failing, s.Recovered = len(c.Failing), len(c.Recovered)
	for _, d := range c.Domains {
		switch d.Kind {
		case DomainUnclaimed:
			s.Unclaimed++
		case DomainClaimed:
			s.Claimed++
		case DomainStore:
			s.Moved++
		}
	}
	for _, b := range c.Backups {
		if b.After == string(store.Full) {
			s.Fulls++
		}
	}
	for _, p := range c.Policies {
		s.Changed += len(p.Instances)
	}
	for _, b := range c.Stores {
		s.Freed += b.Freed
		s.Needed += b.Needed
	}
}
