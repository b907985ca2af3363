package main

import (
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

// outlookSpan is how far an outlook goes.
const outlookSpan = 90 * 24 * time.Hour

// outlook is what becomes of what is there if every machine goes on to be
// backed up as its block says, and to change as much as it did.
type outlook struct {
	until time.Time
	goes  map[pointKey]time.Time // when a point that exists goes; zero: not before until
	free  map[string][]int64     // by store: bytes free at the end of each day from now on

	machines map[string]int // by store: how many the outlook is of
	guessed  map[string]int // those among them of which too little is known
}

type pointKey struct {
	instance, chain string
	sequence        int
}

// outlookOf has the planner play the next days.
func outlookOf(cfg *config.Config, have plan.Inventory, now time.Time) outlook {
	o := outlook{now.Add(outlookSpan), map[pointKey]time.Time{}, map[string][]int64{}, map[string]int{}, map[string]int{}}
	plays := plan.InstancePlays(cfg, have, plan.SimulateOptions{From: now.UTC(), For: config.Duration(outlookSpan), Lives: true}, true)
	growth := map[string][]int64{}
	for n, s := range plan.SimulateAll(plays) {
		o.machines[s.Store]++
		if s.Error != "" || !plan.HasHistory(plays[n].Seen) {
			o.guessed[s.Store]++
		}
		if s.Error != "" {
			continue // nothing is known of this machine's next days
		}
		o.lives(s)
		if growth[s.Store] == nil {
			growth[s.Store] = make([]int64, int(outlookSpan/(24*time.Hour)))
		}
		grow(growth[s.Store], s, storedIn(plays[n].Seen.Folder), cfg.TimeZone)
	}
	for _, s := range have.Stores {
		if s.Error != "" {
			continue
		}
		for _, more := range growth[s.Address] {
			o.free[s.Address] = append(o.free[s.Address], s.Free-more)
		}
	}
	return o
}

func (o outlook) lives(s plan.Simulation) {
	for _, life := range s.Lives {
		last := life.Spans[len(life.Spans)-1].Until
		if !last.Before(o.until) {
			last = time.Time{}
		}
		o.goes[pointKey{s.Address, life.Chain, life.Sequence}] = last
	}
}

// grow adds what a machine stores beyond what it has now, at the end of each
// day. Days that are not told are like the one before.
func grow(sum []int64, s plan.Simulation, now int64, zone *time.Location) {
	y, month, today := s.Assumed.From.In(zone).Date()
	more, next := int64(0), 0
	for n := range sum {
		date := time.Date(y, month, today+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		for next < len(s.Days) && s.Days[next].Date <= date {
			more = s.Days[next].Stored - now
			next++
		}
		sum[n] += more
	}
}

func storedIn(f *store.Domain) (n int64) {
	if f == nil {
		return 0
	}
	for _, c := range f.Chains {
		for _, p := range c.Manifest.Points {
			n += p.Stored()
		}
	}
	return n
}

// full is the first day at whose end a store has no more than minFree bytes;
// zero if there is none.
func (o outlook) full(store string, minFree int64) time.Time {
	for n, free := range o.free[store] {
		if free <= minFree {
			return o.until.Add(-outlookSpan).AddDate(0, 0, n)
		}
	}
	return time.Time{}
}

// last is when a point goes, or the end of what is foreseen.
func (o outlook) last(k pointKey) time.Time {
	if goes := o.goes[k]; !goes.IsZero() {
		return goes
	}
	return o.until
}
