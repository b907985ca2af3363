package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

// card is a machine, with the picture of its points. Across, all is in percent;
// down, in pixels.
type card struct {
	machineStatus
	N      int // of the machine, for links
	Open   bool
	Share  float64 // age of the newest point in percent of the rpo
	Over   bool    // it is older
	Chains []lane
	Marks  []mark
	Bars   string // a path: what each point stored
	Ticks  []tick
	Now    float64
	Lanes  int // height of all lanes
	Sizes  int // of the bars
	Floor  int // of both
	Height int // with the words below
	From   time.Time
	Until  time.Time
}

// lane is the life of a chain: from its first point until its last one goes.
type lane struct {
	Name    string
	End     string // when that is
	Word    string // the same, if there is room for it behind the lane
	Y       int
	X, Wide float64
}

// After is where the lane ends.
func (l lane) After() float64 { return l.X + l.Wide }

// mark is a point.
type mark struct {
	Name, Kind, Stored, Held, Goes string
	Start                          time.Time
	Class                          string
	Full                           bool
	X                              float64
	Y                              int
	bytes                          int64
}

// tick is a day that the axis names.
type tick struct {
	X            float64
	Word, Anchor string
}

// The pixels of a machine's picture.
const (
	laneHeight  = 16
	lanesHeight = 400 // of all, where chains are many
	sizeHeight  = 36
	wordHeight  = 18
)

// cardOf draws a machine's chains and points on an axis of time that begins
// with the oldest and ends when the last that goes has gone, if that is foreseen.
func cardOf(n int, m machineStatus, cfg *config.Config, o outlook, now time.Time) card {
	c := card{machineStatus: m, N: n}
	c.Share, c.Over = c.used()
	c.span(o, now)
	c.Now = c.x(now)
	lanes := len(m.folder.Chains)
	step := min(laneHeight, max(lanesHeight/max(lanes, 1), 2))
	c.Lanes, c.Sizes = step*lanes, sizeHeight
	c.Floor = c.Lanes + c.Sizes
	c.Height = c.Floor + wordHeight
	held := plan.HeldBy(m.policy, cfg.TimeZone.String(), m.folder.Chains, now)
	for n, chain := range m.folder.Chains {
		l := lane{Name: chain.Name, Y: step*n + step/2, X: 100}
		end := time.Time{}
		for _, p := range chain.Manifest.Points {
			key := pointKey{m.Address, chain.Name, p.Sequence}
			k := markOf(m, chain, p, held(chain.Name, p.Sequence), o)
			k.X, k.Y = c.x(p.Start), l.Y
			c.Marks = append(c.Marks, k)
			l.X = min(l.X, k.X)
			if goes := o.last(key); goes.After(end) {
				end = goes
			}
		}
		l.Wide = max(c.x(end)-l.X, 0)
		l.End = end.UTC().Format(time.DateOnly)
		if !end.Before(o.until) {
			l.End = "after " + l.End
		} else if step == laneHeight && l.After() < 84 {
			l.Word = "goes " + end.UTC().Format("2 Jan")
		}
		c.Chains = append(c.Chains, l)
	}
	c.bars()
	c.ticks()
	return c
}

// used compares the newest point's age with the rpo.
func (c *card) used() (share float64, over bool) {
	if c.Age == nil || c.RPO <= 0 {
		return 100, c.Age == nil
	}
	return min(100*float64(*c.Age)/float64(c.RPO), 100), *c.Age > c.RPO
}

// span chooses the ends of the axis.
func (c *card) span(o outlook, now time.Time) {
	c.From, c.Until = now, now
	for _, chain := range c.folder.Chains {
		for _, p := range chain.Manifest.Points {
			if p.Start.Before(c.From) {
				c.From = p.Start
			}
			if goes := o.last(pointKey{c.Address, chain.Name, p.Sequence}); goes.After(c.Until) {
				c.Until = goes
			}
		}
	}
	if most := now.Add(max(now.Sub(c.From), 14*24*time.Hour)); c.Until.After(most) {
		c.Until = most // what is there is not to shrink to nothing
	}
}

func (c *card) x(t time.Time) float64 {
	return min(max(100*float64(t.Sub(c.From))/float64(max(c.Until.Sub(c.From), 1)), 0), 100)
}

// Rest is what lies ahead.
func (c card) Rest() float64 { return 100 - c.Now }

// bars draws what each point stored, as high as the root of the bytes.
func (c *card) bars() {
	largest := 1.0
	for _, k := range c.Marks {
		largest = max(largest, math.Sqrt(float64(k.bytes)))
	}
	var path strings.Builder
	for _, k := range c.Marks {
		high := 1 + float64(c.Sizes-7)*math.Sqrt(float64(k.bytes))/largest
		fmt.Fprintf(&path, "M%.1f %dv-%.1fh4V%dz", min(10*k.X, 996), c.Sizes, high, c.Sizes)
	}
	c.Bars = path.String()
}

// ticks name some days, at most six of them, and none beside now.
func (c *card) ticks() {
	const day = 24 * time.Hour
	step := day
	for _, days := range []time.Duration{1, 2, 7, 14, 28, 91, 182, 364, 1820} {
		if step = days * day; c.Until.Sub(c.From) <= 6*step {
			break
		}
	}
	layout := "2 Jan"
	if step > 100*day {
		layout = "Jan 2006"
	}
	for t := c.From.Truncate(step).Add(step); t.Before(c.Until); t = t.Add(step) {
		if x := c.x(t); math.Abs(x-c.Now) > 8 && x > 5 && x < 95 {
			c.Ticks = append(c.Ticks, tick{x, t.UTC().Format(layout), "middle"})
		}
	}
	anchor := "middle"
	if c.Now > 92 {
		anchor = "end"
	} else if c.Now < 8 {
		anchor = "start"
	}
	c.Ticks = append(c.Ticks, tick{c.Now, "now", anchor})
}

// NextWords say when the next point comes.
func (m machineStatus) NextWords() string {
	switch next := m.Next(); next {
	case "now":
		return "due now"
	case "-", "running":
		return next
	default:
		return "next " + strings.TrimPrefix(next, fmt.Sprint(m.Due.Year(), "-"))
	}
}

func markOf(m machineStatus, chain store.Chain, p store.Point, held string, o outlook) mark {
	k := mark{Name: fmt.Sprintf("%s@%s.%d", m.folder.Name, chain.Name, p.Sequence), Kind: kindWord(p.Kind), Stored: plan.Bytes(p.Stored()), bytes: p.Stored(),
		Held: held, Start: p.Start, Class: ruleClass(held), Full: p.Kind == store.Full}
	if strings.HasPrefix(held, "damaged") {
		k.Class = "damaged"
	}
	switch goes, known := o.goes[pointKey{m.Address, chain.Name, p.Sequence}]; {
	case !known:
		k.Goes = "not foreseen"
	case goes.IsZero():
		k.Goes = "after " + o.until.UTC().Format(time.DateOnly)
	default:
		k.Goes = goes.UTC().Format(time.DateOnly)
	}
	return k
}
