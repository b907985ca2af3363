package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// screen is as much of a terminal as bars need.
type screen struct {
	mu    sync.Mutex
	lines []string // above the cursor, which is at the start of a line
	width int
}

var up = regexp.MustCompile("\r\x1b\\[([0-9]+)A\x1b\\[J")

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(p)
	if m := up.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // digits
		s.lines = s.lines[:len(s.lines)-n]
		text = strings.Replace(text, m[0], "", 1)
	}
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole || strings.Contains(line, "\x1b") {
			return 0, fmt.Errorf("line %q", line)
		}
		for r := []rune(line); ; r = r[s.width:] { // a terminal wraps
			s.lines = append(s.lines, string(r[:min(len(r), s.width)]))
			if len(r) <= s.width {
				break
			}
		}
	}
	return len(p), nil
}

func (s *screen) want(t *testing.T, lines ...string) {
	t.Helper()
	if got, want := strings.Join(s.lines, "\n"), strings.Join(lines, "\n"); got != want {
		t.Fatalf("the terminal shows\n%s\nwant\n%s", got, want)
	}
}

func TestBars(t *testing.T) {
	s := &screen{width: 80}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	env := &environment{stdout: s, stderr: &bytes.Buffer{}, terminal: true, width: 80, now: func() time.Time { return now }}
	b := env.newBars()
	b.total = &bar{label: "total", total: 5 << 30, begun: now}
	b.print("making web01...\n")
	b.set("1", "web01 vda", 0, 2<<30)
	s.want(t, "making web01...",
		"web01 vda [                           ]      0 B of 2.00 GiB               -:--",
		"total     [                           ]      0 B of 5.00 GiB               -:--")
	b.set("1", "web01 vda", 1<<20, 2<<30) // too early to draw
	now = now.Add(2 * time.Second)
	b.set("1", "web01 vda", 1<<30, 2<<30)
	b.set("1", "web01 vda", 1<<20, 2<<30) // late, from another goroutine
	env.announce("\nvbk: interrupt\n")
	s.want(t, "making web01...", "", "vbk: interrupt",
		"web01 vda [=============              ] 1.00 GiB of 2.00 GiB  512 MiB/s    0:02",
		"total     [=====                      ] 1.00 GiB of 5.00 GiB  512 MiB/s    0:08")
	now = now.Add(time.Second)
	b.set("2", "a-database-with-a-long-name vdb", 3<<30, 2<<30) // more than the estimate
	s.want(t, "making web01...", "", "vbk: interrupt",
		"web01 vda                  [=====     ] 1.00 GiB of 2.00 GiB  341 MiB/s    0:03",
		"a-database-with-a-long-na… [==========] 3.00 GiB of 3.00 GiB               -:--",
		"total                      [========  ] 4.00 GiB of 5.00 GiB 1.33 GiB/s    0:01")
	b.end("1")
	b.end("2")
	env.endBars()
	s.want(t, "making web01...", "", "vbk: interrupt")
	env.announce("vbk: done\n")
	s.want(t, "making web01...", "", "vbk: interrupt")
}

func TestBarWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 1<<50)
		r := &bar{label: rapid.String().Draw(t, "label"), done: size.Draw(t, "done"), begun: time.Time{}}
		r.total = r.done + size.Draw(t, "left")
		width := rapid.IntRange(40, 200).Draw(t, "width")
		now := r.begun.Add(time.Duration(rapid.Int64Range(0, 1<<55).Draw(t, "elapsed")))
		line := r.line(now, width, min(len([]rune(r.label)), width/3))
		if n := len([]rune(line)); n >= width {
			t.Fatalf("%d columns of %d: %q", n, width, line)
		}
	})
}
