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
	parsed, err := ParseSchedule(s)
	if err != nil {
		return "", fmt.Errorf(`%q is not a schedule%s: write minute, hour, day of the month, month and day of the week, such as "30 1 * * *"`, s, wrongField(s))
	}
	if parsed.largestGap() == 0 {
		return "", fmt.Errorf("schedule %q names a day that never comes", s)
	}
	return s, nil
}

// Schedule is a line of cron: the days, and the hours and minutes of each. It
// has no time zone.
type Schedule struct{ fields *cron.SpecSchedule }

// ParseSchedule reads five fields, and no zone or @daily, which the library
// knows. The error names the line, or what is wrong in it.
func ParseSchedule(line string) (Schedule, error) {
	if strings.ContainsAny(line, "=@") {
		return Schedule{}, fmt.Errorf("%q is not five fields", line)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(line)
	if err != nil {
		return Schedule{}, err
	}
	return Schedule{parsed.(*cron.SpecSchedule)}, nil
}

// wrongField names the first of five fields that cannot be read.
func wrongField(line string) string {
	fields := strings.Fields(line)
	if len(fields) != 5 {
		return ""
	}
	for i, what := range []string{"minute, 0 to 59", "hour, 0 to 23", "day of the month, 1 to 31", "month, 1 to 12", "day of the week, 0 (Sunday) to 6"} {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = fields[i]
		if _, err := ParseSchedule(strings.Join(alone, " ")); err != nil {
			return fmt.Sprintf(" (%q is no %s)", fields[i], what)
		}
	}
	return ""
}

// At says whether the schedule comes at a time of its days.
func (s Schedule) At(hour, minute int) bool {
	return s.fields.Hour>>hour&1 == 1 && s.fields.Minute>>minute&1 == 1
}

// OnDay says whether the schedule comes on the day of t. As everywhere in cron,
// either of two restricted kinds of day will do.
func (s Schedule) OnDay(t time.Time) bool {
	f := s.fields
	date, weekday := f.Dom>>t.Day()&1 == 1, f.Dow>>t.Weekday()&1 == 1
	if f.Month>>t.Month()&1 == 0 {
		return false
	}
	if f.Dom&unrestricted != 0 || f.Dow&unrestricted != 0 {
		return date && weekday
	}
	return date || weekday
}

// interval is the longest time from one point to the next as the policy asks
// for them: every, or the largest gap in its schedule.
func (p Policy) interval() time.Duration {
	if p.Schedule == "" {
		return time.Duration(p.Every)
	}
	parsed, err := ParseSchedule(p.Schedule)
	if err != nil {
		return 0
	}
	return parsed.largestGap()
}

// largestGap is the longest time between two ticks of a schedule, in wall
// time, over 28 years: by then the calendar has come back to where it was. It
// is 0 if there is no tick.
func (s Schedule) largestGap() time.Duration {
	first, last, gap := s.ticksOfDay()
	days := 28 * 366
	if s.everyDate() {
		days = 15
	}
	previous := -1
	for n := range days {
		if !s.OnDay(time.Date(2020, time.January, 1+n, 0, 0, 0, 0, time.UTC)) {
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
func (s Schedule) ticksOfDay() (first, last, gap time.Duration) {
	first = -1
	for minute := range 24 * 60 {
		if !s.At(minute/60, minute%60) {
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
func (s Schedule) everyDate() bool {
	const days, months = 1<<32 - 2, 1<<13 - 2
	return s.fields.Dom&days == days && s.fields.Month&months == months
}
