package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/zclconf/go-cty/cty"
)

// schedule reads a line of cron and returns it with single spaces. Whoever
// says when it is due evaluates it per local day, in the time zone of the
// configuration.
func schedule(v cty.Value) (string, error) {
	s, err := line(v)
	if err != nil {
		return "", err
	}
	s = strings.Join(strings.Fields(s), " ")
	parsed, err := parseSchedule(s)
	if err != nil {
		return "", fmt.Errorf(`%q is not a schedule: write minute, hour, day of the month, month and day of the week, such as "30 1 * * *"`, s)
	}
	if largestGap(parsed) == 0 {
		return "", fmt.Errorf("schedule %q names a day that never comes", s)
	}
	return s, nil
}

func parseSchedule(s string) (*cron.SpecSchedule, error) {
	if strings.ContainsAny(s, "=@") { // the library reads TZ= and @daily
		return nil, fmt.Errorf("%q is not five fields", s)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(s)
	if err != nil {
		return nil, err
	}
	return parsed.(*cron.SpecSchedule), nil
}

// interval is the longest time from one point to the next as the policy asks
// for them: every, or the largest gap in its schedule.
func (p Policy) interval() time.Duration {
	if p.Schedule == "" {
		return time.Duration(p.Every)
	}
	parsed, err := parseSchedule(p.Schedule)
	if err != nil {
		return 0
	}
	return largestGap(parsed)
}

// largestGap is the longest time between two ticks of a schedule, in wall
// time, over 28 years: by then the calendar has come back to where it was. It
// is 0 if there is no tick.
func largestGap(s *cron.SpecSchedule) time.Duration {
	first, last, gap := ticksOfDay(s)
	days := 28 * 366
	if everyDate(s) {
		days = 15
	}
	previous := -1
	for n := range days {
		if !comesOn(s, time.Date(2020, time.January, 1+n, 0, 0, 0, 0, time.UTC)) {
			continue
		}
		if previous >= 0 {
			gap = max(gap, time.Duration(n-previous)*24*time.Hour+first-last)
		}
		previous = n
	}
	if previous < 0 {
		return 0
	}
	return gap
}

// ticksOfDay are the first and the last tick of a day on which the schedule
// comes, since midnight, and the largest gap between two of one day.
func ticksOfDay(s *cron.SpecSchedule) (first, last, gap time.Duration) {
	first = -1
	for minute := range 24 * 60 {
		if s.Hour>>(minute/60)&1 == 0 || s.Minute>>(minute%60)&1 == 0 {
			continue
		}
		at := time.Duration(minute) * time.Minute
		if first < 0 {
			first = at
		} else {
			gap = max(gap, at-last)
		}
		last = at
	}
	return first, last, gap
}

// unrestricted is set in a field of a schedule that starts with a star.
const unrestricted = 1 << 63

// everyDate says whether only the day of the week restricts the days.
func everyDate(s *cron.SpecSchedule) bool {
	const days, months = 1<<32 - 2, 1<<13 - 2
	return s.Dom&days == days && s.Month&months == months
}

// comesOn says whether the schedule has ticks on the day of t. As everywhere
// in cron, either of two restricted kinds of day will do.
func comesOn(s *cron.SpecSchedule, t time.Time) bool {
	date, weekday := s.Dom>>t.Day()&1 == 1, s.Dow>>t.Weekday()&1 == 1
	if s.Month>>t.Month()&1 == 0 {
		return false
	}
	if s.Dom&unrestricted != 0 || s.Dow&unrestricted != 0 {
		return date && weekday
	}
	return date || weekday
}
