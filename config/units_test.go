package config

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		text string
		want time.Duration // 0: refused
		back string        // what it prints as
	}{
		{"36h", 36 * time.Hour, "36h"},
		{"24h", day, "24h"},
		{"1d", day, "24h"},
		{"2d", 2 * day, "2d"},
		{"48h", 2 * day, "2d"},
		{"7d", 7 * day, "7d"},
		{"2w", 14 * day, "14d"},
		{"90m", 90 * time.Minute, "90m"},
		{"1h30m", 90 * time.Minute, "90m"},
		{"60m", time.Hour, "1h"},
		{"1w1d1h1m1s", 8*day + time.Hour + time.Minute + time.Second, "694861s"},
		{"50d1s", 50*day + time.Second, "50d1s"},
		{"1d1s", day + time.Second, "24h1s"},
		{"0d1h", time.Hour, "1h"},
		{"007d", 7 * day, "7d"},
		{"106751d", 106751 * day, "106751d"},
		{"106752d", 0, ""},
		{"106751d86400s", 0, ""},
		{"99999999999999999999d", 0, ""},
		{"", 0, ""},
		{"0", 0, ""},
		{"0h", 0, ""},
		{"7", 0, ""},
		{"d", 0, ""},
		{"-1d", 0, ""},
		{"+1d", 0, ""},
		{"1.5h", 0, ""},
		{"1 d", 0, ""},
		{" 1d", 0, ""},
		{"1d ", 0, ""},
		{"1h1d", 0, ""},
		{"1h1h", 0, ""},
		{"1D", 0, ""},
		{"7days", 0, ""},
		{"1ms", 0, ""},
		{"1y", 0, ""},
		{"never", 0, ""},
	} {
		got, err := ParseDuration(c.text)
		if time.Duration(got) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("ParseDuration(%q) = %d, %v, want %d", c.text, got, err, c.want)
		}
		if err == nil && got.String() != c.back {
			t.Errorf("ParseDuration(%q) prints as %q, want %q", c.text, got, c.back)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // bytes; -1: refused
	}{
		{"0B", 0},
		{"1B", 1},
		{"1023B", 1023},
		{"1024B", 1024},
		{"1KiB", 1024},
		{"64MiB", 64 << 20},
		{"10GiB", 10 << 30},
		{"2TiB", 2 << 40},
		{"1PiB", 1 << 50},
		{"500MB", 500e6},
		{"1KB", 1000},
		{"4GB", 4e9},
		{"3TB", 3e12},
		{"2PB", 2e15},
		{"8191PiB", 8191 << 50},
		{"9223372036854775807B", math.MaxInt64},
		{"8192PiB", -1},
		{"9223372036854775808B", -1},
		{"", -1},
		{"0", -1},
		{"B", -1},
		{"-1B", -1},
		{"1.5GiB", -1},
		{"1 GiB", -1},
		{"10G", -1},
		{"10gib", -1},
		{"1GiB1MiB", -1},
		{"1GiBx", -1},
		{"10%", -1},
	} {
		got, err := ParseSize(c.text)
		if (err == nil) != (c.want >= 0) || err == nil && got != c.want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", c.text, got, err, c.want)
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(durationUnits()).Draw(t, "unit").worth
		d := Duration(rapid.Int64Range(1, math.MaxInt64/unit).Draw(t, "n") * unit)
		if back, err := ParseDuration(d.String()); back != d || err != nil {
			t.Fatalf("%d prints as %q, which is %d, %v", d, d, back, err)
		}
	})
}

func TestSizeIsNumberTimesUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom(sizeUnits()).Draw(t, "unit")
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		got, err := ParseSize(strconv.FormatInt(n, 10) + unit.name)
		if fits := n <= math.MaxInt64/unit.worth; fits != (err == nil) || fits && got != n*unit.worth {
			t.Fatalf("%d %s is %d bytes, %v", n, unit.name, got, err)
		}
	})
}

func TestDurationJSON(t *testing.T) {
	type chain struct{ A, B Duration }
	in := chain{Duration(36 * time.Hour), 0}
	out, err := json.Marshal(in)
	if err != nil || string(out) != `{"A":"36h","B":"never"}` {
		t.Fatalf("%s, %v", out, err)
	}
	var back chain
	if err := json.Unmarshal(out, &back); err != nil || back != in {
		t.Errorf("%+v, %v", back, err)
	}
	for _, bad := range []string{`{"A":"0h"}`, `{"A":"soon"}`, `{"A":36}`, `{"A":""}`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s accepted", bad)
		}
	}
}

func TestDurationOfOtherOrigin(t *testing.T) {
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", -time.Hour: "-1h0m0s", 0: "never"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%d prints as %q, want %q", d, got, want)
		}
	}
}

func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"36h", "1w2d3h4m5s", "64MiB", "0B", "500MB", "never", "1h1d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseDuration(text); err == nil {
			if back, err := ParseDuration(d.String()); back != d || d <= 0 || err != nil {
				t.Errorf("%q is %d, prints as %q, which is %d, %v", text, d, d, back, err)
			}
		}
		if n, err := ParseSize(text); err == nil {
			if back, err := ParseSize(strconv.FormatInt(n, 10) + "B"); back != n || n < 0 || err != nil {
				t.Errorf("%q is %d, which reads back as %d, %v", text, n, back, err)
			}
		}
	})
}
