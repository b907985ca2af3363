package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tables

	"vbk/config"
	"vbk/store"
)

// at reads "2026-11-22 02:00", with "+01:00" behind it where UTC would be
// ambiguous.
func at(t *testing.T, text string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04-07:00"} {
		if v, err := time.Parse(layout, text); err == nil {
			return v
		}
	}
	t.Fatalf("no time: %q", text)
	return time.Time{}
}

func within(d time.Duration) *config.Duration {
	v := config.Duration(d)
	return &v
}

func TestKeepRules(t *testing.T) {
	for _, row := range []struct {
		name   string
		rules  config.Retention
		zone   string
		points []string // newest first; "!" marks a damaged one
		held   []string // the rules that hold each, in short
	}{
		{"no points", config.Retention{KeepDaily: number(3)}, "UTC", nil, nil},
		{"last", config.Retention{KeepLast: number(2)}, "UTC",
			[]string{"2026-11-03 02:00", "2026-11-02 02:00", "2026-11-01 02:00"}, []string{"last", "last", ""}},
		{"last, equal starts", config.Retention{KeepLast: number(2)}, "UTC",
			[]string{"2026-11-03 02:00", "2026-11-03 02:00", "2026-11-03 02:00"}, []string{"last", "last", ""}},
		{"newest of each day", config.Retention{KeepDaily: number(2)}, "UTC",
			[]string{"2026-11-03 22:00", "2026-11-03 02:00", "2026-11-02 22:00", "2026-11-02 02:00", "2026-11-01 02:00"},
			[]string{"daily", "", "daily", "", ""}},
		{"empty days do not count", config.Retention{KeepDaily: number(2)}, "UTC",
			[]string{"2026-11-30 02:00", "2026-03-01 02:00", "2026-01-01 02:00"}, []string{"daily", "daily", ""}},
		{"the oldest stays while counts are left", config.Retention{KeepMonthly: number(3)}, "UTC",
			[]string{"2026-11-30 02:00", "2026-11-15 02:00", "2026-11-01 02:00"}, []string{"monthly", "", "monthly"}},
		{"and not when they are used up", config.Retention{KeepMonthly: number(1)}, "UTC",
			[]string{"2026-11-30 02:00", "2026-11-15 02:00", "2026-11-01 02:00"}, []string{"monthly", "", ""}},
		{"rules overlap", config.Retention{KeepLast: number(1), KeepDaily: number(1), KeepYearly: number(1)}, "UTC",
			[]string{"2026-11-30 02:00", "2026-11-29 02:00"}, []string{"last daily yearly", ""}},
		{"ISO weeks over the new year", config.Retention{KeepWeekly: number(9)}, "UTC",
			[]string{"2027-01-04 02:00", "2027-01-03 02:00", "2026-12-31 02:00", "2026-12-28 02:00", "2026-12-27 02:00"},
			[]string{"weekly", "weekly", "", "", "weekly"}},
		{"yearly", config.Retention{KeepYearly: number(2)}, "UTC",
			[]string{"2027-01-01 00:00", "2026-12-31 23:59", "2025-06-01 00:00"}, []string{"yearly", "yearly", ""}},
		{"within counts from the newest, its end is out", config.Retention{KeepWithin: within(2 * day)}, "UTC",
			[]string{"2020-01-03 02:00", "2020-01-01 02:01", "2020-01-01 02:00"}, []string{"within", "within", ""}},
		{"anchor: weekly and coarser see fulls only", config.Retention{KeepDaily: number(1), KeepWeekly: number(2), KeepMonthly: number(1), Anchor: "full"}, "UTC",
			[]string{"2026-11-21 02:00", "2026-11-16 02:00 full", "2026-11-15 02:00", "2026-11-12 02:00 full", "2026-11-09 02:00 full"},
			[]string{"daily", "weekly monthly", "", "weekly", ""}},
		{"anchor: the oldest full", config.Retention{KeepWeekly: number(9), Anchor: "full"}, "UTC",
			[]string{"2026-11-19 02:00 full", "2026-11-18 02:00", "2026-11-17 02:00 full", "2026-11-16 02:00"}, []string{"weekly", "", "weekly", ""}},
		{"anchor: a damaged full does not count, and is held", config.Retention{KeepWeekly: number(1), Anchor: "full"}, "UTC",
			[]string{"2026-11-20 02:00", "!2026-11-19 02:00 full", "2026-11-10 02:00 full"}, []string{"", "weekly", "weekly"}},
		{"days of the zone, not of UTC", config.Retention{KeepDaily: number(9)}, "Europe/Berlin",
			[]string{"2026-11-03 23:30", "2026-11-03 22:30", "2026-11-02 23:30", "2026-11-02 22:30"},
			[]string{"daily", "daily", "", "daily"}},
		{"the same in UTC", config.Retention{KeepDaily: number(1)}, "UTC",
			[]string{"2026-11-03 23:30", "2026-11-03 22:30", "2026-11-02 23:30"}, []string{"daily", "", ""}},
		{"the hour that comes twice is two hours", config.Retention{KeepHourly: number(9)}, "Europe/Berlin",
			[]string{"2026-10-25 01:30", "2026-10-25 01:10", "2026-10-25 00:30", "2026-10-25 00:10", "2026-10-24 23:30"},
			[]string{"hourly", "", "hourly", "", "hourly"}},
		{"a day of 25 hours is one day", config.Retention{KeepDaily: number(9)}, "Europe/Berlin",
			[]string{"2026-10-25 22:59", "2026-10-24 22:00", "2026-10-24 21:59"}, []string{"daily", "", "daily"}},
		{"a day of 23 hours is one day", config.Retention{KeepDaily: number(9)}, "Europe/Berlin",
			[]string{"2026-03-29 22:00", "2026-03-29 21:59", "2026-03-28 23:00", "2026-03-28 22:59"},
			[]string{"daily", "daily", "", "daily"}},
		{"the offset that a time came with has no say", config.Retention{KeepDaily: number(9)}, "UTC",
			[]string{"2026-11-03 01:00+05:00", "2026-11-02 19:00"}, []string{"daily", "daily"}},
		{"a damaged point does not count, and is held", config.Retention{KeepDaily: number(2)}, "UTC",
			[]string{"!2026-11-03 02:00", "2026-11-02 02:00", "2026-11-01 02:00", "2026-10-31 02:00"},
			[]string{"daily", "daily", "daily", ""}},
		{"a damaged point that no rule would hold", config.Retention{KeepDaily: number(2)}, "UTC",
			[]string{"2026-11-03 02:00", "!2026-11-03 01:00", "2026-11-01 02:00", "!2026-10-31 02:00"},
			[]string{"daily", "", "daily", ""}},
		{"a damaged oldest", config.Retention{KeepMonthly: number(2)}, "UTC",
			[]string{"2026-11-30 02:00", "2026-11-15 02:00", "!2026-11-01 02:00"}, []string{"monthly", "monthly", "monthly"}},
		{"all damaged: each as if it alone were sound", config.Retention{KeepLast: number(1)}, "UTC",
			[]string{"!2026-11-03 02:00", "!2026-11-02 02:00"}, []string{"last", "last"}},
		{"within, the newest damaged", config.Retention{KeepWithin: within(day)}, "UTC",
			[]string{"!2026-11-03 02:00", "2026-11-02 02:00", "2026-11-01 03:00", "2026-11-01 02:00"},
			[]string{"within", "within", "within", ""}},
		{"within, all damaged", config.Retention{KeepWithin: within(day)}, "UTC",
			[]string{"!2026-11-03 02:00", "!2026-10-02 02:00"}, []string{"within", "within"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			zone, err := time.LoadLocation(row.zone)
			if err != nil {
				t.Fatal(err)
			}
			var points []stamp
			for _, p := range row.points {
				text, damaged := strings.CutPrefix(p, "!")
				points = append(points, stamp{start: at(t, strings.TrimSuffix(text, " full")), sound: !damaged, full: strings.HasSuffix(text, " full")})
			}
			var held []string
			for _, rules := range ruled(points, row.rules, zone) {
				held = append(held, strings.ReplaceAll(strings.Join(rules.names(), " "), "keep_", ""))
			}
			mustEqual(t, "held", held, row.held)
		})
	}
}

// plainKeep is restic's rule for one period, as its manual says it: for the
// last n periods that hold a point keep the newest of each, and the oldest of
// all if there are fewer.
func plainKeep(starts []time.Time, n int, layout string) map[int]bool {
	kept, seen := map[int]bool{}, map[string]bool{}
	for i, s := range starts {
		if period := s.Format(layout); !seen[period] && len(seen) < n {
			seen[period], kept[i] = true, true
		}
	}
	if len(seen) < n && len(starts) > 0 {
		kept[len(starts)-1] = true
	}
	return kept
}

// chainsOf makes a chain of the points from each full to the next.
func chainsOf(starts []time.Time, full func(time.Time) bool) (chains []store.Chain) {
	var group []time.Time
	for n, s := range starts {
		if n > 0 && full(s) {
			chains = append(chains, chain(len(chains)+1, group...))
			group = nil
		}
		group = append(group, s)
	}
	return append(chains, chain(len(chains)+1, group...))
}

func sundays(t time.Time) bool { return t.Weekday() == time.Sunday }

// TestFourHundredDays: a point every night for 400 nights, a full on Sundays.
func TestFourHundredDays(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	var starts []time.Time
	for n := range 400 {
		starts = append(starts, now.Add(-time.Duration(399-n)*day))
	}
	chains := chainsOf(starts, sundays)
	w := want()
	w.Policy.Retention = config.Retention{KeepDaily: number(7), KeepWeekly: number(4), KeepMonthly: number(6), MinChains: 1, MaxPrune: 100}
	r := retained(w, time.UTC, chains, nil, now)

	var byRule, ancestors, fulls int
	oldest := now
	for _, k := range keptBy(&w, time.UTC, chains, now) {
		rule := strings.HasPrefix(k.Rules[0], "keep_")
		if rule {
			byRule++
			if k.Start.Before(oldest) {
				oldest = k.Start
			}
		}
		if rule || k.Rules[0] == "held by chain" {
			ancestors++
			if k.Sequence == 0 {
				fulls++
			}
		}
	}
	whole := len(starts)
	for _, v := range r.victims {
		whole -= len(chains[v].Manifest.Points)
	}
	got := fmt.Sprint(byRule, oldest.Format(" 2006-01-02 "), ancestors, fulls, whole)
	if want := fmt.Sprint(15, " 2026-06-30 ", 32, 9, 57); got != want {
		t.Errorf("kept by rules, oldest, with ancestors, fulls, in whole chains: %s, want %s", got, want)
	}
}

func TestPlainKeepAgrees(t *testing.T) {
	var starts []time.Time
	for n := range 120 {
		starts = append(starts, noon.Add(-time.Duration(n*n%97)*7*time.Hour-time.Duration(n)*11*time.Hour))
	}
	slices.SortFunc(starts, func(a, b time.Time) int { return b.Compare(a) })
	points := make([]stamp, len(starts))
	for i, s := range starts {
		points[i] = stamp{start: s, sound: true}
	}
	for n := 1; n < 70; n++ {
		for layout, rules := range map[string]config.Retention{
			"2006-01-02T15": {KeepHourly: &n}, "2006-01-02": {KeepDaily: &n}, "2006-01": {KeepMonthly: &n}, "2006": {KeepYearly: &n},
		} {
			plain := plainKeep(starts, n, layout)
			for i, held := range ruled(points, rules, time.UTC) {
				if plain[i] != (held != 0) {
					t.Fatalf("%s, %d: point %d of %s: kept %v, plainly %v", layout, n, i, starts[i], held, plain[i])
				}
			}
		}
	}
}

// FuzzRetention takes points of any times, in any zone, under any rules: the newest
// sound one is held, and longer rules hold whatever shorter ones do.
func FuzzRetention(f *testing.F) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"}
	f.Add([]byte{1, 0, 2, 0, 3, 0}, byte(1), byte(2), byte(3), byte(0), uint16(0), false)
	f.Add([]byte{9, 130, 0, 1, 250, 7}, byte(0), byte(4), byte(1), byte(4), uint16(48), true)
	f.Fuzz(func(t *testing.T, gaps []byte, last, daily, monthly, place byte, hours uint16, anchored bool) {
		zone, err := time.LoadLocation(zones[int(place)%len(zones)])
		if err != nil {
			t.Fatal(err)
		}
		var points []stamp
		for when := noon; len(gaps) >= 2 && len(points) < 400; gaps = gaps[2:] {
			points = append(points, stamp{start: when, sound: gaps[1]%4 != 0, full: gaps[1]%3 == 0})
			when = when.Add(-time.Duration(gaps[0]) * time.Duration(1+gaps[1]) * 37 * time.Minute)
		}
		rules := func(more int) (r config.Retention) {
			for at, n := range map[**int]byte{&r.KeepLast: last, &r.KeepDaily: daily, &r.KeepMonthly: monthly} {
				if n > 0 {
					*at = number(int(n) + more)
				}
			}
			if hours > 0 {
				r.KeepWithin = within(time.Duration(int(hours)+more) * time.Hour)
			}
			if anchored {
				r.Anchor = "full"
			}
			return r
		}
		held, longer := ruled(points, rules(0), zone), ruled(points, rules(1), zone)
		newest := slices.IndexFunc(points, func(p stamp) bool { return p.sound })
		if newest >= 0 && (last > 0 || daily > 0 || hours > 0) && held[newest] == 0 {
			t.Errorf("the newest sound point goes: %v", points)
		}
		for i := range points {
			if held[i] != 0 && longer[i] == 0 {
				t.Errorf("point %d goes only by the longer rules: %v", i, points[i])
			}
		}
	})
}
