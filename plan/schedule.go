package plan

import (
	"time"

	"vbk/config"
)

// schedule is a cron line of five fields. It is evaluated for each local
// calendar day, so that changes of the clock neither skip nor double a tick: a
// wall time that a day does not have stands for the first instant after it, one
// that a day has twice for the first of the two.
type schedule struct {
	config.Schedule
	zone *time.Location
}

// horizon is how many days are looked at for a tick: the 29th of February may
// be eight years away.
const horizon = 8*366 + 1

func parseSchedule(line string, zone *time.Location) (schedule, error) {
	parsed, err := config.ParseSchedule(line)
	return schedule{parsed, zone}, err
}

// prev is the newest tick that is not after t; false if there is none.
func (s schedule) prev(t time.Time) (time.Time, bool) {
	day := dayOf(t.In(s.zone))
	for n := range horizon {
		for tick := range s.ticks(day.AddDate(0, 0, -n), backward) {
			if !tick.After(t) {
				return tick, true
			}
		}
	}
	return time.Time{}, false
}

// next is the oldest tick after t; false if there is none.
func (s schedule) next(t time.Time) (time.Time, bool) {
	day := dayOf(t.In(s.zone))
	for n := range horizon {
		for tick := range s.ticks(day.AddDate(0, 0, n), forward) {
			if tick.After(t) {
				return tick, true
			}
		}
	}
	return time.Time{}, false
}

type direction bool

const (
	forward  direction = false
	backward direction = true
)

// of counts to n, or from n down.
func (d direction) of(k, n int) int {
	if d == backward {
		return n - 1 - k
	}
	return k
}

// ticks are those of one calendar day.
func (s schedule) ticks(day time.Time, d direction) func(func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		if !s.OnDay(day) {
			return
		}
		for k := range 24 * 60 {
			minute := d.of(k, 24*60)
			if s.At(minute/60, minute%60) && !yield(instant(day.Add(time.Duration(minute)*time.Minute), s.zone)) {
				return
			}
		}
	}
}

// dayOf is the calendar day of a local time as midnight in UTC, where days have
// 24 hours.
func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// instant finds when a wall time, given as if it were UTC, comes in a zone: the
// first time, or where it never comes the first instant after the gap. Two days
// to either side are beyond every offset and every gap (Samoa lost a day).
func instant(wall time.Time, zone *time.Location) time.Time {
	const beyond = 48 * time.Hour
	at := func(neighbour time.Time) time.Time {
		_, offset := neighbour.In(zone).Zone()
		return wall.Add(-time.Duration(offset) * time.Second)
	}
	before, after := at(wall.Add(-beyond)), at(wall.Add(beyond))
	if after.Before(before) && same(after, wall, zone) {
		return after
	}
	if same(before, wall, zone) {
		return before
	}
	if same(after, wall, zone) {
		return after
	}
	if gap, _ := before.In(zone).ZoneBounds(); !gap.IsZero() {
		return gap.UTC()
	}
	return before
}

// same says whether t is what the clocks of a zone show.
func same(t, wall time.Time, zone *time.Location) bool {
	_, offset := t.In(zone).Zone()
	return t.Add(time.Duration(offset) * time.Second).Equal(wall)
}
