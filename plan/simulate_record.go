package plan

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"vbk/store"
)

// record writes down what a simulation shows.
type record struct {
	Simulation
	zone  *time.Location
	since time.Time // what is observed next has been so since then
	lives map[lifeKey]*Life
}

type lifeKey struct {
	chain    string
	sequence int
}

func newRecord(w Want, o SimulateOptions) *record {
	return &record{
		Simulation: Simulation{Address: w.Address, Store: w.Policy.Store, Assumed: o},
		zone:       w.zone(), since: o.From, lives: map[lifeKey]*Life{},
	}
}

// observe takes what has been there since the last run.
func (r *record) observe(kept []Kept, t tally, m *stage, now time.Time) {
	if r.Runs > 0 {
		r.days(t, m, now)
	}
	if r.Assumed.Lives {
		for _, k := range kept {
			r.live(k, m, now)
		}
	}
	r.since = now
}

// days adds the days that ended between the last run and now.
func (r *record) days(t tally, m *stage, now time.Time) {
	from, to := r.since.In(r.zone), now.In(r.zone)
	if from.YearDay() == to.YearDay() && from.Year() == to.Year() {
		return
	}
	d := m.day(t)
	for y, mo, day := from.Date(); ; day++ {
		date := time.Date(y, mo, day, 0, 0, 0, 0, time.UTC)
		if !date.Before(time.Date(to.Year(), to.Month(), to.Day(), 0, 0, 0, 0, time.UTC)) {
			return
		}
		d.Date = date.Format(time.DateOnly)
		r.Days = append(r.Days, d)
	}
}

func (r *record) live(k Kept, m *stage, now time.Time) {
	key := lifeKey{k.Chain, k.Sequence}
	life := r.lives[key]
	if life == nil {
		life = &Life{Chain: k.Chain, Sequence: k.Sequence, Start: k.Start, Full: m.find(k).Kind == store.Full}
		r.lives[key] = life
	}
	rule := k.Rules[0]
	if n := len(life.Spans); n > 0 && life.Spans[n-1].Rule == rule {
		life.Spans[n-1].Until = now
		return
	}
	life.Spans = append(life.Spans, Span{Rule: rule, From: r.since, Until: now})
}

// run counts what a run did.
func (r *record) run(i Instance) {
	r.Runs++
	for _, a := range i.Actions {
		switch a.Kind {
		case KindBackup:
			r.Made++
			if a.Backup.Kind == store.Full {
				r.Fulls++
			}
		case KindPrune:
			r.Deleted += a.Prune.Points
		case KindMerge:
			r.Deleted += len(a.Merge.Gone)
		}
	}
	r.Error = cmp.Or(r.Error, i.Error)
}

// finish adds up.
func (r *record) finish(kept []Kept, t tally, m *stage) Simulation {
	s := r.Simulation
	for _, d := range s.Days {
		if d.Stored > s.Most.Stored {
			s.Most = d
		}
	}
	s.Peak = m.peak
	s.End = m.standing(kept, t, r.since.In(r.zone))
	for _, life := range r.lives {
		s.Lives = append(s.Lives, *life)
	}
	slices.SortFunc(s.Lives, func(a, b Life) int {
		return cmp.Or(a.Start.Compare(b.Start), strings.Compare(a.Chain, b.Chain), cmp.Compare(a.Sequence, b.Sequence))
	})
	return s
}

// day counts what is there.
func (m *stage) day(t tally) Day {
	return Day{Points: t.points, Held: t.held, Needed: t.needed, Chains: len(m.seen.Folder.Chains), Stored: m.stored}
}

func (m *stage) standing(kept []Kept, t tally, now time.Time) Standing {
	s := Standing{Day: m.day(t), Rules: []RuleCount{}}
	s.Date = now.Format(time.DateOnly)
	rules := map[string]int{}
	for _, k := range kept {
		for _, rule := range k.Rules {
			rules[rule]++
		}
		if k.byRule() && (s.Oldest.IsZero() || k.Start.Before(s.Oldest)) {
			s.Oldest = k.Start
		}
		if (k.byRule() || slices.Contains(k.Rules, heldByChain)) && m.find(k).Kind == store.Full {
			s.Fulls++
		}
	}
	for rule, points := range rules {
		s.Rules = append(s.Rules, RuleCount{rule, points})
	}
	slices.SortFunc(s.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), strings.Compare(a.Rule, b.Rule))
	})
	return s
}

// order puts the finest rule first, and what is no rule last.
func (r RuleCount) order() int {
	n := slices.Index([]string{"keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"}, r.Rule)
	if n < 0 {
		return math.MaxInt
	}
	return n
}

func (m *stage) find(k Kept) store.Point {
	for _, c := range m.seen.Folder.Chains {
		if c.Name != k.Chain {
			continue
		}
		for _, p := range c.Manifest.Points {
			if p.Sequence == k.Sequence {
				return p
			}
		}
	}
	return store.Point{}
}

const heldByChain = "held by chain"

// byRule says whether a rule of the policy, or a protection, holds the point
// itself: not only its place in a chain.
func (k Kept) byRule() bool {
	return slices.ContainsFunc(k.Rules, func(rule string) bool {
		return strings.HasPrefix(rule, "keep_") || strings.HasPrefix(rule, "protected") || strings.HasPrefix(rule, "no rule")
	})
}
