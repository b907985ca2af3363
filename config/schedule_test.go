package config

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"
)

func TestInterval(t *testing.T) {
	for _, c := range []struct {
		schedule string
		want     time.Duration
	}{
		{"30 1 * * *", 24 * time.Hour},
		{"0 */4 * * *", 4 * time.Hour},
		{"* * * * *", time.Minute},
		{"*/15 8-17 * * *", 24*time.Hour - 9*time.Hour - 45*time.Minute},
		{"0 1 * * 1-5", 72 * time.Hour},
		{"0 1,13 * * mon-fri", 60 * time.Hour},
		{"0 1 * * 0", 7 * 24 * time.Hour},
		{"0 0 1 * *", 31 * 24 * time.Hour},
		{"0 0 31 * *", 61 * 24 * time.Hour},
		{"0 0 1 1 *", 366 * 24 * time.Hour},
		{"0 0 29 2 *", (4*365 + 1) * 24 * time.Hour},
		{"0 0 1,15 * 1", 7 * 24 * time.Hour}, // one or the other
	} {
		p := Policy{Schedule: c.schedule}
		if got := p.interval(); got != c.want {
			t.Errorf("%s: %v, want %v", c.schedule, got, c.want)
		}
	}
	if got := (Policy{Every: Duration(time.Hour)}).interval(); got != time.Hour {
		t.Error(got)
	}
	for _, bad := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "@daily", "@every 1h", "CRON_TZ=UTC", "TZ=UTC * * * * *", "*/0 * * * *", "a b c d e"} {
		if s, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is %v", bad, s)
		}
	}
}

// TestLargestGapIsReached compares with the library's own walk from tick to
// tick: over two years no gap is larger, and for schedules that come each year
// one is as large, give or take a leap day.
func TestLargestGapIsReached(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, all ...string) string { return rapid.SampledFrom(all).Draw(t, name) }
		text := field("minute", "0", "30", "*/20", "5-7") + " " + field("hour", "*", "1", "*/6", "8-17", "23") + " " +
			field("dom", "*", "1", "15,20", "*/2") + " " + field("month", "*", "1-6", "12") + " " + field("dow", "*", "1", "1-5", "0,6")
		s, err := ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		gap, seen := s.largestGap(), time.Duration(0)
		var walk cron.Schedule = &cron.SpecSchedule{Second: s.fields.Second, Minute: s.fields.Minute, Hour: s.fields.Hour, Dom: s.fields.Dom, Month: s.fields.Month, Dow: s.fields.Dow, Location: time.UTC}
		at := walk.Next(time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC))
		for n := 0; n < 3000 && at.Year() < 2029; n++ {
			next := walk.Next(at)
			seen, at = max(seen, next.Sub(at)), next
		}
		if seen > gap {
			t.Fatalf("%s: a gap of %v, larger than %v", text, seen, gap)
		}
		if at.Year() >= 2029 && gap-seen > 7*24*time.Hour {
			t.Fatalf("%s: the largest gap in six years is %v, not %v", text, seen, gap)
		}
	})
}

func TestVersionRequirements(t *testing.T) {
	for _, c := range []struct {
		operator, version, have string
		want                    bool
	}{
		{"=", "1.2", "1.2.0", true},
		{"=", "1.2", "1.2.1", false},
		{"!=", "1.2.1", "1.2.1", false},
		{"!=", "1.2.1", "1.2", true},
		{">=", "0.1", "0.1.0-dev", true},
		{">=", "0.10", "0.9.9", false},
		{">", "1", "1.0.1", true},
		{">", "1", "1", false},
		{"<", "2", "v1.99", true},
		{"<", "2", "2.0-rc1", false},
		{"<=", "1.5", "1.5", true},
		{"<=", "1.5", "1.5.1", false},
		{"~>", "1.2", "1.9", true},
		{"~>", "1.2", "1.1", false},
		{"~>", "1.2", "2.0", false},
		{"~>", "1.2.3", "1.2.9", true},
		{"~>", "1.2.3", "1.3.0", false},
		{"~>", "1", "1.7", true},
		{"~>", "1", "2", false},
	} {
		if got := (requirement{c.operator, versionNumbers(c.version)}).meets(c.have); got != c.want {
			t.Errorf("%s meets %s %s: %v", c.have, c.operator, c.version, got)
		}
	}
}
