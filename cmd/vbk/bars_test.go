package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"
)

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

// onScreen are bars on a terminal.
func onScreen(t *testing.T, width, height int) (*environment, *bars, *screen, *clock) {
	t.Helper()
	s, err := openScreen(width, height)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	env := &environment{stdout: s.tty, stderr: s.tty, terminal: true, color: true, size: s.size, now: c.read,
		getenv: func(string) string { return "" }, exit: func(int) { panic("a bug in the bars") }}
	b := env.newBars()
	t.Cleanup(func() {
		env.endBars()
		s.hangUp()
		s.keyboard.Close()
	})
	return env, b, s, c
}

func (s *screen) want(t *testing.T, lines ...string) {
	t.Helper()
	s.sync()
	if got, want := strings.Join(s.lines(), "\n"), strings.Join(lines, "\n"); got != want {
		t.Fatalf("the terminal shows\n%s\nwant\n%s", got, want)
	}
}

func TestBars(t *testing.T) {
	env, b, s, c := onScreen(t, 80, 24)
	b.expect(5<<30, 2)
	b.print("making web01...\n")
	b.set("1", "web01", "vda", 0, 2<<30)
	b.redraw()
	s.want(t, "making web01...",
		"web01 vda          [                 ]      0 B of 2.00 GiB                -:--",
		"total, 0 of 2 done [                 ]      0 B of 5.00 GiB                -:--")
	b.set("1", "web01", "vda", 1<<20, 2<<30)
	c.pass(2 * time.Second)
	b.set("1", "web01", "vda", 1<<30, 2<<30)
	b.set("1", "web01", "vda", 1<<20, 2<<30) // late, from another goroutine
	s.interrupt()
	env.announce("\nvbk: interrupt\n")
	b.redraw()
	s.want(t, "making web01...", "vbk: interrupt",
		"web01 vda          [========         ] 1.00 GiB of 2.00 GiB  512 MiB/s     0:02",
		"total, 0 of 2 done [===              ] 1.00 GiB of 5.00 GiB  512 MiB/s     0:08")
	c.pass(time.Second)
	b.set("2", "a-database-with-a-long-name", "vdb", 3<<30, 2<<30) // more than the estimate
	env.complain(errors.New("in between"))
	b.redraw()
	s.want(t, "making web01...", "vbk: interrupt", "vbk: in between",
		"web01 vda               [======      ] 1.00 GiB of 2.00 GiB  341 MiB/s     0:03",
		"a-databas..ong-name vdb [============] 3.00 GiB of 3.00 GiB                -:--",
		"total, 0 of 2 done      [=========   ] 4.00 GiB of 5.00 GiB 1.33 GiB/s     0:01")
	b.endAll("1")
	b.end("2")
	b.end("2") // once more
	b.finish()
	env.endBars()
	s.want(t, "making web01...", "vbk: interrupt", "vbk: in between")
	env.announce("vbk: done\n")
	b.print("late\n")
	s.want(t, "making web01...", "vbk: interrupt", "vbk: in between", "vbk: done", "late")
}

// TestBarsOfMany: more bars than lines show the total and the latest, and leave
// nothing behind in what has scrolled away.
func TestBarsOfMany(t *testing.T) {
	env, b, s, c := onScreen(t, 80, 6)
	b.expect(100<<20, 100)
	for n := range 100 {
		key := strconv.Itoa(n)
		b.set(key, "web"+key, "vda", 0, 1<<20)
		b.print("making web" + key + "...\n")
		b.redraw()
		c.pass(time.Second)
	}
	s.sync()
	var made []string
	for n := range 100 {
		made = append(made, fmt.Sprintf("making web%d...", n))
	}
	all := s.lines()
	if got := len(all) - len(made); got != 5 {
		t.Errorf("%d bars are on a screen of 6 lines", got)
	}
	for n, want := range []string{"web96 ", "web97 ", "web98 ", "web99 ", "total, 0 of 100 done "} {
		if got := all[len(made)+n]; !strings.HasPrefix(got, want) {
			t.Errorf("bar %d is %q", n, got)
		}
	}
	env.endBars()
	s.want(t, made...)
}

// TestBarsResized: what a terminal may have wrapped stays, and nothing printed is lost.
func TestBarsResized(t *testing.T) {
	env, b, s, _ := onScreen(t, 100, 24)
	b.print("making web01...\n")
	b.set("1", "web01", "vda", 0, 2<<30)
	b.redraw()
	s.sync()
	if err := s.resize(60, 24); err != nil {
		t.Fatal(err)
	}
	b.set("1", "web01", "vda", 1<<30, 2<<30)
	b.redraw()
	b.set("1", "web01", "vda", 2<<30, 2<<30)
	b.redraw()
	if err := s.resize(120, 24); err != nil {
		t.Fatal(err)
	}
	b.redraw()
	b.print("done\n")
	env.endBars()
	s.want(t, "making web01...",
		"web01 vda [                                              ]", "done")
}

// TestFrozenBars: a second Ctrl-C leaves the bars as they were, with its words below.
func TestFrozenBars(t *testing.T) {
	env, b, s, _ := onScreen(t, 80, 24)
	b.set("1", "web01", "vda", 0, 2<<30)
	b.redraw()
	s.interrupt()
	env.lastWords(func() string { return "\nvbk: left as it is\n" })
	b.set("1", "web01", "vda", 1<<30, 2<<30)
	b.print("late\n")
	b.redraw()
	env.endBars()
	s.want(t, "web01 vda [                          ]      0 B of 2.00 GiB                -:--", "vbk: left as it is")
}

// TestBarWidth: a line is never wider than the terminal, whatever the label and
// the amounts, and names the disk.
func TestBarWidth(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.Int64Range(0, 1<<60)
		width := rapid.IntRange(40, 250).Draw(rt, "width")
		var all []*row
		b := bars{rows: map[string]*row{}, now: func() time.Time { return now }, total: &row{begun: now}, planned: 1000, done: 999}
		for n := range rapid.IntRange(1, 5).Draw(rt, "bars") {
			r := &row{name: rapid.StringMatching(`[a-zA-Z0-9. äλ-]{0,70}`).Draw(rt, "name"), disk: rapid.StringMatching(`[sv]d[a-z]{1,2}`).Draw(rt, "disk"),
				begun: now.Add(-time.Duration(rapid.Int64Range(0, 1<<55).Draw(rt, "elapsed"))), done: size.Draw(rt, "done"), place: n}
			r.total = r.done + size.Draw(rt, "left")
			b.rows[strconv.Itoa(n)] = r
			all = append(all, r)
		}
		lines := b.lines(width, 24)
		for n, line := range lines {
			if got := runewidth.StringWidth(line); got >= width {
				rt.Fatalf("%d columns of %d: %q", got, width, line)
			}
			if n < len(all) && width >= 70 && !strings.Contains(line, all[n].disk+" ") {
				rt.Fatalf("%q does not name disk %s", line, all[n].disk)
			}
			if n > 0 && runewidth.StringWidth(line) != runewidth.StringWidth(lines[0]) {
				rt.Fatalf("lines differ in width: %q", lines)
			}
		}
	})
}

// TestVerifyView: reading every byte has a bar for each machine and one for all.
func TestVerifyView(t *testing.T) {
	env, _, s, c := onScreen(t, 80, 24)
	env.endBars()
	all := []shelf{{domain: "web01", stored: 1 << 30}, {domain: "db-7", stored: 3 << 30}}
	v := newVerifyView(env, all)
	v.reading(all[0])(1 << 30)
	v.finish(all[0])
	read := v.reading(all[1])
	read(0)
	c.pass(4 * time.Second)
	read(512 << 20)
	read(512 << 20)
	env.say("db-7: something is wrong\n")
	v.bars.redraw()
	s.want(t, "db-7: something is wrong",
		"db-7               [=====            ] 1.00 GiB of 3.00 GiB  256 MiB/s     0:08",
		"total, 1 of 2 done [========         ] 2.00 GiB of 4.00 GiB  512 MiB/s     0:04")
	v.finish(all[1])
	env.endBars()
	env.say("all is told\n")
	s.want(t, "db-7: something is wrong", "all is told")
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
