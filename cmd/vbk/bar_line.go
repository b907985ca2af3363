package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"vbk/plan"
)

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
