package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"vbk/plan"
)

// redrawInterval is how often bars move.
const redrawInterval = 150 * time.Millisecond

// bars are progress bars at the bottom of a terminal, under the lines that have
// been printed; mpb draws them. Several goroutines may move them: that only tells
// mpb, so a terminal that takes no more lines does not hold up whoever copies.
type bars struct {
	now      func() time.Time
	out      io.Writer
	paint    paint
	progress *mpb.Progress
	refresh  chan any
	over     chan any // closed when mpb has ended

	mu      sync.Mutex
	rows    map[string]*row
	total   *row           // of all that is planned, nil if that is one bar
	amounts map[string]row // of bars that are gone, for the total
}

// row is one bar. The amounts are bytes.
type row struct {
	bar   *mpb.Bar
	done  int64
	total int64 // of total: what is expected
	told  int64 // the total that mpb knows
}

// newBars are bars on the terminal, nil where there is none. What is announced
// meanwhile goes above them.
func (env *environment) newBars() *bars {
	if !env.terminal {
		return nil
	}
	b := &bars{now: env.now, out: env.stdout, paint: painter(env.color), refresh: make(chan any), over: make(chan any),
		rows: map[string]*row{}, amounts: map[string]row{}}
	b.progress = mpb.New(mpb.WithManualRefresh(b.refresh), mpb.WithShutdownNotifier(b.over), env.console())
	env.beside(func() {
		tick := time.NewTicker(redrawInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.redraw()
			case <-b.over:
				return
			}
		}
	})
	env.bars.Store(b)
	return b
}

// console is where bars are drawn: the terminal, whose size may change meanwhile.
func (env *environment) console() mpb.ContainerOption {
	if _, ok := env.stdout.(*os.File); ok {
		return mpb.WithOutput(env.stdout)
	}
	return mpb.WithConsoleWriter(&screenWriter{out: env.stdout, width: env.width})
}

// screenWriter is a terminal of a constant size, for tests.
type screenWriter struct {
	bytes.Buffer
	out   io.Writer
	width int
}

func (s *screenWriter) IsTerminal() bool                            { return true }
func (s *screenWriter) GetTermSize() (width, height int, err error) { return s.width, 24, nil }

func (s *screenWriter) Flush(lines int) error {
	_, err := s.WriteTo(s.out)
	if lines > 0 {
		fmt.Fprintf(s, "\x1b[%dA\x1b[J", lines)
	}
	return err
}

// redraw has mpb draw. It returns when mpb has heard of it; the third call after a
// change returns when that is on the terminal.
func (b *bars) redraw() {
	select {
	case b.refresh <- b.now():
	case <-b.over:
	}
}

// endBars wipes the bars away.
func (env *environment) endBars() {
	b := env.bars.Swap(nil)
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rows {
		r.bar.Abort(true)
	}
	if b.total != nil && b.total.bar != nil {
		b.total.bar.Abort(true)
	}
	for range 4 { // the bars are drawn a last time, then wiped away; two more, and both have been
		b.redraw()
	}
	b.progress.Shutdown()
}

// announce prints to stderr, or above the bars.
func (env *environment) announce(text string) {
	if b := env.bars.Load(); b != nil {
		b.print(text)
		return
	}
	fmt.Fprint(env.stderr, text)
}

// expect has a total of so many bytes below the other bars.
func (b *bars) expect(total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = &row{total: total}
}

// set moves the bar with the key, or begins it.
func (b *bars) set(key, label string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rows[key]
	if r == nil {
		r = &row{bar: b.add(label, len(b.rows)+len(b.amounts))}
		b.rows[key] = r
	}
	done = max(done, r.done) // what is told by several goroutines may come late
	if t := b.total; t != nil {
		if t.bar == nil {
			t.bar = b.add("total", math.MaxInt32)
		}
		t.done += done - r.done
		t.show(t.done, max(t.total, t.done))
	}
	r.show(done, max(total, done))
}

func (r *row) show(done, total int64) {
	if total != r.told {
		r.told = total
		r.bar.SetTotal(total, false)
	}
	r.done = done
	r.bar.SetCurrent(done)
}

// end takes the bar with the key away.
func (b *bars) end(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.rows[key]; r != nil {
		r.bar.Abort(true)
		delete(b.rows, key)
		b.amounts[key] = *r
	}
}

// endAll takes the bars away whose key begins with the prefix.
func (b *bars) endAll(prefix string) {
	b.mu.Lock()
	keys := slices.Collect(maps.Keys(b.rows))
	b.mu.Unlock()
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			b.end(key)
		}
	}
}

// print puts text, whole lines, above the bars.
func (b *bars) print(text string) {
	if _, err := io.WriteString(b.progress, text); err != nil { // mpb has ended: nothing is above anything
		_, _ = io.WriteString(b.out, text) // a terminal, as everything here
		return
	}
	b.redraw()
}

// nameWidth bounds a label: at 80 columns it leaves room for a bar.
const nameWidth = 24

// add begins a bar whose line is as long as the terminal is wide.
func (b *bars) add(label string, priority int) *mpb.Bar {
	name := []rune(label)
	if len(name) > nameWidth {
		name = append(name[:nameWidth-1:nameWidth-1], '…')
	}
	begun := b.now()
	style := mpb.BarStyle().Padding(" ").Tip("=").FillerMeta(b.paint.green).TipMeta(b.paint.green)
	bar, err := b.progress.Add(0, style.Build(), mpb.BarPriority(priority),
		mpb.PrependDecorators(decor.Name(string(name), decor.WCSyncWidthR)),
		mpb.AppendDecorators(
			decor.Any(func(s decor.Statistics) string { return figures(s.Current, s.Total, b.now().Sub(begun)) }, decor.WCSyncWidth)))
	if err != nil { // the terminal is gone
		bar, _ = mpb.New(mpb.WithOutput(nil)).Add(0, nil)
	}
	return bar
}

// figures are amounts, rate and time left of a bar, in columns.
func figures(done, total int64, elapsed time.Duration) string {
	rate, left := pace(done, total, elapsed)
	return fmt.Sprintf("%8s of %8s %10s %7s", plan.Bytes(done), plan.Bytes(total), rate, left)
}

// pace is the rate so far and the time left at that rate.
func pace(done, total int64, elapsed time.Duration) (rate, left string) {
	if elapsed <= 0 || done <= 0 {
		return "", "-:--"
	}
	perSecond := float64(done) / elapsed.Seconds()
	return plan.Bytes(int64(perSecond)) + "/s", clockTime(time.Duration(float64(total-done) / perSecond * float64(time.Second)))
}

// paceLine is what a line tells where there are no bars.
func paceLine(done, total int64, elapsed time.Duration) string {
	rate, left := pace(done, total, elapsed)
	return fmt.Sprintf("%s of %s, %s, %s left", plan.Bytes(done), plan.Bytes(total), rate, left)
}

// clockTime is 0:07, 12:05 or 3:04:05.
func clockTime(d time.Duration) string {
	s := int(max(0, d).Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
