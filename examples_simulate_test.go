package vbk_test

import (
	"slices"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
)

// promise is what the words of an example say: at any time the last so many days
// hold a point at least every so often.
type promise struct{ back, every time.Duration }

const day = 24 * time.Hour

// TestExamplesHold plays the policies of the examples for 800 days, with the jitter of
// a timer: they keep what their comments promise, in the space that they name.
func TestExamplesHold(t *testing.T) {
	nightly := promise{2 * day, 25 * time.Hour} // the gap of a late night, and an hour to make a point
	all := map[string]struct {
		rpo      time.Duration
		promises []promise
		fulls    int // the space at most, in fulls
	}{
		"single domain.web": {48 * time.Hour, []promise{nightly, {6 * day, 25 * time.Hour}}, 2},
		// Of N periods the first has begun somewhere, and the last is this one.
		"gfs domain.all":          {30 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}, {7 * 7 * day, 8 * day}, {11 * 30 * day, 36 * day}}, 20},
		"forever domain.web":      {48 * time.Hour, []promise{nightly, {6 * day, 25 * time.Hour}, {3 * 7 * day, 8 * day}, {5 * 30 * day, 32 * day}}, 3},
		"home domain.all":         {7 * day, []promise{nightly, {6 * day, 25 * time.Hour}, {3 * 7 * day, 8 * day}, {5 * 30 * day, 32 * day}}, 3},
		"fleet domain.gold":       {8 * time.Hour, []promise{{2*day - 4*time.Hour, 5 * time.Hour}, {29 * day, 25 * time.Hour}, {11 * 7 * day, 8 * day}, {23 * 30 * day, 32 * day}}, 19},
		"fleet domain.silver":     {30 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}, {7 * 7 * day, 8 * day}}, 9},
		"fleet domain.lab":        {30 * time.Hour, []promise{nightly, {6 * day, 25 * time.Hour}}, 2},
		"hooks domain.all":        {48 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}}, 3},
		"hooks domain.db":         {48 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}}, 3},
		"hooks domain.erp":        {48 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}}, 3},
		"migration domain.legacy": {48 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}}, 3},
		"migration domain.rest":   {48 * time.Hour, []promise{nightly, {13 * day, 25 * time.Hour}}, 3},
		"review domain.web":       {48 * time.Hour, []promise{nightly, {6 * day, 25 * time.Hour}}, 2},
	}
	o := plan.SimulateOptions{From: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC), For: config.Duration(800 * day),
		Jitter: config.Duration(20 * time.Minute), Full: 100 << 30, Change: plan.AssumedChange, Lives: true}
	seen := 0
	for name, e := range examples() {
		for _, s := range plan.SimulateAll(plan.BlockPlays(loadExample(t, name, e.vars), o)) {
			want, ok := all[name+" "+s.Address]
			if !ok || s.Error != "" {
				t.Errorf("%s %s: what it promises is not told here, or: %s", name, s.Address, s.Error)
				continue
			}
			seen++
			t.Run(name+" "+s.Address, func(t *testing.T) {
				if got := int((s.Most.Stored + o.Full/2) / o.Full); got != want.fulls {
					t.Errorf("it takes the space of %d fulls, its words say %d", got, want.fulls)
				}
				for now := o.From.Add(750 * day); now.Before(o.From.Add(800 * day)); now = now.Add(7 * time.Hour) {
					for _, p := range append(want.promises, promise{want.rpo, want.rpo}) {
						if gap := widestGap(s.Lives, now, p.back); gap > p.every+time.Duration(o.Jitter) {
							t.Fatalf("on %s the last %s have a gap of %s", now, p.back, gap)
						}
					}
				}
			})
		}
	}
	if seen != len(all) {
		t.Errorf("%d of %d blocks were played", seen, len(all))
	}
}

// widestGap is the longest time without a point, among those that are there now, in
// the time before.
func widestGap(lives []plan.Life, now time.Time, back time.Duration) (widest time.Duration) {
	starts := []time.Time{now.Add(-back), now}
	for _, l := range lives {
		isThere := !l.Spans[0].From.After(now) && l.Spans[len(l.Spans)-1].Until.After(now)
		if isThere && l.Start.After(starts[0]) && l.Start.Before(now) {
			starts = append(starts, l.Start)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for n := range starts[1:] {
		widest = max(widest, starts[n+1].Sub(starts[n]))
	}
	return widest
}
