package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
)

// decidePrune says which points go: closed chains that nothing keeps and, with
// prune = "merge", points inside the others. First come the deletions that hold
// whatever the planned backup does, then those that hold only once it is
// durable. It fills Kept and Held.
func (i *Instance) decidePrune(l *ledger, s Seen, b *Backup, now time.Time) (before, after []Action) {
	if s.Folder == nil || len(s.Folder.Chains) == 0 {
		return nil, nil
	}
	zone, err := i.Want.location()
	if err != nil {
		i.Held = append(i.Held, "nothing is deleted: "+err.Error())
		return nil, nil
	}
	chains := s.Folder.Chains
	l.open(&i.Want, zone, chains, now)
	today := l.retained(nil)
	i.Kept = l.kept(today)
	then := today
	if b != nil {
		then = l.retained(b)
	}
	then.merges = i.mergeable(chains, then.merges)
	for _, a := range then.actions(chains, today) {
		if a.waits() {
			after = append(after, a)
		} else {
			before = append(before, a)
		}
	}
	if i.heldBack(chains, b, slices.Concat(before, after)) {
		return nil, nil
	}
	return before, after
}

// waits says whether the action is right only once the planned point is durable.
func (a Action) waits() bool {
	return a.Prune != nil && a.Prune.After || a.Merge != nil && a.Merge.After
}

// actions are the deletions of r, chains first. What today's points alone do not
// allow waits for the planned one.
func (r retention) actions(chains []store.Chain, today retention) (all []Action) {
	for _, v := range r.victims {
		p := pruneOf(chains[v])
		p.After = !slices.Contains(today.victims, v)
		all = append(all, Action{Kind: KindPrune, Reason: "no rule keeps any of its points", Prune: p})
	}
	for _, m := range r.merges {
		m.After = !slices.ContainsFunc(today.merges, func(t Merge) bool { return t.covers(m) })
		reason := "no rule keeps it"
		if len(m.Gone) > 1 {
			reason = "no rule keeps them"
		}
		all = append(all, Action{Kind: KindMerge, Reason: reason, Merge: &m})
	}
	return all
}

func pruneOf(c store.Chain) *Prune {
	p := &Prune{Chain: c.Name, Attempts: attempts(c.Manifest.Points), Points: len(c.Manifest.Points)}
	for _, point := range c.Manifest.Points {
		p.Stored += point.Stored()
	}
	return p
}

// heldBack applies -no-prune and max_prune: beyond what is routine, a share
// above it releases nothing at all. The planned point counts, so that making it
// does not change the answer; and what is left of a plan never exceeds what the
// whole did not.
func (i *Instance) heldBack(chains []store.Chain, b *Backup, deletions []Action) bool {
	if len(deletions) == 0 {
		return false
	}
	points, gone := pointsOf(chains), 0
	if b != nil {
		points++
	}
	for _, a := range deletions {
		gone += a.deletes()
	}
	limit := i.Want.Policy.Retention.MaxPrune
	what := whatStays(deletions, gone)
	switch {
	case i.Want.NoPrune:
		i.Held = append(i.Held, what+": -no-prune")
	case (gone-i.routine(deletions))*100 > points*limit && !i.Want.AllowPrune:
		i.Held = append(i.Held, fmt.Sprintf("%s: releasing them deletes more than max_prune = \"%d%%\" of %d points; allow it with -allow-prune '%s'",
			what, limit, points, i.Want.Address))
	default:
		return false
	}
	return true
}

func pointsOf(chains []store.Chain) (n int) {
	for _, c := range chains {
		n += len(c.Manifest.Points)
	}
	return n
}

// routine is how many points one interval may release whatever max_prune says:
// the last of the chains; or with prune = "merge" two points for each keep rule,
// which lets go of one when a new one comes, and with it of the chain whose
// newest point had stayed.
func (i *Instance) routine(deletions []Action) int {
	if merges(i.Want) {
		return 2 * countOf(i.Want.Policy.Retention)
	}
	return deletions[len(deletions)-1].deletes()
}

// deletes is the number of points that an action gives up.
func (a Action) deletes() int {
	switch {
	case a.Prune != nil:
		return a.Prune.Points
	case a.Merge != nil:
		return len(a.Merge.Gone)
	}
	return 0
}

func whatStays(deletions []Action, points int) string {
	merging := slices.ContainsFunc(deletions, func(a Action) bool { return a.Merge != nil })
	switch {
	case merging && points == 1:
		return "a point that no rule keeps stays"
	case merging:
		return fmt.Sprintf("%d points that no rule keeps stay", points)
	case len(deletions) > 1:
		return fmt.Sprintf("%d chains that no rule keeps stay", len(deletions))
	}
	return "a chain that no rule keeps stays"
}

// isForeign says whether another configuration made the chain: its points count
// for no rule here, and it is not ours to delete.
func isForeign(w *Want, c *store.Chain) bool {
	owner := c.Manifest.Owner.Configuration
	return owner != "" && owner != w.Configuration
}

// isIncomplete says whether the chain may hold points that no readable manifest
// lists, so that nobody knows what deleting it would cost.
func isIncomplete(c *store.Chain) bool {
	_, ok := c.Head()
	return !ok || slices.ContainsFunc(c.Problems, func(p store.Problem) bool {
		return p.From >= c.Manifest.Next() && p.From != store.NoPoint
	})
}

// protection says what `vbk protect` said.
func protection(p *store.Protection) string {
	text := "protected"
	if !p.Until.IsZero() {
		text += " until " + p.Until.UTC().Format("2006-01-02 15:04 UTC")
	}
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

// HeldBy says what holds each point of a domain's chains under a policy, for
// people to read. Without a policy nothing is ever deleted.
func HeldBy(p *config.Policy, timeZone string, chains []store.Chain, now time.Time) func(chain string, sequence int) string {
	w := Want{TimeZone: timeZone, Configuration: newestOwner(store.Domain{Chains: chains}).Configuration}
	if p != nil {
		w.Policy = *p
	}
	text := map[string]string{}
	for _, k := range keptBy(&w, w.zone(), chains, now) {
		text[fmt.Sprintf("%s.%d", k.Chain, k.Sequence)] = strings.Join(k.Rules, ", ")
	}
	return func(chain string, sequence int) string { return text[fmt.Sprintf("%s.%d", chain, sequence)] }
}
