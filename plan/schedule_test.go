package plan

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
)

func mustParse(t *testing.T, line, zone string) schedule {
	t.Helper()
	s, err := parseSchedule(line, mustLoad(zone))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTicks lists the ticks after a time, as the clocks of the zone show them
// and in UTC. The changes of clocks are real ones.
func TestTicks(t *testing.T) {
	for _, row := range []struct {
		name, line, zone, after string
		ticks                   []string
	}{
		{"every night", "30 2 * * *", "UTC", "2026-11-22 12:00", []string{"2026-11-23 02:30", "2026-11-24 02:30"}},
		{"a tick is not after itself", "0 12 * * *", "UTC", "2026-11-22 12:00", []string{"2026-11-23 12:00"}},
		{"zone", "30 2 * * *", "Europe/Berlin", "2026-11-22 12:00", []string{"2026-11-23 01:30"}},
		{"a wall time that does not exist", "30 2 * * *", "Europe/Berlin", "2026-03-28 12:00",
			[]string{"2026-03-29 01:00", "2026-03-30 00:30"}},
		{"several of them are one tick", "0,20,40 2 * * *", "Europe/Berlin", "2026-03-29 00:00",
			[]string{"2026-03-29 01:00", "2026-03-30 00:00"}},
		{"a wall time that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00",
			[]string{"2026-10-25 00:30", "2026-10-26 01:30"}},
		{"hourly when an hour comes twice", "0 * * * *", "Europe/Berlin", "2026-10-24 23:00",
			[]string{"2026-10-25 00:00", "2026-10-25 02:00"}},
		{"a change by half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-02 20:00",
			[]string{"2026-10-03 15:30", "2026-10-04 15:15"}},
		{"midnight that does not exist", "0 0 * * *", "America/Asuncion", "2023-09-30 12:00",
			[]string{"2023-10-01 04:00", "2023-10-02 03:00"}},
		{"a day that does not exist", "0 12 * * *", "Pacific/Apia", "2011-12-29 12:00",
			[]string{"2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00"}},
		{"the 29th of February", "0 0 29 2 *", "UTC", "2096-03-01 00:00", []string{"2104-02-29 00:00"}},
		{"day of month or day of week", "0 0 1 * mon", "UTC", "2026-11-22 12:00",
			[]string{"2026-11-23 00:00", "2026-11-30 00:00", "2026-12-01 00:00"}},
		{"months", "0 0 1 jan,jul *", "UTC", "2026-11-22 12:00", []string{"2027-01-01 00:00", "2027-07-01 00:00"}},
		{"working days", "0 22 * * 1-5", "UTC", "2026-11-20 12:00", []string{"2026-11-20 22:00", "2026-11-23 22:00"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, now := mustParse(t, row.line, row.zone), at(t, row.after)
			var ticks []string
			for range row.ticks {
				next, ok := s.next(now)
				if !ok {
					t.Fatalf("no tick after %s", now)
				}
				ticks, now = append(ticks, next.Format("2006-01-02 15:04")), next
				if back, ok := s.prev(next.Add(time.Second)); !ok || !back.Equal(next) {
					t.Errorf("the tick before %s is %s", next.Add(time.Second), back)
				}
			}
			if !slices.Equal(ticks, row.ticks) {
				t.Errorf("ticks %q, want %q", ticks, row.ticks)
			}
		})
	}
}

func TestScheduleRefuses(t *testing.T) {
	for _, line := range []string{"", "@daily", "* * * *", "* * * * * *", "TZ=UTC 0 0 * * *", "TZ=", "60 * * * *", "CRON_TZ=x"} {
		if _, err := parseSchedule(line, time.UTC); err == nil {
			t.Errorf("%q is a schedule", line)
		}
	}
	s := mustParse(t, "0 0 30 2 *", "UTC")
	if _, ok := s.next(noon); ok {
		t.Error("the 30th of February comes")
	}
	if _, ok := s.prev(noon); ok {
		t.Error("the 30th of February came")
	}
}

// TestOneTickADay: whatever the zone does, a daily schedule comes once on each
// calendar day that the zone has, next and prev agree, and time never stands
// still.
func TestOneTickADay(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Asuncion", "Africa/Casablanca", "Asia/Kathmandu", "Antarctica/Troll"}
	rapid.Check(t, func(t *rapid.T) {
		zone := mustLoad(rapid.SampledFrom(zones).Draw(t, "zone"))
		minute, hour := rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 23).Draw(t, "hour")
		s, err := parseSchedule(time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC).Format("4 15 * * *"), zone)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2020, 1, 1, 0, 0, 0, 0, zone).AddDate(0, 0, rapid.IntRange(0, 2500).Draw(t, "day"))
		tick, _ := s.next(now.Add(-time.Nanosecond))
		for range 200 {
			next, ok := s.next(tick)
			if !ok || !next.After(tick) {
				t.Fatalf("after %s comes %s", tick, next)
			}
			if want := dayOf(tick.In(zone)).AddDate(0, 0, 1); !dayOf(next.In(zone)).Equal(want) {
				t.Fatalf("after the tick of %s comes that of %s", tick.In(zone), next.In(zone))
			}
			if back, _ := s.prev(next.Add(-time.Nanosecond)); !back.Equal(tick) {
				t.Fatalf("before %s came %s, not %s", next, back, tick)
			}
			tick = next
		}
	})
}

func TestWhenDue(t *testing.T) {
	for _, row := range []struct {
		name, schedule, newest, now string
		due                         bool
		next                        string
	}{
		{"no tick since", "0 2 * * *", "2026-11-22 02:01", "2026-11-22 12:00", false, "2026-11-23 02:00"},
		{"a tick since", "0 2 * * *", "2026-11-22 02:01", "2026-11-23 02:00", true, ""},
		{"long ago", "0 2 * * *", "2026-10-22 02:01", "2026-11-23 01:59", true, ""},
		{"made a little before the tick", "0 2 * * *", "2026-11-23 01:00", "2026-11-23 02:00", false, "2026-11-24 02:00"},
		{"made too long before the tick", "0 2 * * *", "2026-11-23 00:59", "2026-11-23 02:00", true, ""},
		{"a little before the tick that comes", "0 2 * * *", "2026-11-23 01:30", "2026-11-23 01:40", false, "2026-11-24 02:00"},
		{"every ten minutes the tolerance is one", "*/10 * * * *", "2026-11-22 11:58", "2026-11-22 12:00", true, ""},
		{"and not more", "*/10 * * * *", "2026-11-22 11:59", "2026-11-22 12:00", false, "2026-11-22 12:10"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := want()
			w.Policy.Schedule = row.schedule
			d, err := whenDue(w, at(t, row.newest), true, at(t, row.now))
			if err != nil || d.due != row.due {
				t.Errorf("due %v, %v", d.due, err)
			}
			if !row.due && !d.next.Equal(at(t, row.next)) {
				t.Errorf("next is %s, want %s", d.next, row.next)
			}
			if d, _ := whenDue(w, time.Time{}, false, at(t, row.now)); !d.due {
				t.Error("without a point it is not due")
			}
		})
	}
	w := want()
	w.Policy.Schedule, w.Policy.Every = "0 0 30 2 *", config.Duration(time.Hour)
	if d, err := whenDue(w, noon.Add(-9999*time.Hour), true, noon); err != nil || d.due || !d.next.IsZero() {
		t.Errorf("a schedule that never comes: %+v, %v", d, err)
	}
}

// TestNightsAreNotSkipped: a timer that runs at each tick, late by up to its
// jitter or early by less than the tolerance, makes one point a tick, clock
// changes or not.
func TestNightsAreNotSkipped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := want()
		w.TimeZone = rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"}).Draw(t, "zone")
		w.Policy.Schedule = rapid.SampledFrom([]string{"30 2 * * *", "0 */6 * * *", "15 1 * * 1-5"}).Draw(t, "schedule")
		s, err := parseSchedule(w.Policy.Schedule, mustLoad(w.TimeZone))
		if err != nil {
			t.Fatal(err)
		}
		tick, _ := s.next(time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 250).Draw(t, "day")))
		newest := tick
		for range 30 {
			tick, _ = s.next(tick)
			run := tick.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "jitter")) * time.Minute)
			for _, now := range []time.Time{run, run.Add(time.Minute)} { // the second run finds nothing to do
				d, err := whenDue(w, newest, true, now)
				if err != nil || d.due != now.Equal(run) {
					t.Fatalf("tick %s, newest %s, now %s: due %v, %v", tick, newest, now, d.due, err)
				}
				newest = run
			}
		}
	})
}
