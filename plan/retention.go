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
//
// The answers go to held; clocks is memory. Both are as long as points.
func keepRules(points []stamp, r config.Retention, zone *time.Location, held []ruleSet, clocks []wallClock) {
	clear(held)
	readClocks(points, zone, clocks)
	var rules [ruleCount]countRule
	for _, rule := range countRules(r, rules[:0]) {
		rule.hold(points, clocks, held)
	}
	if r.KeepWithin == nil {
		return
	}
	newest := slices.IndexFunc(points, func(p stamp) bool { return p.sound })
	for i := range points {
		if newest < 0 || i <= newest || points[newest].start.Sub(points[i].start) < time.Duration(*r.KeepWithin) {
			held[i] |= 1 << keepWithin
		}
	}
}

type countRule struct {
	bit   int
	count int
	fulls bool // it sees fulls only
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
	var same calendar
	for i := range points {
		p := &points[i]
		if left == 0 {
			return
		}
		if !p.full && rule.fulls {
			continue
		}
		period := same.period(rule.bit, i, clocks[i])
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

// countRules appends the rules that are set.
func countRules(r config.Retention, rules []countRule) []countRule {
	for bit, count := range [...]*int{r.KeepLast, r.KeepHourly, r.KeepDaily, r.KeepWeekly, r.KeepMonthly, r.KeepYearly} {
		if count != nil {
			rules = append(rules, countRule{bit, *count, bit >= keepWeekly && r.Anchor == "full"})
		}
	}
	return rules
}

// wallClock is what a clock on the wall shows at an instant.
type wallClock struct {
	seconds int64 // since 1970 began on that wall
	offset  int64 // seconds ahead of UTC
}

// readClocks reads the clocks in a zone at the starts of points. An offset is
// looked up once for all points between two changes of it: zones keep those in
// tables, the last rule of which is text.
func readClocks(points []stamp, zone *time.Location, clocks []wallClock) {
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
}

// period numbers the periods of a rule: equal in one, different in the next.
func (m *calendar) period(rule, point int, c wallClock) int64 {
	day := floorDiv(c.seconds, 24*3600)
	switch rule {
	case keepLast:
		return int64(point)
	case keepHourly: // the two hours differ that bear one name when summer time ends
		return floorDiv(c.seconds, 3600)*(48*3600) + c.offset + 24*3600
	case keepDaily:
		return day
	case keepWeekly: // ISO weeks begin on Monday, and 1970 began on a Thursday
		return floorDiv(day+3, 7)
	}
	if day < m.from || day >= m.until {
		year, month, date := time.Unix(c.seconds, 0).UTC().Date()
		*m = calendar{day - int64(date-1), day - int64(date-1) + 28, int64(year), int64(month)}
	}
	if rule == keepYearly {
		return m.year
	}
	return m.year*12 + m.month
}

// calendar shows the month of the last day that was looked up: most points are in
// that of the point before.
type calendar struct {
	from, until int64 // days since 1970 that are in it for certain
	year, month int64
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((b - 1 - a) / b)
	}
	return a / b
}

// countOf is how many rules are set; without one every point stays.
func countOf(r config.Retention) (n int) {
	for _, count := range []*int{r.KeepLast, r.KeepHourly, r.KeepDaily, r.KeepWeekly, r.KeepMonthly, r.KeepYearly} {
		if count != nil {
			n++
		}
	}
	if r.KeepWithin != nil {
		n++
	}
	return n
}

// hasRules says whether any keep rule is set.
func hasRules(r config.Retention) bool { return countOf(r) > 0 }
