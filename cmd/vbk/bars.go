package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"vbk/plan"
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

func (r *row) label() string { return strings.TrimSpace(r.name + " " + r.disk) }

// layout is what fits into a line: columns of the name and of the bar, 0 for none,
// and how amounts, rate and time left are printed.
type layout struct {
	name, bar int
	brief     bool // the share that is done in place of amounts
}

// The columns of what follows the name: amounts, rate and time left, or the share,
// rate and time left; and of bars with their brackets.
const (
	figuresWidth = 41
	briefWidth   = 25
	leastBar     = 14
	mostBar      = 52
	leastName    = 16
)

// layoutOf gives up the bar first, and the name last.
func layoutOf(names, width int) layout {
	least := min(names, leastName)
	switch {
	case width >= least+1+leastBar+figuresWidth:
		name := min(names, width-1-leastBar-figuresWidth)
		return layout{name: name, bar: min(mostBar, width-1-name-figuresWidth)}
	case width >= least+figuresWidth:
		return layout{name: min(names, width-figuresWidth)}
	}
	return layout{name: max(1, min(names, width-briefWidth)), brief: true}
}

func (l layout) line(r row, now time.Time, p paint) string {
	name := shortened(r.name, r.disk, l.name)
	line := name + strings.Repeat(" ", l.name-runewidth.StringWidth(name))
	if l.bar > 0 {
		inside := l.bar - 2
		full := int(float64(inside) * share(r.done, r.total))
		line += " [" + p.green(strings.Repeat("=", full)) + strings.Repeat(" ", inside-full) + "]"
	}
	rate, left := pace(r.done, r.total, now.Sub(r.begun))
	if l.brief {
		return line + fmt.Sprintf(" %3.0f%% %10s %8s", 100*share(r.done, r.total), rate, left)
	}
	return line + fmt.Sprintf(" %8s of %8s %10s %8s", plan.Bytes(r.done), plan.Bytes(r.total), rate, left)
}

func share(done, total int64) float64 {
	if total <= 0 {
		return 0
	}
	return float64(done) / float64(total)
}

// shortened is the name of a disk in so many columns: what is cut out is the middle
// of the machine's name, because names often begin or end alike.
func shortened(name, disk string, width int) string {
	whole := strings.TrimSpace(name + " " + disk)
	if runewidth.StringWidth(whole) <= width {
		return whole
	}
	if disk != "" && name != "" {
		disk = " " + disk
	}
	room := width - runewidth.StringWidth(disk) - len("..")
	if room < 2 {
		return runewidth.Truncate(whole, width, "")
	}
	tail := runewidth.TruncateLeft(name, runewidth.StringWidth(name)-room/2, "")
	return runewidth.Truncate(name, room-room/2, "") + ".." + tail + disk
}

// pace is the rate so far and the time left at that rate.
func pace(done, total int64, elapsed time.Duration) (rate, left string) {
	if elapsed < time.Millisecond || done <= 0 {
		return "", "-:--"
	}
	perSecond := min(float64(done)/elapsed.Seconds(), 1<<62)
	seconds := float64(total-done) / perSecond
	if seconds >= 100*3600 {
		return plan.Bytes(int64(perSecond)) + "/s", plan.Age(time.Duration(min(seconds, 1e9)) * time.Second)
	}
	return plan.Bytes(int64(perSecond)) + "/s", clockTime(time.Duration(seconds * float64(time.Second)))
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

// pane is the lines at the bottom of a terminal that are drawn again and again.
type pane struct {
	out  io.Writer
	size func() (width, height int)

	mu     sync.Mutex
	shown  []string
	width  int // of the terminal when they were drawn
	frozen bool
}

// draw prints text, and the lines below it in place of those that are there. The
// cursor is at the beginning of the next line, or behind what a key has echoed there.
func (p *pane) draw(text string, lines []string, width int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen || text == "" && slices.Equal(lines, p.shown) {
		return
	}
	var frame strings.Builder
	frame.WriteString(p.wiped(width) + text)
	for _, l := range lines {
		frame.WriteString(l + "\n")
	}
	p.shown, p.width = lines, width
	_, _ = io.WriteString(p.out, frame.String()) // a terminal, as everything here
}

// wiped takes the lines away that are there. A terminal that has become narrower
// may have wrapped them, or not: there they stay, as nothing else may be lost.
func (p *pane) wiped(width int) string {
	switch n := len(p.shown); {
	case n == 0:
		return ""
	case width < p.width:
		return "\r\x1b[J"
	default:
		return fmt.Sprintf("\r\x1b[%dA\x1b[J", n)
	}
}

// aside has f print what does not come from here.
func (p *pane) aside(f func()) {
	width, _ := p.size()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, p.wiped(width))
	p.shown = nil
	f()
}

// freeze prints text below the lines, which stay as they are from now on.
func (p *pane) freeze(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
	_, _ = io.WriteString(p.out, "\r\x1b[J"+strings.TrimPrefix(text, "\n"))
}
