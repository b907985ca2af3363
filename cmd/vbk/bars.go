package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
)

// redrawInterval is how often bars move.
const redrawInterval = 150 * time.Millisecond

// bars are progress bars at the bottom of a terminal, under the lines that have
// been printed. Several goroutines move them and one draws, so a terminal that
// takes no more output does not hold up whoever copies.
type bars struct {
	now   func() time.Time
	paint paint
	pane  pane
	over  chan struct{}

	mu      sync.Mutex
	rows    map[string]*row
	total   *row           // of all that is planned, nil if that is one bar
	past    map[string]row // bars that are gone, for the total
	above   strings.Builder
	planned int // instances
	done    int // of them
}

// row is one bar. The amounts are bytes.
type row struct {
	name, disk  string
	place       int // in the order of their beginning
	begun       time.Time
	done, total int64
}

// newBars are bars on the terminal, nil where there is none, or one without a
// cursor that moves. What is announced meanwhile goes above them.
func (env *environment) newBars() *bars {
	if !env.terminal || env.dumb() {
		return nil
	}
	b := &bars{now: env.now, paint: painter(env.color), pane: pane{out: env.stdout, size: env.terminalSize}, over: make(chan struct{}),
		rows: map[string]*row{}, past: map[string]row{}}
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

// endBars wipes the bars away.
func (env *environment) endBars() {
	b := env.bars.Swap(nil)
	if b == nil {
		return
	}
	close(b.over)
	b.wipe()
}

// announce prints to stderr, or above the bars.
func (env *environment) announce(text string) {
	if b := env.bars.Load(); b != nil {
		b.print(strings.TrimPrefix(text, "\n")) // no key was echoed in the line that is printed
		return
	}
	fmt.Fprint(env.stderr, text)
}

// say prints to stdout, above the bars if there are any.
func (env *environment) say(text string) {
	if b := env.bars.Load(); b != nil {
		b.print(text)
		return
	}
	fmt.Fprint(env.stdout, text)
}

// lastWords prints to stderr, or below the bars, which move no more. It waits neither
// for a terminal that takes nothing nor for whoever would know what to say.
func (env *environment) lastWords(text func() string) {
	said := make(chan struct{})
	env.beside(func() {
		defer close(said)
		if b := env.bars.Load(); b != nil {
			b.redraw()
			b.pane.freeze(text())
			return
		}
		fmt.Fprint(env.stderr, text())
	})
	select {
	case <-said:
	case <-time.After(time.Second):
	}
}

// expect has a total of so many bytes below the other bars, and says how many of
// the instances are done.
func (b *bars) expect(total int64, instances int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total, b.planned = &row{total: total}, instances
}

// finish counts an instance that is done.
func (b *bars) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
}

// set moves the bar with the key, or begins it: of a disk, and of a machine where
// several may run.
func (b *bars) set(key, machine, disk string, done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.rows[key]
	if r == nil {
		r = &row{name: machine, disk: disk, place: len(b.rows) + len(b.past), begun: b.now()}
		b.rows[key] = r
		if b.total != nil && b.total.begun.IsZero() {
			b.total.begun = r.begun
		}
	}
	done = max(done, r.done) // what is told by several goroutines may come late
	if b.total != nil {
		b.total.move(b.total.done+done-r.done, b.total.total)
	}
	r.move(done, total)
}

func (r *row) move(done, total int64) { r.done, r.total = done, max(done, total) }

// end takes the bar with the key away.
func (b *bars) end(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.rows[key]; r != nil {
		delete(b.rows, key)
		b.past[key] = *r
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

// print puts text, whole lines, above the bars when they are drawn next.
func (b *bars) print(text string) {
	b.mu.Lock()
	b.above.WriteString(text)
	b.mu.Unlock()
	select {
	case <-b.over: // nothing is above anything
		b.wipe()
	default:
	}
}

func (b *bars) wipe() {
	width, _ := b.pane.size()
	b.mu.Lock()
	text := b.taken()
	b.mu.Unlock()
	b.pane.draw(text, nil, width)
}

func (b *bars) taken() string {
	defer b.above.Reset()
	return b.above.String()
}

func (b *bars) redraw() {
	width, height := b.pane.size()
	b.mu.Lock()
	text, lines := b.taken(), b.lines(width, height)
	b.mu.Unlock()
	b.pane.draw(text, lines, width)
}

// lines are as many bars as the terminal shows, the total and the latest first.
// One column stays free, and one line for the cursor.
func (b *bars) lines(width, height int) []string {
	rows := slices.SortedFunc(maps.Values(b.rows), func(a, c *row) int { return a.place - c.place })
	if t := b.total; t != nil && !t.begun.IsZero() {
		t.name = "total"
		if b.planned > 1 {
			t.name = fmt.Sprintf("total, %d of %d done", b.done, b.planned)
		}
		rows = append(rows, t)
	}
	rows = rows[max(0, len(rows)-max(1, height-1)):]
	now, names := b.now(), 0
	for _, r := range rows {
		names = max(names, runewidth.StringWidth(r.label()))
	}
	l := layoutOf(names, width-1)
	var lines []string
	for _, r := range rows {
		lines = append(lines, l.line(*r, now, b.paint))
	}
	return lines
}
