package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// unit is a suffix and what it is worth: nanoseconds or bytes.
type unit struct {
	name  string
	worth int64
}

// durationUnits, largest first. Months and years have no fixed length.
func durationUnits() []unit {
	return []unit{
		{"w", int64(7 * 24 * time.Hour)},
		{"d", int64(24 * time.Hour)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
	}
}

// sizeUnits are powers of 1024 and of 1000.
func sizeUnits() []unit {
	return []unit{
		{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
		{"B", 1},
	}
}

// ParseDuration reads a span above zero such as "36h", "7d" or "1d12h": whole
// numbers of w, d, h, m and s, larger units first.
func ParseDuration(text string) (Duration, error) {
	units := durationUnits()
	var sum int64
	for rest, more := text, true; more; more = rest != "" {
		n, name, after, err := number(rest)
		i := indexUnit(units, name)
		if err != nil || i < 0 {
			return 0, fmt.Errorf(`%q is not a duration: write whole numbers of w, d, h, m or s, larger units first, such as "36h" or "1d12h"`, text)
		}
		if n > (math.MaxInt64-sum)/units[i].worth {
			return 0, fmt.Errorf("duration %q is too long", text)
		}
		sum += n * units[i].worth
		units, rest = units[i+1:], after
	}
	if sum == 0 {
		return 0, fmt.Errorf("duration %q must be above zero", text)
	}
	return Duration(sum), nil
}

// String is the shortest text that ParseDuration reads as d, in d, h, m and s;
// a single day is "24h". A zero duration is "never". What ParseDuration cannot
// read, fractions of a second and negative spans, prints as time.Duration does.
func (d Duration) String() string {
	if d == 0 {
		return "never"
	}
	if d < 0 || time.Duration(d)%time.Second != 0 {
		return time.Duration(d).String()
	}
	single, mixed := "", ""
	rest := int64(d)
	for _, u := range durationUnits()[1:] {
		if u.name == "d" && int64(d) < 2*u.worth {
			continue
		}
		if single == "" && int64(d)%u.worth == 0 {
			single = strconv.FormatInt(int64(d)/u.worth, 10) + u.name
		}
		if n := rest / u.worth; n > 0 {
			mixed += strconv.FormatInt(n, 10) + u.name
			rest %= u.worth
		}
	}
	if len(mixed) < len(single) {
		return mixed
	}
	return single
}

// MarshalText writes d as String does, so that JSON holds "36h".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDuration reads, and "never" as zero.
func (d *Duration) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		*d = 0
		return nil
	}
	parsed, err := ParseDuration(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}

// ParseSize reads a number of bytes such as "64MiB", "500MB" or "0B".
func ParseSize(text string) (int64, error) {
	units := sizeUnits()
	n, name, after, err := number(text)
	i := indexUnit(units, name)
	if err != nil || i < 0 || after != "" {
		return 0, fmt.Errorf(`%q is not a size: write a whole number and B, KiB, MiB, GiB, TiB, PiB, KB, MB, GB, TB or PB, such as "64MiB"`, text)
	}
	if n > math.MaxInt64/units[i].worth {
		return 0, fmt.Errorf("size %q is too large", text)
	}
	return n * units[i].worth, nil
}

// number cuts the digits and the letters off the front of text.
func number(text string) (n int64, letters, rest string, err error) {
	digits := strings.TrimLeft(text, "0123456789")
	n, err = strconv.ParseInt(text[:len(text)-len(digits)], 10, 64)
	rest = strings.TrimLeft(digits, "BKMGTPiwdhms")
	return n, digits[:len(digits)-len(rest)], rest, err
}

func indexUnit(units []unit, name string) int {
	for i, u := range units {
		if u.name == name {
			return i
		}
	}
	return -1
}

// ParseRate reads bytes a second, such as "400MiB/s"; more than none.
func ParseRate(text string) (int64, error) {
	amount, found := strings.CutSuffix(text, "/s")
	n, err := ParseSize(amount)
	if err != nil || !found || n == 0 {
		return 0, fmt.Errorf("%q is not a rate above zero, such as \"400MiB/s\"", text)
	}
	return n, nil
}
