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

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"
)

// screen is as much of a terminal as bars need.
type screen struct {
	mu    sync.Mutex
	lines []string // above the cursor, which is at the start of a line
	width int
}

var (
	up     = regexp.MustCompile("^\x1b\\[([0-9]+)A\x1b\\[J")
	colour = regexp.MustCompile("\x1b\\[[0-9]*m")
)

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(p)
	for line := range strings.Lines(text) {
		if m := up.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			s.lines = s.lines[:len(s.lines)-n]
			line = line[len(m[0]):]
		}
		line, whole := strings.CutSuffix(line, "\n")
		line = colour.ReplaceAllString(line, "")
		if !whole && line != "" || strings.Contains(line, "\x1b") {
			return 0, fmt.Errorf("line %q", line)
		}
		if !whole {
			continue
		}
		for r := []rune(line); ; r = r[s.width:] { // a terminal wraps
			s.lines = append(s.lines, strings.TrimRight(string(r[:min(len(r), s.width)]), " "))
			if len(r) <= s.width {
				break
			}
		}
	}
	return len(p), nil
}

func (s *screen) want(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, want := strings.Join(s.lines, "\n"), strings.Join(lines, "\n"); got != want {
		t.Fatalf("the terminal shows\n%s\nwant\n%s", got, want)
	}
}

// clock is read from several goroutines.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// onScreen are bars, and how to have them on the screen for certain.
func onScreen(t *testing.T, width int, color bool) (*environment, *bars, *screen, *clock, func()) {
	s, c := &screen{width: width}, &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	env := &environment{stdout: s, stderr: &bytes.Buffer{}, terminal: true, color: color, width: width, now: c.read,
		exit: func(int) { panic("a bug in the bars") }}
	b := env.newBars()
	t.Cleanup(env.endBars)
	return env, b, s, c, func() { b.redraw(); b.redraw(); b.redraw() }
}

func TestBars(t *testing.T) {
	for _, color := range []bool{false, true} {
		env, b, s, c, draw := onScreen(t, 80, color)
		b.expect(5 << 30)
		b.print("making web01...\n")
		b.set("1", "web01 vda", 0, 2<<30)
		draw()
		s.want(t, "making web01...",
			"web01 vda [                            ]      0 B of 2.00 GiB               -:--",
			"total     [                            ]      0 B of 5.00 GiB               -:--")
		b.set("1", "web01 vda", 1<<20, 2<<30)
		c.pass(2 * time.Second)
		b.set("1", "web01 vda", 1<<30, 2<<30)
		b.set("1", "web01 vda", 1<<20, 2<<30) // late, from another goroutine
		env.announce("\nvbk: interrupt\n")
		draw()
		s.want(t, "making web01...", "", "vbk: interrupt",
			"web01 vda [==============              ] 1.00 GiB of 2.00 GiB  512 MiB/s    0:02",
			"total     [======                      ] 1.00 GiB of 5.00 GiB  512 MiB/s    0:08")
		c.pass(time.Second)
		b.set("2", "a-database-with-a-long-name vdb", 3<<30, 2<<30) // more than the estimate
		draw()
		s.want(t, "making web01...", "", "vbk: interrupt",
			"web01 vda                [=======      ] 1.00 GiB of 2.00 GiB  341 MiB/s    0:03",
			"a-database-with-a-long-… [=============] 3.00 GiB of 3.00 GiB               -:--",
			"total                    [==========   ] 4.00 GiB of 5.00 GiB 1.33 GiB/s    0:01")
		b.endAll("1")
		b.end("2")
		b.end("2") // once more
		env.endBars()
		s.want(t, "making web01...", "", "vbk: interrupt")
		env.announce("vbk: done\n")
		b.print("late\n")
		s.want(t, "making web01...", "", "vbk: interrupt", "late")
	}
}

// TestBarWidth: a line is never wider than the terminal, whatever the label and
// the amounts.
func TestBarWidth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(0, 1<<50)
		width := rapid.IntRange(80, 200).Draw(rt, "width")
		_, b, s, c, draw := onScreen(t, width, false)
		label := rapid.StringMatching(`[a-zA-Z0-9. äλ-]{1,70}`).Draw(rt, "label")
		done := size.Draw(rt, "done")
		b.set("1", label, 0, 1)
		c.pass(time.Duration(rapid.Int64Range(0, 1<<55).Draw(rt, "elapsed")))
		b.set("1", label, done, done+size.Draw(rt, "left"))
		draw()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, line := range s.lines {
			if n := runewidth.StringWidth(line); n > width || len(s.lines) != 1 {
				rt.Fatalf("%d columns of %d: %q", n, width, s.lines)
			}
		}
	})
}

// TestLinesWithoutBars: where there is no terminal a line every half minute tells how
// far a disk is, and the time left at the rate of this run.
func TestLinesWithoutBars(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
	env := &environment{stdout: &out, now: func() time.Time { return now }}
	v := restoreView{env: env, last: now}
	for _, done := range []int64{1 << 30, 2 << 30, 3 << 30, 4 << 30} { // one GiB was there
		v.progress("vda", done, 5<<30)
		now = now.Add(20 * time.Second)
	}
	want := "  disk vda: 3.00 GiB of 5.00 GiB, 0:40 left\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if line := paceLine(1<<30, 3<<30, 4*time.Second); line != "1.00 GiB of 3.00 GiB, 256 MiB/s, 0:08 left" {
		t.Error(line)
	}
}
