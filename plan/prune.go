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
	zone, err := i.Want.location()
	if err != nil {
		i.Held = append(i.Held, "nothing is deleted: "+err.Error())
		return nil, nil
	}
	chains := s.Folder.Chains
	today := retained(i.Want, zone, chains, nil, now)
	i.Kept = today.kept()
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

// retention is what the rules say about the chains of an instance.
type retention struct {
	chains  []store.Chain
	held    [][]hold // what holds each point of each chain
	stays   []string // why each chain stays whatever the rules say; "" if it need not
	victims []int    // positions of the chains that go, oldest first
	merges  []Merge  // of points in the others, oldest first
}

// retained evaluates the rules over the points, and over the planned one if b
// is set. A chain goes when no rule holds a point of it and nothing else
// makes it stay.
func retained(w Want, zone *time.Location, chains []store.Chain, b *Backup, now time.Time) retention {
	open, sound := len(chains)-1, 0 // sound chains of ours that are newer
	if b != nil && b.Chain == "" {
		open, sound = len(chains), 1
	}
	r := retention{chains: chains, held: heldPoints(w, zone, chains, b, now), stays: make([]string, len(chains))}
	forEver, least := merges(w), max(w.Policy.Retention.MinChains, 1)
	for n := len(chains) - 1; n >= 0; n-- {
		c := &chains[n]
		foreign, incomplete := isForeign(w, c), isIncomplete(c)
		floor := ""
		switch {
		case foreign:
			floor = fmt.Sprintf("of configuration %q", c.Manifest.Owner.Configuration)
		case incomplete:
			floor = "its manifest is damaged"
		case n != open && sound < least:
			floor = "min_chains"
		}
		if r.stays[n] = floor; n == open {
			r.stays[n] = "open chain"
		}
		if r.stays[n] == "" && !slices.ContainsFunc(r.held[n], hold.any) {
			r.victims = append(r.victims, n)
		} else if forEver && floor == "" {
			r.merges = append(mergesOf(*c, r.held[n], b != nil && b.Chain != "" && n == open), r.merges...)
		}
		if len(c.Problems) == 0 && c.Manifest.Closed == "" && !foreign && !incomplete {
			sound++
		}
	}
	slices.Reverse(r.victims)
	return r
}

// isForeign says whether another configuration made the chain: its points count
// for no rule here, and it is not ours to delete.
func isForeign(w Want, c *store.Chain) bool {
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

// hold is what holds a point: keep rules, and what does so whatever they say.
type hold struct {
	rules                     ruleSet
	protected, future, noRule bool
}

func (h hold) any() bool { return h != hold{} }

// names are the reasons that hold a point, for people.
func (h hold) names(p *store.Point) []string {
	names := h.rules.names()
	switch {
	case h.noRule:
		names = allStay
	case h.future:
		names = fromTheFuture
	}
	if h.protected {
		return append([]string{protection(p.Protected)}, names...)
	}
	return names
}

var (
	allStay       = []string{"no rule: all stay"}
	fromTheFuture = []string{"from the future"}
)

// heldPoints says for each point of each chain what holds it. What would hold
// the planned point comes last. A chain is closed for good where damage was found
// in it: nobody knows what else is, so its points count like damaged ones.
func heldPoints(w Want, zone *time.Location, chains []store.Chain, b *Backup, now time.Time) [][]hold {
	held, points := make([][]hold, len(chains)+1), make([]hold, pointsOf(chains)+1)
	stamps := make([]stamp, 0, len(points))
	if b != nil {
		stamps = append(stamps, stamp{now, true, b.Kind == store.Full, len(chains), 0})
	}
	ruled := hasRules(w.Policy.Retention)
	held[len(chains)] = points[:1]
	points = points[1:]
	for n := len(chains) - 1; n >= 0; n-- {
		c := &chains[n]
		held[n], points = points[:len(c.Manifest.Points)], points[len(c.Manifest.Points):]
		if isForeign(w, c) {
			continue
		}
		for k := len(c.Manifest.Points) - 1; k >= 0; k-- {
			p, h := &c.Manifest.Points[k], &held[n][k]
			h.protected = p.Protected.Holds(now)
			switch {
			case !ruled:
				h.noRule = true
			case fromFuture(p.Start, now):
				h.future = true
			default:
				stamps = append(stamps, stamp{p.Start, c.Sound(p.Sequence) && c.Manifest.Closed == "", p.Kind == store.Full, n, k})
			}
		}
	}
	if !slices.IsSortedFunc(stamps, newestFirst) {
		slices.SortFunc(stamps, newestFirst)
	}
	for n, rules := range keepRules(stamps, w.Policy.Retention, zone) {
		at := &stamps[n]
		held[at.chain][at.point].rules = rules
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

// kept lists the points with what holds each: a rule, a newer point that needs
// it, or why the whole chain stays.
func (r retention) kept() []Kept {
	all := make([]Kept, pointsOf(r.chains))
	rest := all
	for n := range r.chains {
		c := &r.chains[n]
		whole, holds := []string{cmp.Or(r.stays[n], "closed chain")}, false
		for k := len(c.Manifest.Points) - 1; k >= 0; k-- {
			p, h := &c.Manifest.Points[k], r.held[n][k]
			rules := whole
			switch {
			case h.any():
				rules, holds = h.names(p), true
			case holds:
				rules = neededByChain
			}
			if !c.Sound(p.Sequence) {
				rules = append([]string{"damaged"}, rules...)
			}
			rest[k] = Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules}
		}
		rest = rest[len(c.Manifest.Points):]
	}
	return all
}

var neededByChain = []string{heldByChain}

// HeldBy says what holds each point of a domain's chains under a policy, for
// people to read. Without a policy nothing is ever deleted.
func HeldBy(p *config.Policy, timeZone string, chains []store.Chain, now time.Time) func(chain string, sequence int) string {
	w := Want{TimeZone: timeZone, Configuration: newestOwner(store.Domain{Chains: chains}).Configuration}
	if p != nil {
		w.Policy = *p
	}
	text := map[string]string{}
	for _, k := range retained(w, w.zone(), chains, nil, now).kept() {
		text[fmt.Sprintf("%s.%d", k.Chain, k.Sequence)] = strings.Join(k.Rules, ", ")
	}
	return func(chain string, sequence int) string { return text[fmt.Sprintf("%s.%d", chain, sequence)] }
}
