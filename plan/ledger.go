package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"vbk/store"
)

// ledger evaluates the rules over the points of one instance. It keeps its memory
// from one use to the next: a simulation opens one ten thousand times.
type ledger struct {
	want   *Want
	zone   *time.Location
	chains []store.Chain
	now    time.Time

	stamps []stamp  // a place for a planned point, then those that rules see, newest first
	doubt  bool     // a point that is made now comes strangely late
	holds  [][]hold // by chain: what holds its points whatever the rules say
	pool   []hold   // of holds
	sets   []ruleSet
	clocks []wallClock
	all    []Kept
	tally  tally
}

// tally counts the points of a list of kept ones.
type tally struct {
	points int
	held   int // that a rule of the policy holds, or a protection: not only their place in a chain
	needed int // those, and what they build on
}

// hold is what holds a point: keep rules, and what does so whatever they say.
type hold struct {
	rules                     ruleSet
	protected, future, noRule bool
	doubt                     bool // the clock may have jumped
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
	case h.doubt:
		names = clockInDoubt
	}
	if h.protected {
		return append([]string{protection(p.Protected)}, names...)
	}
	return names
}

var (
	allStay       = []string{"no rule: all stay"}
	fromTheFuture = []string{"from the future"}
	clockInDoubt  = []string{"the clock may have jumped"}
	neededByChain = []string{heldByChain}
)

// retention is what the rules say about the chains of an instance. Its parts
// last until the ledger evaluates again, but for victims and merges.
type retention struct {
	held    [][]hold // what holds each point of each chain
	planned hold     // what would hold the planned point
	stays   []string // why each chain stays whatever the rules say; "" if it need not
	victims []int    // positions of the chains that go, oldest first
	merges  []Merge  // of points in the others, oldest first
}

// open reads the points. A chain is closed for good where damage was found in it:
// nobody knows what else is, so its points count like damaged ones.
func (l *ledger) open(w *Want, zone *time.Location, chains []store.Chain, now time.Time) {
	l.want, l.zone, l.chains, l.now, l.doubt = w, zone, chains, now, clockDoubt(w, chains, now)
	points := pointsOf(chains)
	l.stamps = append(slices.Grow(l.stamps[:0], points+1), stamp{})
	l.pool = slices.Grow(l.pool[:0], points)[:points]
	l.holds = slices.Grow(l.holds[:0], len(chains))[:len(chains)]
	clear(l.pool)
	rest, ruled := l.pool, hasRules(w.Policy.Retention)
	for n := len(chains) - 1; n >= 0; n-- {
		c := &chains[n]
		many := len(c.Manifest.Points)
		l.holds[n], rest = rest[:many:many], rest[many:]
		if isForeign(w, c) {
			continue
		}
		for k := many - 1; k >= 0; k-- {
			p, h := &c.Manifest.Points[k], &l.holds[n][k]
			h.protected = p.Protected.Holds(now)
			switch {
			case !ruled:
				h.noRule = true
			case fromFuture(p.Start, now):
				h.future = true
			case inDoubt(p, w.Policy, now):
				h.doubt = true
			default:
				l.stamps = append(l.stamps, stamp{p.Start, c.Manifest.Closed == "" && c.Sound(p.Sequence), p.Kind == store.Full, n, k})
			}
		}
	}
	if seen := l.stamps[1:]; !slices.IsSortedFunc(seen, newestFirst) {
		slices.SortFunc(seen, newestFirst)
	}
}

// retained evaluates the rules over the points, and over the planned one if b
// is set. A chain goes when no rule holds a point of it and nothing else
// makes it stay.
func (l *ledger) retained(b *Backup) retention {
	w, open, sound := l.want, len(l.chains)-1, 0 // sound chains of ours that are newer
	if b != nil && b.Chain == "" {
		open, sound = len(l.chains), 1
	}
	r := retention{held: l.holds, planned: l.hold(b), stays: make([]string, len(l.chains))}
	forEver, least := merges(*w), max(w.Policy.Retention.MinChains, 1)
	for n := len(l.chains) - 1; n >= 0; n-- {
		c := &l.chains[n]
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
			r.merges = append(mergesOf(c, r.held[n], b != nil && b.Chain != "" && n == open), r.merges...)
		}
		if len(c.Problems) == 0 && c.Manifest.Closed == "" && !foreign && !incomplete {
			sound++
		}
	}
	slices.Reverse(r.victims)
	return r
}

// hold writes down which points the rules hold, if the planned one is among
// them, and returns what would hold that one.
func (l *ledger) hold(b *Backup) (planned hold) {
	for n := range l.pool {
		l.pool[n].rules = 0
	}
	seen, place := l.stamps[1:], 0
	if b != nil && !l.doubt {
		seen = l.stamps
		seen[0] = stamp{l.now, true, b.Kind == store.Full, len(l.chains), 0}
		for ; place+1 < len(seen) && newestFirst(seen[place], seen[place+1]) > 0; place++ { // a clock was ahead
			seen[place], seen[place+1] = seen[place+1], seen[place]
		}
	}
	l.sets, l.clocks = slices.Grow(l.sets[:0], len(seen))[:len(seen)], slices.Grow(l.clocks[:0], len(seen))[:len(seen)]
	keepRules(seen, l.want.Policy.Retention, l.zone, l.sets, l.clocks)
	for n, rules := range l.sets {
		if at := &seen[n]; at.chain < len(l.chains) {
			l.holds[at.chain][at.point].rules = rules
		} else {
			planned.rules = rules
		}
	}
	for ; place > 0; place-- {
		seen[place], seen[place-1] = seen[place-1], seen[place]
	}
	return planned
}

// kept lists the points with what holds each: a rule, a newer point that needs
// it, or why the whole chain stays.
func (l *ledger) kept(r retention) []Kept {
	l.tally = tally{points: len(l.pool)}
	l.all = slices.Grow(l.all[:0], len(l.pool))[:len(l.pool)]
	rest := l.all
	for n := range l.chains {
		c := &l.chains[n]
		whole, holds := []string{cmp.Or(r.stays[n], "closed chain")}, false
		for k := len(c.Manifest.Points) - 1; k >= 0; k-- {
			p, h := &c.Manifest.Points[k], r.held[n][k]
			rules := whole
			switch {
			case h.any():
				rules, holds = h.names(p), true
				if !h.future && !h.doubt || h.protected {
					l.tally.held++
					l.tally.needed++
				}
			case holds:
				rules = neededByChain
				l.tally.needed++
			}
			if len(c.Problems) > 0 && !c.Sound(p.Sequence) {
				rules = append([]string{"damaged"}, rules...)
			}
			rest[k] = Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules}
		}
		rest = rest[len(c.Manifest.Points):]
	}
	return l.all
}

// keptBy lists the points of chains with what holds each.
func keptBy(w *Want, zone *time.Location, chains []store.Chain, now time.Time) []Kept {
	var l ledger
	l.open(w, zone, chains, now)
	return l.kept(l.retained(nil))
}
