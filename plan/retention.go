package plan

import (
	"fmt"
	"time"

	"vbk/config"
)

// stamp is a point as the keep rules see it.
type stamp struct {
	start time.Time
	sound bool
}

// keepRules says for each point which keep rules hold it. The points are sorted
// newest first. The semantics are restic's: each rule keeps the newest point of
// each of the last N periods that hold one; rules overlap; the oldest point
// stays while a rule has counts left; keep_within counts from the newest point,
// not from now.
//
// Only sound points count. A damaged one is held where it would be if it alone
// were sound, so damage costs no point that was held: neither another nor
// itself.
func keepRules(points []stamp, r config.Retention, zone *time.Location) [][]string {
	held := make([][]string, len(points))
	newest, oldest := len(points), len(points) // among the sound ones
	for i, p := range points {
		if p.sound {
			newest, oldest = min(newest, i), i
		}
	}
	for _, rule := range countRules(r) {
		left, last := rule.count, ""
		for i, p := range points {
			if left == 0 {
				break
			}
			period := rule.period(i, p.start.In(zone))
			fresh := period != last
			if fresh || i >= oldest {
				held[i] = append(held[i], rule.name)
			}
			if fresh && p.sound {
				left--
				last = period
			}
		}
	}
	if r.KeepWithin == nil {
		return held
	}
	for i, p := range points {
		if i <= newest || points[newest].start.Sub(p.start) < time.Duration(*r.KeepWithin) {
			held[i] = append(held[i], "keep_within")
		}
	}
	return held
}

type countRule struct {
	name   string
	count  int
	period func(i int, t time.Time) string
}

func countRules(r config.Retention) []countRule {
	layout := func(l string) func(int, time.Time) string {
		return func(_ int, t time.Time) string { return t.Format(l) }
	}
	all := []struct {
		name   string
		count  *int
		period func(int, time.Time) string
	}{
		{"keep_last", r.KeepLast, func(i int, _ time.Time) string { return fmt.Sprint(i) }},
		{"keep_hourly", r.KeepHourly, layout("2006-01-02 15 -0700")},
		{"keep_daily", r.KeepDaily, layout("2006-01-02")},
		{"keep_weekly", r.KeepWeekly, isoWeek},
		{"keep_monthly", r.KeepMonthly, layout("2006-01")},
		{"keep_yearly", r.KeepYearly, layout("2006")},
	}
	var rules []countRule
	for _, c := range all {
		if c.count != nil {
			rules = append(rules, countRule{c.name, *c.count, c.period})
		}
	}
	return rules
}

func isoWeek(_ int, t time.Time) string {
	year, week := t.ISOWeek()
	return fmt.Sprintf("%d-%02d", year, week)
}

// hasRules says whether any keep rule is set; without one every point stays.
func hasRules(r config.Retention) bool {
	return len(countRules(r)) > 0 || r.KeepWithin != nil
}
