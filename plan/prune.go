package plan

import (
	"cmp"
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
func (i *Instance) decidePrune(s Seen, b *Backup, now time.Time) (before, after []Action) {
	if s.Folder == nil || len(s.Folder.Chains) == 0 {
		return nil, nil
	}
	zone, err := time.LoadLocation(i.Want.TimeZone)
	if err != nil {
		i.Held = append(i.Held, "nothing is deleted: "+err.Error())
		return nil, nil
	}
	chains := s.Folder.Chains
	today := retained(i.Want, zone, chains, nil, now)
	i.Kept = today.kept
	then := today
	if b != nil {
		then = retained(i.Want, zone, chains, b, now)
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
		return 2 * len(keepRuleNames(i.Want.Policy.Retention))
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

// retention is what the rules say about the chains of an instance.
type retention struct {
	kept    []Kept
	victims []int   // positions of the chains that go, oldest first
	merges  []Merge // of points in the others, oldest first
}

// retained evaluates the rules over the points, and over the planned one if b
// is set. A chain goes when no rule holds a point of it and nothing else
// makes it stay.
func retained(w Want, zone *time.Location, chains []store.Chain, b *Backup, now time.Time) retention {
	open, sound := len(chains)-1, 0 // sound chains of ours that are newer
	if b != nil && b.Chain == "" {
		open, sound = len(chains), 1
	}
	held := heldPoints(w, zone, chains, b, now)
	kept, merged := make([][]Kept, len(chains)), make([][]Merge, len(chains))
	var r retention
	for n, c := range slices.Backward(chains) {
		floor := ""
		switch {
		case isForeign(w, c):
			floor = fmt.Sprintf("of configuration %q", c.Manifest.Owner.Configuration)
		case isIncomplete(c):
			floor = "its manifest is damaged"
		case n != open && sound < max(w.Policy.Retention.MinChains, 1):
			floor = "min_chains"
		}
		stays := floor
		if n == open {
			stays = "open chain"
		}
		var holds bool
		if kept[n], holds = chainRules(c, n, held, stays); !holds && stays == "" {
			r.victims = append(r.victims, n)
		} else if merges(w) && floor == "" {
			joins := b != nil && b.Chain != "" && n == open
			merged[n] = mergesOf(c, func(p store.Point) bool { return len(held[[2]int{n, p.Sequence}]) > 0 }, joins)
		}
		if len(c.Problems) == 0 && !isForeign(w, c) && !isIncomplete(c) {
			sound++
		}
	}
	slices.Reverse(r.victims)
	r.kept, r.merges = slices.Concat(kept...), slices.Concat(merged...)
	return r
}

// isForeign says whether another configuration made the chain: its points count
// for no rule here, and it is not ours to delete.
func isForeign(w Want, c store.Chain) bool {
	owner := c.Manifest.Owner.Configuration
	return owner != "" && owner != w.Configuration
}

// isIncomplete says whether the chain may hold points that no readable manifest
// lists, so that nobody knows what deleting it would cost.
func isIncomplete(c store.Chain) bool {
	head, ok := c.Head()
	return !ok || slices.ContainsFunc(c.Problems, func(p store.Problem) bool {
		return p.From > head.Sequence && p.From != store.NoPoint
	})
}

type candidate struct {
	chain, sequence int
	stamp
}

// heldPoints maps chain and sequence to what holds the point: rules, and what
// keeps it whatever they say.
func heldPoints(w Want, zone *time.Location, chains []store.Chain, b *Backup, now time.Time) map[[2]int][]string {
	held := map[[2]int][]string{}
	ruled := hasRules(w.Policy.Retention)
	candidates := make([]candidate, 0, pointsOf(chains)+1)
	for n, c := range chains {
		if isForeign(w, c) {
			continue
		}
		for _, p := range c.Manifest.Points {
			at := [2]int{n, p.Sequence}
			switch {
			case !ruled:
				held[at] = []string{"no rule: all stay"}
			case fromFuture(p, now):
				held[at] = []string{"from the future"}
			default:
				candidates = append(candidates, candidate{n, p.Sequence, stamp{p.Start, c.Sound(p.Sequence), p.Kind == store.Full}})
			}
			if p.Protected.Holds(now) {
				held[at] = append([]string{protection(p.Protected)}, held[at]...)
			}
		}
	}
	if b != nil {
		candidates = append(candidates, candidate{len(chains), 0, stamp{now, true, b.Kind == store.Full}})
	}
	slices.SortStableFunc(candidates, func(x, y candidate) int {
		return cmp.Or(y.start.Compare(x.start), cmp.Compare(y.chain, x.chain), cmp.Compare(y.sequence, x.sequence))
	})
	stamps := make([]stamp, len(candidates))
	for n, c := range candidates {
		stamps[n] = c.stamp
	}
	for n, rules := range keepRules(stamps, w.Policy.Retention, zone) {
		if at := [2]int{candidates[n].chain, candidates[n].sequence}; len(rules) > 0 {
			held[at] = append(held[at], rules...)
		}
	}
	return held
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

// chainRules lists a chain's points with what holds each: a rule, a newer point
// that needs it, or why the whole chain stays.
func chainRules(c store.Chain, n int, held map[[2]int][]string, stays string) (kept []Kept, holds bool) {
	if stays == "" {
		stays = "closed chain"
	}
	kept = make([]Kept, len(c.Manifest.Points))
	for k, p := range slices.Backward(c.Manifest.Points) {
		rules := held[[2]int{n, p.Sequence}]
		switch {
		case len(rules) > 0:
			holds = true
		case holds:
			rules = []string{"held by chain"}
		default:
			rules = []string{stays}
		}
		if !c.Sound(p.Sequence) {
			rules = append([]string{"damaged"}, rules...)
		}
		kept[k] = Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules}
	}
	return kept, holds
}

// HeldBy says what holds each point of a domain's chains under a policy, for
// people to read. Without a policy nothing is ever deleted.
func HeldBy(p *config.Policy, timeZone string, chains []store.Chain, now time.Time) func(chain string, sequence int) string {
	w := Want{TimeZone: timeZone, Configuration: newestOwner(store.Domain{Chains: chains}).Configuration}
	if p != nil {
		w.Policy = *p
	}
	text := map[string]string{}
	for _, k := range retained(w, w.zone(), chains, nil, now).kept {
		text[fmt.Sprintf("%s.%d", k.Chain, k.Sequence)] = strings.Join(k.Rules, ", ")
	}
	return func(chain string, sequence int) string { return text[fmt.Sprintf("%s.%d", chain, sequence)] }
}
