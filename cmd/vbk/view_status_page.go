package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

//go:embed view_status_page.html
var statusTemplate string

// statusPage is a status for people who would rather look than read: one file that
// asks no other for anything and runs nothing.
type statusPage struct {
	status
	Counts   []stateCount
	Problems []string
	Oddities []string
	Places   []place
	Machines []card
	Days     int         // the page looks ahead
	Legend   [][2]string // class and words
	Style    template.CSS
}

type stateCount struct {
	State string
	N     int
}

// place is a store. The outlook is in percent of the store's size.
type place struct {
	storeStatus
	Used    float64 // percent
	Outlook string  // points of a polyline, 0 to 100 each way
	Says    string
}

// card is a machine.
type card struct {
	machineStatus
	Open   bool
	Chains []lane
	Marks  []mark
	Now    float64 // where now is on the axis, percent
	Height int     // of the lanes, pixels
	Last   int     // of all, pixels
	From   time.Time
	Until  time.Time
}

// lane is the life of a chain: from its first point until its last one goes.
type lane struct {
	Name    string
	Y       int
	X, Wide float64 // percent
}

// mark is a point.
type mark struct {
	Name, Kind, Stored, Held, Goes string
	Start                          time.Time
	Class                          string
	Full                           bool
	X                              float64 // percent
	Y                              int
	Size                           int // height of its bar, pixels: the root of the bytes
}

// The pixels of a machine's picture.
const (
	laneHeight  = 16
	lanesHeight = 400 // of all, where chains are many
	sizeHeight  = 36
	mostOpen    = 8 // machines that are unfolded
)

// writePage renders a status. All names are escaped by html/template.
func writePage(w io.Writer, s status, cfg *config.Config, o outlook) error {
	t, err := template.New("status").Funcs(template.FuncMap{
		"bytes": plan.Bytes, "age": age, "span": spanOf, "short": shortTime, "full": fullTime, "departure": departure,
		"count": count, "class": func(state string) string { return strings.ReplaceAll(state, " ", "-") },
	}).Parse(statusTemplate)
	if err == nil {
		err = t.Execute(w, pageOf(s, cfg, o))
	}
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func pageOf(s status, cfg *config.Config, o outlook) statusPage {
	p := statusPage{status: s, Problems: s.problems(), Oddities: s.oddities(), Days: int(outlookSpan / (24 * time.Hour)),
		Legend: append(ruleClasses(), [2]string{"damaged", "damaged"}), Style: pictureStyle}
	counts := map[string]int{}
	for _, m := range s.Instances {
		counts[m.State]++
		p.Machines = append(p.Machines, cardOf(m, cfg, o, s.Timestamp))
	}
	order := []string{stateUnknown, stateMissing, stateLate, stateDamaged, stateFailing, stateIdle, stateOK}
	for _, state := range order {
		if counts[state] > 0 {
			p.Counts = append(p.Counts, stateCount{state, counts[state]})
		}
	}
	slices.SortStableFunc(p.Machines, func(a, b card) int { return slices.Index(order, a.State) - slices.Index(order, b.State) })
	for n := range min(mostOpen, len(p.Machines)) {
		p.Machines[n].Open = true
	}
	for _, st := range s.Stores {
		p.Places = append(p.Places, placeOf(st, cfg, o))
	}
	return p
}

// placeOf tells a store's space, now and later.
func placeOf(st storeStatus, cfg *config.Config, o outlook) place {
	p := place{storeStatus: st}
	if st.Error != "" || st.Size <= 0 {
		return p
	}
	share := func(free int64) float64 { return min(max(100*(1-float64(free)/float64(st.Size)), 0), 100) }
	p.Used = share(st.Free)
	days := o.free[st.Address]
	var line strings.Builder
	for n, free := range days {
		fmt.Fprintf(&line, "%.1f,%.1f ", 100*float64(n)/float64(max(len(days)-1, 1)), 100-share(free))
	}
	p.Outlook = line.String()
	var minFree int64
	for _, c := range cfg.Stores {
		if c.Address() == st.Address {
			minFree = c.MinFree
		}
	}
	switch full := o.full(st.Address, minFree); {
	case len(days) == 0:
	case !full.IsZero():
		p.Says = fmt.Sprintf("Full on about %s, with min_free = %s.", full.UTC().Format(time.DateOnly), plan.Bytes(minFree))
	default:
		p.Says = fmt.Sprintf("About %s free on %s.", plan.Bytes(days[len(days)-1]), o.until.UTC().Format(time.DateOnly))
	}
	return p
}

// cardOf draws a machine's chains and points on an axis of time that begins
// with the oldest and ends when the last that goes has gone, if that is foreseen.
func cardOf(m machineStatus, cfg *config.Config, o outlook, now time.Time) card {
	c := card{machineStatus: m, From: now, Until: now}
	foreseen := func(k pointKey) time.Time {
		if goes := o.goes[k]; !goes.IsZero() {
			return goes
		}
		return o.until
	}
	for _, chain := range m.folder.Chains {
		for _, p := range chain.Manifest.Points {
			if p.Start.Before(c.From) {
				c.From = p.Start
			}
			if goes := foreseen(pointKey{m.Address, chain.Name, p.Sequence}); goes.After(c.Until) {
				c.Until = goes
			}
		}
	}
	if most := now.Add(max(now.Sub(c.From), 14*24*time.Hour)); c.Until.After(most) {
		c.Until = most // what is there is not to shrink to nothing
	}
	x := func(t time.Time) float64 {
		return min(max(100*float64(t.Sub(c.From))/float64(max(c.Until.Sub(c.From), 1)), 0), 100)
	}
	c.Now = x(now)
	lanes := len(m.folder.Chains)
	step := min(laneHeight, max(lanesHeight/max(lanes, 1), 2))
	c.Height = step * lanes
	c.Last = c.Height + sizeHeight
	held := plan.HeldBy(m.policy, cfg.TimeZone.String(), m.folder.Chains, now)
	largest := 1.0
	for n, chain := range m.folder.Chains {
		y := step*n + step/2
		l := lane{Name: chain.Name, Y: y, X: 100}
		end := time.Time{}
		for _, p := range chain.Manifest.Points {
			key := pointKey{m.Address, chain.Name, p.Sequence}
			c.Marks = append(c.Marks, markOf(m, chain, p, held(chain.Name, p.Sequence), o, key, x(p.Start), y))
			largest = max(largest, math.Sqrt(float64(p.Stored())))
			l.X = min(l.X, x(p.Start))
			if goes := foreseen(key); goes.After(end) {
				end = goes
			}
		}
		l.Wide = max(x(end)-l.X, 0)
		c.Chains = append(c.Chains, l)
	}
	c.scale(largest)
	return c
}

// scale draws the bars of sizes below the lanes.
func (c *card) scale(largest float64) {
	at := 0
	for _, chain := range c.folder.Chains {
		for _, p := range chain.Manifest.Points {
			c.Marks[at].Size = 1 + int((sizeHeight-6)*math.Sqrt(float64(p.Stored()))/largest)
			at++
		}
	}
}

func markOf(m machineStatus, chain store.Chain, p store.Point, held string, o outlook, key pointKey, x float64, y int) mark {
	k := mark{Name: fmt.Sprintf("%s@%s.%d", m.folder.Name, chain.Name, p.Sequence), Kind: kindWord(p.Kind), Stored: plan.Bytes(p.Stored()),
		Held: held, Start: p.Start, Class: ruleClass(held), Full: p.Kind == store.Full, X: x, Y: y}
	if strings.HasPrefix(held, "damaged") {
		k.Class = "damaged"
	}
	switch goes, known := o.goes[key]; {
	case !known:
		k.Goes = "not foreseen"
	case goes.IsZero():
		k.Goes = "after " + o.until.UTC().Format(time.DateOnly)
	default:
		k.Goes = goes.UTC().Format(time.DateOnly)
	}
	return k
}
