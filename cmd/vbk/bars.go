package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"vbk/plan"
)

// redrawInterval is how often bars move at most.
const redrawInterval = 100 * time.Millisecond

// bars are progress bars at the bottom of a terminal, under the lines that have
// been printed. Several goroutines may move them.
type bars struct {
	mu    sync.Mutex
	out   io.Writer
	width int // columns
	now   func() time.Time
	rows  []*bar
	total *bar      // of all that is planned, nil if that is one backup
	drawn int       // lines on the terminal that are ours
	last  time.Time // of the drawing
}

// newBars are bars on the terminal, nil where there is none. What is announced
// meanwhile goes above them.
func (env *environment) newBars() *bars {
	if !env.terminal {
		return nil
	}
	b := &bars{out: env.stdout, width: env.width, now: env.now}
	env.bars.Store(b)
	return b
}

// endBars wipes the bars away.
func (env *environment) endBars() {
	if b := env.bars.Swap(nil); b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.rows = nil
		b.draw("")
	}
}

// announce prints to stderr, where no bars are.
func (env *environment) announce(text string) {
	if b := env.bars.Load(); b != nil {
		b.print(text)
		return
	}
	fmt.Fprint(env.stderr, text)
}

// bar is one line. The amounts are bytes.
type bar struct {
	key, label  string
	done, total int64
	begun       time.Time
}

// set moves the bar with the key, or begins it.
func (b *bars) set(key, label string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	row := b.row(key)
	if row == nil {
		row = &bar{key: key, begun: b.now()}
		b.rows = append(b.rows, row)
	}
	done = max(done, row.done) // what is told by several goroutines may come late
	if b.total != nil {
		b.total.done += done - row.done
		b.total.total = max(b.total.total, b.total.done)
	}
	row.label, row.done, row.total = label, done, max(total, done)
	if now := b.now(); now.Sub(b.last) >= redrawInterval {
		b.last = now
		b.draw("")
	}
}

func (b *bars) row(key string) *bar {
	for _, row := range b.rows {
		if row.key == key {
			return row
		}
	}
	return nil
}

// end takes the bar with the key away.
func (b *bars) end(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = slices.DeleteFunc(b.rows, func(row *bar) bool { return row.key == key })
	b.draw("")
}

// print puts text, whole lines, above the bars.
func (b *bars) print(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw(text)
}

func (b *bars) draw(text string) {
	var s strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&s, "\r\x1b[%dA\x1b[J", b.drawn) // up, and clear from there; a typed ^C has moved the cursor
	}
	s.WriteString(text)
	rows := b.rows
	if b.total != nil && len(rows) > 0 {
		rows = append(rows[:len(rows):len(rows)], b.total)
	}
	label := 0
	for _, row := range rows {
		label = max(label, min(len([]rune(row.label)), b.width/3))
	}
	for _, row := range rows {
		s.WriteString(row.line(b.now(), b.width, label) + "\n")
	}
	b.drawn = len(rows)
	_, _ = io.WriteString(b.out, s.String()) // a terminal, as everything here
}

// line is as long as the width at most: a longer one would take two lines.
func (r *bar) line(now time.Time, width, label int) string {
	elapsed := now.Sub(r.begun).Seconds()
	rate, left := "", "-:--"
	if elapsed > 0 && r.done > 0 {
		perSecond := float64(r.done) / elapsed
		rate = plan.Bytes(int64(perSecond)) + "/s"
		left = clockTime(time.Duration(float64(r.total-r.done) / perSecond * float64(time.Second)))
	}
	name := []rune(r.label)
	if len(name) > label {
		name = append(name[:label-1:label-1], '…')
	}
	figures := fmt.Sprintf("%8s of %8s %10s %7s", plan.Bytes(r.done), plan.Bytes(r.total), rate, left)
	room := width - 1 - label - len(figures) - 4 // a space, two brackets, a space
	if room < 5 {
		return string([]rune(fmt.Sprintf("%-*s %s", label, string(name), figures))[:min(width-1, label+1+len(figures))])
	}
	filled := int(float64(room) * float64(r.done) / float64(max(r.total, 1)))
	return fmt.Sprintf("%-*s [%s%s] %s", label, string(name), strings.Repeat("=", filled), strings.Repeat(" ", room-filled), figures)
}

// clockTime is 0:07, 12:05 or 3:04:05.
func clockTime(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
