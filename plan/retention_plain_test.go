package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
)

// plainRules are the keep rules as docs/language.md says them, with names for
// sets and the calendar for arithmetic: slow, and easy to believe.
func plainRules(points []stamp, r config.Retention, zone *time.Location) [][]string {
	held := make([][]string, len(points))
	hour := func(_ int, t time.Time) string { return t.Format("2006-01-02 15 -0700") }
	week := func(_ int, t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }
	for _, rule := range []struct {
		name   string
		count  *int
		coarse bool
		period func(int, time.Time) string
	}{
		{"keep_last", r.KeepLast, false, func(i int, _ time.Time) string { return fmt.Sprint(i) }},
		{"keep_hourly", r.KeepHourly, false, hour},
		{"keep_daily", r.KeepDaily, false, func(_ int, t time.Time) string { return t.Format("2006-01-02") }},
		{"keep_weekly", r.KeepWeekly, true, week},
		{"keep_monthly", r.KeepMonthly, true, func(_ int, t time.Time) string { return t.Format("2006-01") }},
		{"keep_yearly", r.KeepYearly, true, func(_ int, t time.Time) string { return t.Format("2006") }},
	} {
		if rule.count == nil {
			continue
		}
		sees := func(p stamp) bool { return p.full || !rule.coarse || r.Anchor != "full" }
		oldest := len(points)
		for i, p := range points {
			if p.sound && sees(p) {
				oldest = i
			}
		}
		left, last := *rule.count, ""
		for i, p := range points {
			if left == 0 || !sees(p) {
				continue
			}
			period := rule.period(i, p.start.In(zone))
			if period != last || i >= oldest {
				held[i] = append(held[i], rule.name)
			}
			if period != last && p.sound {
				left, last = left-1, period
			}
		}
	}
	if r.KeepWithin != nil {
		newest := slices.IndexFunc(points, func(p stamp) bool { return p.sound })
		for i, p := range points {
			if newest < 0 || i <= newest || points[newest].start.Sub(p.start) < time.Duration(*r.KeepWithin) {
				held[i] = append(held[i], "keep_within")
			}
		}
	}
	return held
}

// TestKeepRulesAreThePlainOnes on random histories: damage, gaps, points of one
// instant, zones whose clocks change by an hour or by half of one, and dates
// before 1970.
func TestKeepRulesAreThePlainOnes(t *testing.T) {
	names := []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"}
	zones := map[string]*time.Location{}
	for _, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones[name] = zone
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "newest"), 0).UTC()
		step := rapid.SampledFrom([]int{600, 3600, 14 * 3600, 86400, 30 * 86400}).Draw(t, "step")
		var points []stamp
		for range rapid.IntRange(0, 120).Draw(t, "points") {
			points = append(points, stamp{start: at, sound: rapid.IntRange(0, 5).Draw(t, "sound") > 0, full: rapid.Bool().Draw(t, "full")})
			at = at.Add(-time.Duration(rapid.IntRange(0, 2*step).Draw(t, "gap")) * time.Second)
		}
		r := config.Retention{Anchor: rapid.SampledFrom([]string{"any", "full"}).Draw(t, "anchor")}
		for name, count := range map[string]**int{"last": &r.KeepLast, "hourly": &r.KeepHourly, "daily": &r.KeepDaily,
			"weekly": &r.KeepWeekly, "monthly": &r.KeepMonthly, "yearly": &r.KeepYearly} {
			if n := rapid.SampledFrom([]int{-1, 0, 1, 2, 5, 30, math.MaxInt32}).Draw(t, name); n >= 0 {
				*count = &n
			}
		}
		if d := rapid.IntRange(-1, 60).Draw(t, "within"); d >= 0 {
			r.KeepWithin = within(time.Duration(d) * day)
		}
		zone := zones[rapid.SampledFrom(names).Draw(t, "zone")]
		plain := plainRules(points, r, zone)
		for n, rules := range ruled(points, r, zone) {
			if got, want := strings.Join(rules.names(), " "), strings.Join(plain[n], " "); got != want {
				t.Fatalf("%s, %+v: point %d of %s is held by %q, want %q", zone, r, n, points[n].start.In(zone), got, want)
			}
		}
	})
}

// ruled are the sets of keepRules.
func ruled(points []stamp, r config.Retention, zone *time.Location) []ruleSet {
	held := make([]ruleSet, len(points))
	keepRules(points, r, zone, held, make([]wallClock, len(points)))
	return held
}

// retained is what the rules say of chains.
func retained(w Want, zone *time.Location, chains []store.Chain, b *Backup, now time.Time) retention {
	var l ledger
	l.open(&w, zone, chains, now)
	return l.retained(b)
}
