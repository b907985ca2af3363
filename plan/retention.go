package plan

import (
	"cmp"
	"math"
	"slices"
	"time"

	"vbk/config"
)

// stamp is a point as the keep rules see it.
type stamp struct {
	start time.Time
	sound bool
	full  bool

	chain, point int // its place
}

func newestFirst(x, y stamp) int {
	if order := y.start.Compare(x.start); order != 0 {
		return order
	}
	return cmp.Or(cmp.Compare(y.chain, x.chain), cmp.Compare(y.point, x.point))
}

// keepRules says for each point which keep rules hold it. The points are sorted
// newest first. The semantics are restic's: each rule keeps the newest point of
// each of the last N periods that hold one; rules overlap; the oldest point
// stays while a rule has counts left; keep_within counts from the newest point,
// not from now.
//
// With anchor = "full" weekly and coarser rules see fulls only.
//
// Only sound points count. A damaged one is held where it would be if it alone
// were sound, so damage costs no point that was held: neither another nor
// itself.
func keepRules(points []stamp, r config.Retention, zone *time.Location) [][]string {
	held := make([][]string, len(points))
	for _, rule := range countRules(r) {
		rule.hold(points, zone, held)
	}
	if r.KeepWithin == nil {
		return held
	}
	newest := slices.IndexFunc(points, func(p stamp) bool { return p.sound })
	for i, p := range points {
		if newest < 0 || i <= newest || points[newest].start.Sub(p.start) < time.Duration(*r.KeepWithin) {
			held[i] = append(held[i], "keep_within")
		}
	}
	return held
}

type countRule struct {
	name   string
	count  int
	fulls  bool // it sees fulls only
	period func(i int, t time.Time) int
}

// hold adds the rule's name to what it holds.
func (rule countRule) hold(points []stamp, zone *time.Location, held [][]string) {
	sees := func(p stamp) bool { return p.full || !rule.fulls }
	oldest := len(points) // among the sound ones
	for i, p := range points {
		if p.sound && sees(p) {
			oldest = i
		}
	}
	left, last := rule.count, math.MinInt
	for i, p := range points {
		if left == 0 {
			return
		}
		if !sees(p) {
			continue
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

func countRules(r config.Retention) []countRule {
	all := []struct {
		name   string
		count  *int
		coarse bool
		period func(int, time.Time) int
	}{
		{"keep_last", r.KeepLast, false, func(i int, _ time.Time) int { return i }},
		{"keep_hourly", r.KeepHourly, false, hourOf},
		{"keep_daily", r.KeepDaily, false, func(_ int, t time.Time) int { return t.Year()*366 + t.YearDay() }},
		{"keep_weekly", r.KeepWeekly, true, isoWeek},
		{"keep_monthly", r.KeepMonthly, true, func(_ int, t time.Time) int { return t.Year()*12 + int(t.Month()) }},
		{"keep_yearly", r.KeepYearly, true, func(_ int, t time.Time) int { return t.Year() }},
	}
	var rules []countRule
	for _, c := range all {
		if c.count != nil {
			rules = append(rules, countRule{c.name, *c.count, c.coarse && r.Anchor == "full", c.period})
		}
	}
	return rules
}

// hourOf tells the two hours apart that bear one name when summer time ends.
func hourOf(_ int, t time.Time) int {
	_, offset := t.Zone()
	return ((t.Year()*366+t.YearDay())*24+t.Hour())*(48*3600) + offset + 24*3600
}

func isoWeek(_ int, t time.Time) int {
	year, week := t.ISOWeek()
	return year*54 + week
}

// keepRuleNames are the rules that are set; without one every point stays.
func keepRuleNames(r config.Retention) (names []string) {
	for _, rule := range countRules(r) {
		names = append(names, rule.name)
	}
	if r.KeepWithin != nil {
		names = append(names, "keep_within")
	}
	return names
}

// hasRules says whether any keep rule is set.
func hasRules(r config.Retention) bool {
	return r.KeepLast != nil || r.KeepHourly != nil || r.KeepDaily != nil || r.KeepWeekly != nil || r.KeepMonthly != nil || r.KeepYearly != nil ||
		r.KeepWithin != nil
}
