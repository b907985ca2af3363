package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"vbk/store"
)

// Verify reads every byte of the files that points of a chain have for themselves.
type Verify struct {
	Chain  string        `json:"chain"`
	Points []VerifyPoint `json:"points"` // by sequence, rising
	Bytes  int64         `json:"bytes"`  // of their files
}

// VerifyPoint is a point whose own files are to be read. Those of the points that it
// builds on are read for these: each file is read once.
type VerifyPoint struct {
	Sequence int       `json:"sequence"`
	Read     time.Time `json:"read,omitzero"` // when that was done last
}

// Sequences are those of the points.
func (v Verify) Sequences() []int {
	all := make([]int, len(v.Points))
	for n, p := range v.Points {
		all[n] = p.Sequence
	}
	return all
}

// unread is a point whose files are to be read again.
type unread struct {
	chain    int
	sequence int
	bytes    int64
	since    time.Time
}

// decideVerify plans to read what nobody has read for as long as the policy says,
// the oldest first, and in each interval of backups no more than it takes to get
// through everything in that time: so what falls due in one night is spread over
// many. What is about to be deleted or merged away is left out. It comes last,
// because a merge writes new files.
func (i *Instance) decideVerify(s Seen, now time.Time) {
	every := i.Want.Policy.Verify.Every
	if every == 0 || i.Want.Release != "" || s.Folder == nil || len(i.Kept) == 0 {
		return
	}
	chains := s.Folder.Chains
	i.noteRead(chains)
	rhythm := i.Want.Policy.Every
	if i.Want.Policy.Schedule != "" {
		rhythm = i.Want.Policy.RPO / 2
	}
	due, stored, lately := dueToRead(i, chains, now, interval(every), interval(rhythm))
	if lately {
		return
	}
	slices.SortFunc(due, func(a, b unread) int {
		return cmp.Or(a.since.Compare(b.since), a.chain-b.chain, a.sequence-b.sequence)
	})
	budget := int64(float64(stored) * min(1, float64(rhythm)/float64(every)))
	var taken int64
	for n := range due {
		if taken > 0 && taken >= budget {
			due = due[:n]
			break
		}
		taken += max(due[n].bytes, 1)
	}
	i.Actions = append(i.Actions, verifications(chains, due, now, fmt.Sprintf("verify { every = %q }", every))...)
}

// noteRead tells of the points when they were read.
func (i *Instance) noteRead(chains []store.Chain) {
	known := map[string]*store.Chain{}
	for n := range chains {
		known[chains[n].Name] = &chains[n]
	}
	for n := range i.Kept {
		k := &i.Kept[n]
		if c := known[k.Chain]; c != nil && len(c.Verifications) > 0 {
			k.Read = c.ReadAt(k.Sequence)
		}
	}
}

// dueToRead lists the points that were not read for a time, and sums what all have;
// lately says that some were read within the rhythm of backups.
func dueToRead(i *Instance, chains []store.Chain, now time.Time, every, rhythm time.Duration) (due []unread, stored int64, lately bool) {
	for n := range chains {
		c := &chains[n]
		if isForeign(&i.Want, c) {
			continue
		}
		for k := range c.Manifest.Points {
			at := c.ReadAt(c.Manifest.Points[k].Sequence)
			lately = lately || !at.IsZero() && !fromFuture(at, now) && now.Sub(at) < rhythm
		}
		for _, u := range i.remain(c) {
			stored += u.bytes
			if fromFuture(u.since, now) { // a clock was wrong: nobody knows when
				u.since = now.Add(-every)
			}
			if u.chain = n; now.Sub(u.since) >= every {
				due = append(due, u)
			}
		}
	}
	return due, stored, lately
}

// remain lists the points that a chain has when the instance's actions are done,
// without a planned one. A point that takes others in has the age of the oldest.
func (i *Instance) remain(c *store.Chain) []unread {
	all := map[int]unread{}
	for k := range c.Manifest.Points {
		p := &c.Manifest.Points[k]
		all[p.Sequence] = unread{sequence: p.Sequence, bytes: p.Stored(), since: c.LastRead(*p)}
	}
	for _, a := range i.Actions {
		switch {
		case a.Prune != nil && a.Prune.Chain == c.Name:
			return nil
		case a.Merge != nil && a.Merge.Chain == c.Name:
			into, there := all[a.Merge.Into]
			for _, sequence := range a.Merge.Gone {
				gone := all[sequence]
				if into.bytes += gone.bytes; !there || gone.since.Before(into.since) {
					into.since, there = gone.since, true
				}
				delete(all, sequence)
			}
			into.sequence = a.Merge.Into
			all[into.sequence] = into
		}
	}
	return slices.Collect(maps.Values(all))
}

// verifications are actions, one for each chain.
func verifications(chains []store.Chain, due []unread, now time.Time, rule string) (all []Action) {
	slices.SortFunc(due, func(a, b unread) int { return cmp.Or(a.chain-b.chain, a.sequence-b.sequence) })
	for len(due) > 0 {
		chain, oldest := due[0].chain, due[0].since
		v := &Verify{Chain: chains[chain].Name}
		for len(due) > 0 && due[0].chain == chain {
			u := due[0]
			v.Points = append(v.Points, VerifyPoint{u.sequence, chains[chain].ReadAt(u.sequence)})
			v.Bytes += u.bytes
			if u.since.Before(oldest) {
				oldest = u.since
			}
			due = due[1:]
		}
		what := "them"
		if len(v.Points) == 1 {
			what = "it"
		}
		all = append(all, Action{Kind: KindVerify, Verify: v, Reason: fmt.Sprintf("nobody has read %s for %s and %s", what, Age(now.Sub(oldest)), rule)})
	}
	return all
}

// checkVerify depends on the points alone: those that are gone or were read meanwhile
// need it no more.
func checkVerify(planned Action, now Instance) (Action, Verdict, string) {
	if now.Error != "" && len(now.Kept) == 0 { // nobody looked at the chains
		return planned, Stale, now.Error
	}
	v := *planned.Verify
	v.Points = slices.DeleteFunc(slices.Clone(v.Points), func(p VerifyPoint) bool {
		n := slices.IndexFunc(now.Kept, func(k Kept) bool { return k.Chain == v.Chain && k.Sequence == p.Sequence })
		return n < 0 || now.Kept[n].Read.After(p.Read)
	})
	if len(v.Points) == 0 {
		return planned, Satisfied, fmt.Sprintf("the points of chain %s are gone, or were read meanwhile", v.Chain)
	}
	planned.Verify = &v
	return planned, Holds, ""
}
