package plan

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule is a cron line of five fields. It is evaluated for each local
// calendar day, so that changes of the clock neither skip nor double a tick: a
// wall time that a day does not have stands for the first instant after it, one
// that a day has twice for the first of the two.
type schedule struct {
	spec *cron.SpecSchedule // bit sets, nothing else is used
	zone *time.Location
}

// horizon is how many days are looked at for a tick: the 29th of February may
// be eight years away.
const horizon = 8*366 + 1

func parseSchedule(line string, zone *time.Location) (schedule, error) {
	if strings.Contains(line, "=") { // the parser knows a zone of its own
		return schedule{}, errors.New("a schedule has five fields and no zone")
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(line)
	if err != nil {
		return schedule{}, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return schedule{}, errors.New("a schedule has five fields")
	}
	return schedule{spec, zone}, nil
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
		if !s.onDay(day) {
			return
		}
		for k := range 24 {
			hour := d.of(k, 24)
			if !has(s.spec.Hour, hour) {
				continue
			}
			for l := range 60 {
				minute := d.of(l, 60)
				if has(s.spec.Minute, minute) &&
					!yield(instant(day.Add(time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute), s.zone)) {
					return
				}
			}
		}
	}
}

// onDay follows cron: where day of month and day of week are both restricted,
// one of them is enough.
func (s schedule) onDay(day time.Time) bool {
	const star = 1 << 63
	month, week := has(s.spec.Dom, day.Day()), has(s.spec.Dow, int(day.Weekday()))
	if s.spec.Dom&star == 0 && s.spec.Dow&star == 0 {
		return has(s.spec.Month, int(day.Month())) && (month || week)
	}
	return has(s.spec.Month, int(day.Month())) && month && week
}

func has(set uint64, n int) bool { return set&(1<<uint(n)) != 0 }

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
