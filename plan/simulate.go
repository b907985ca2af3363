package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vbk/config"
)

// SimulateOptions are what a simulation assumes. Each byte of a machine changes
// with the same probability at any time, so that the changes of two days
// overlap as chance has it.
type SimulateOptions struct {
	From   time.Time       `json:"from"`             // the timer fires first
	For    config.Duration `json:"for"`              // and from then on for so long
	Jitter config.Duration `json:"jitter,omitempty"` // each time by up to so much late, like RandomizedDelaySec of systemd
	Seed   uint64          `json:"seed"`             // of the jitter
	Full   int64           `json:"full_bytes"`       // bytes that a full stores
	Change float64         `json:"daily_change"`     // share of the data that changes in 24 hours, 0 to 1
	Lives  bool            `json:"-"`                // tell the life of each point
}

// Simulation is what a policy makes and keeps over a time.
type Simulation struct {
	Address string          `json:"address"`
	Store   string          `json:"store"`
	Assumed SimulateOptions `json:"assumed"`
	Runs    int             `json:"runs"`           // of the timer
	Made    int             `json:"made"`           // points
	Fulls   int             `json:"fulls"`          // among them
	Deleted int             `json:"deleted"`        // points
	Days    []Day           `json:"days,omitempty"` // calendar days of the policy's time zone
	Most    Day             `json:"most"`           // the day with the most bytes at its end
	Peak    int64           `json:"peak"`           // most bytes at any time: a new point is there before old ones go
	End     Standing        `json:"end"`            // what is there when the time is over
	Lives   []Life          `json:"lives,omitempty"`
	Error   string          `json:"error,omitempty"` // why a run made no backup, when it first happened
}

// Day is what a store holds at the end of a day.
type Day struct {
	Date   string `json:"date"`   // 2026-11-22
	Points int    `json:"points"` // all that exist
	Held   int    `json:"held"`   // those that a rule holds
	Needed int    `json:"needed"` // those, and what they build on
	Chains int    `json:"chains"`
	Stored int64  `json:"stored"` // bytes
}

// Standing is a day in more detail.
type Standing struct {
	Day
	Fulls  int         `json:"fulls"`           // that stand alone, among Needed
	Oldest time.Time   `json:"oldest,omitzero"` // start of the oldest point that a rule holds
	Rules  []RuleCount `json:"rules"`           // what holds the points; one point may count for several
}

// RuleCount counts points that a rule holds.
type RuleCount struct {
	Rule   string `json:"rule"`
	Points int    `json:"points"`
}

// Life is what becomes of one point.
type Life struct {
	Chain    string    `json:"chain"`
	Sequence int       `json:"sequence"`
	Start    time.Time `json:"start"`
	Full     bool      `json:"full"` // made as one
	Spans    []Span    `json:"spans"`
}

// Span is a part of a point's life, in which it is held by the same rule.
type Span struct {
	Rule  string    `json:"rule"` // the first of those that hold it
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// Simulate plays a policy: a timer fires, Decide decides, and what it decides
// is done without a failure, on what is there. Where s has no disks, a machine
// with one disk is assumed. Equal arguments give equal simulations.
func Simulate(w Want, s Seen, o SimulateOptions) Simulation {
	w.Host.Pending, w.Store.Pending, w.Policy.Pending = nil, nil, nil
	w.NoPrune, w.Full = false, false
	m := newStage(w, s, o)
	r := newRecord(w, o)
	var l ledger
	end := o.From.Add(time.Duration(o.For)).UTC()
	clock, err := newTimer(w, o)
	if err != nil {
		r.Error = err.Error()
		return r.Simulation
	}
	for now, more := clock.next(end); more; now, more = clock.next(end) {
		if r.Runs == maxRuns {
			r.Error = fmt.Sprintf("stopped after %d runs, at %s", maxRuns, now.Format(time.RFC3339))
			end = now
			break
		}
		m.time(now)
		i := decide(w, m.seen, now, &l)
		r.observe(i.Kept, l.tally, m, now)
		m.do(i, now)
		r.run(i)
	}
	m.time(end)
	kept := decide(w, m.seen, end, &l).Kept
	r.observe(kept, l.tally, m, end)
	return r.finish(kept, l.tally, m)
}

// maxRuns bounds a simulation: a timer that fires every second for a year would
// take days.
const maxRuns = 100_000

// Play is a simulation that is asked for.
type Play struct {
	Want    Want
	Seen    Seen
	Options SimulateOptions
}

// SimulateAll simulates many, side by side, and those that are alike but for
// their names only once.
func SimulateAll(plays []Play) []Simulation {
	first := map[string]int{}
	like := make([]int, len(plays))
	for n, p := range plays {
		key := p.key()
		if _, ok := first[key]; !ok {
			first[key] = n
		}
		like[n] = first[key]
	}
	all := make([]Simulation, len(plays))
	var group sideBySide
	for _, n := range first {
		group.do(func() { all[n] = Simulate(plays[n].Want, plays[n].Seen, plays[n].Options) })
	}
	group.wait()
	for n, p := range plays {
		all[n] = all[like[n]]
		all[n].Address, all[n].Store = p.Want.Address, p.Want.Policy.Store
	}
	return all
}

// key is equal for plays that differ in names only.
func (p Play) key() string {
	w := p.Want
	w.Address, w.Block, w.Domain, w.UUID, w.HostUUID = "", "", "", "", ""
	w.Host.Name, w.Host.URI, w.Host.Labels = "", "", nil
	key := p
	key.Want = w
	text, err := json.Marshal(key)
	if err != nil {
		panic("plan: a Play is always encodable: " + err.Error())
	}
	return string(text)
}

// timer fires like one of systemd: at the times of `schedule`, or `every` so
// often, each time by chance a little late.
type timer struct {
	tick   func(time.Time) (time.Time, bool) // the one after a tick
	at     time.Time                         // the next tick; zero: there is none
	jitter time.Duration
	chance uint64    // state of splitmix64
	fired  time.Time // last
}

func newTimer(w Want, o SimulateOptions) (*timer, error) {
	t := &timer{at: o.From.UTC(), jitter: time.Duration(o.Jitter), chance: o.Seed}
	every := time.Duration(w.Policy.Every)
	switch {
	case w.Policy.Schedule != "":
		s, err := parseSchedule(w.Policy.Schedule, w.zone())
		if err != nil {
			return nil, fmt.Errorf("schedule = %q cannot be read: %w", w.Policy.Schedule, err)
		}
		t.tick = s.next
		t.at, _ = s.next(o.From.Add(-time.Nanosecond))
	case every > 0:
		t.tick = func(at time.Time) (time.Time, bool) { return at.Add(every), true }
	default:
		return nil, errors.New("the policy has neither every nor schedule")
	}
	return t, nil
}

// next is when the timer fires next before end.
func (t *timer) next(end time.Time) (time.Time, bool) {
	if t.at.IsZero() {
		return t.at, false
	}
	now := t.at.UTC()
	if t.jitter > 0 {
		now = now.Add(time.Duration(t.random() % uint64(t.jitter)).Truncate(time.Second))
	}
	if !now.After(t.fired) { // it was later than a whole interval
		now = t.fired.Add(time.Second)
	}
	t.fired = now
	t.at, _ = t.tick(t.at)
	return now, now.Before(end)
}

// random is the next number of splitmix64 (Steele, Lea, Flood 2014).
func (t *timer) random() uint64 {
	t.chance += 0x9e3779b97f4a7c15
	z := t.chance
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
