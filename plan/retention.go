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

// ruleSet is a set of keep rules: a bit each, the finest rule the lowest.
type ruleSet uint8

// The names of the rules, in the order of their bits.
const (
	keepLast = iota
	keepHourly
	keepDaily
	keepWeekly
	keepMonthly
	keepYearly
	keepWithin
	ruleCount
)

func ruleName(rule int) string {
	return [ruleCount]string{"keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"}[rule]
}

// ruleNames are the names of the rules of every set.
var ruleNames = func() (all [1 << ruleCount][]string) {
	for set := range all {
		for rule := range ruleCount {
			if set&(1<<rule) != 0 {
				all[set] = append(all[set], ruleName(rule))
			}
		}
		all[set] = slices.Clip(all[set]) // who appends has a copy
	}
	return all
}()

// names are the names of the rules, the finest first.
func (s ruleSet) names() []string { return ruleNames[s] }

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
func keepRules(points []stamp, r config.Retention, zone *time.Location) []ruleSet {
	held := make([]ruleSet, len(points))
	clocks := wallClocks(points, zone)
	for _, rule := range countRules(r) {
		rule.hold(points, clocks, held)
	}
	if r.KeepWithin == nil {
		return held
	}
	newest := slices.IndexFunc(points, func(p stamp) bool { return p.sound })
	for i, p := range points {
		if newest < 0 || i <= newest || points[newest].start.Sub(p.start) < time.Duration(*r.KeepWithin) {
			held[i] |= 1 << keepWithin
		}
	}
	return held
}

type countRule struct {
	bit    int
	count  int
	fulls  bool                  // it sees fulls only
	period func(wallClock) int64 // nil: each point is one
}

// hold adds the rule to what it holds.
func (rule countRule) hold(points []stamp, clocks []wallClock, held []ruleSet) {
	oldest := len(points) // among the sound ones that the rule sees
	for i := len(points) - 1; i >= 0; i-- {
		if points[i].sound && (points[i].full || !rule.fulls) {
			oldest = i
			break
		}
	}
	left, last := rule.count, int64(math.MinInt64)
	for i := range points {
		p := &points[i]
		if left == 0 {
			return
		}
		if !p.full && rule.fulls {
			continue
		}
		period := int64(i)
		if rule.period != nil {
			period = rule.period(clocks[i])
		}
		fresh := period != last
		if fresh || i >= oldest {
			held[i] |= 1 << rule.bit
		}
		if fresh && p.sound {
			left--
			last = period
		}
	}
}

func countRules(r config.Retention) []countRule {
	rules := make([]countRule, 0, ruleCount)
	add := func(bit int, count *int, coarse bool, period func(wallClock) int64) {
		if count != nil {
			rules = append(rules, countRule{bit, *count, coarse && r.Anchor == "full", period})
		}
	}
	add(keepLast, r.KeepLast, false, nil)
	add(keepHourly, r.KeepHourly, false, wallClock.hour)
	add(keepDaily, r.KeepDaily, false, wallClock.day)
	add(keepWeekly, r.KeepWeekly, true, wallClock.week)
	add(keepMonthly, r.KeepMonthly, true, wallClock.month)
	add(keepYearly, r.KeepYearly, true, wallClock.year)
	return rules
}

// wallClock is what a clock on the wall shows at an instant.
type wallClock struct {
	seconds int64 // since 1970 began on that wall
	offset  int64 // seconds ahead of UTC
}

// wallClocks are the clocks in a zone at the starts of points. An offset is
// looked up once for all points between two changes of it: zones keep those in
// tables, the last rule of which is text.
func wallClocks(points []stamp, zone *time.Location) []wallClock {
	clocks := make([]wallClock, len(points))
	var from, until time.Time // of offset; zero: without end
	offset, known := int64(0), false
	for i := range points {
		start := points[i].start
		if !known || start.Before(from) || !until.IsZero() && !start.Before(until) {
			local := start.In(zone)
			_, seconds := local.Zone()
			from, until = local.ZoneBounds()
			offset, known = int64(seconds), true
		}
		clocks[i] = wallClock{start.Unix() + offset, offset}
	}
	return clocks
}

// hour tells the two hours apart that bear one name when summer time ends.
func (c wallClock) hour() int64 { return floorDiv(c.seconds, 3600)*(48*3600) + c.offset + 24*3600 }

func (c wallClock) day() int64 { return floorDiv(c.seconds, 24*3600) }

// week is an ISO week: it begins on Monday, and 1970 began on a Thursday.
func (c wallClock) week() int64 { return floorDiv(c.day()+3, 7) }

func (c wallClock) month() int64 {
	year, month, _ := time.Unix(c.seconds, 0).UTC().Date()
	return int64(year)*12 + int64(month)
}

func (c wallClock) year() int64 { return int64(time.Unix(c.seconds, 0).UTC().Year()) }

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}

// countOf is how many rules are set; without one every point stays.
func countOf(r config.Retention) int {
	n := len(countRules(r))
	if r.KeepWithin != nil {
		n++
	}
	return n
}

// hasRules says whether any keep rule is set.
func hasRules(r config.Retention) bool { return countOf(r) > 0 }
