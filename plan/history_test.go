package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// forever is more steps than any run has.
const forever = 1 << 30

func drawRetention(t *rapid.T) config.Retention {
	r := config.Retention{MinChains: rapid.IntRange(1, 3).Draw(t, "min_chains"), MaxPrune: rapid.SampledFrom([]int{0, 25, 50, 100}).Draw(t, "max_prune")}
	for name, rule := range rules(&r) {
		if rapid.Bool().Draw(t, name) {
			*rule = number(rapid.IntRange(1, 5).Draw(t, name+" count"))
		}
	}
	if rapid.Bool().Draw(t, "within") {
		r.KeepWithin = within(time.Duration(rapid.IntRange(1, 400).Draw(t, "keep_within")) * time.Hour)
	}
	return r
}

// rules are the places of the count rules, in one order.
func rules(r *config.Retention) func(func(string, **int) bool) {
	return func(yield func(string, **int) bool) {
		_ = yield("last", &r.KeepLast) && yield("hourly", &r.KeepHourly) && yield("daily", &r.KeepDaily) &&
			yield("weekly", &r.KeepWeekly) && yield("monthly", &r.KeepMonthly) && yield("yearly", &r.KeepYearly)
	}
}

func newWorld(t *rapid.T) *world {
	d1, d2 := machine("vda", "vdb"), named("web02", uuid2, virt.Running)
	for _, d := range []*virt.Domain{&d1, &d2} {
		d.Checkpoints = []virt.Checkpoint{{Name: "manual"}, {Name: "vbk-ffffffff-20260101T000000Z-0000-00000001.0"}}
	}
	w := &world{t: t, now: noon, cfg: configuration(block("one", "web01"), block("two", "web*"))}
	w.cfg.Domains[1].Exclude = []string{"web01"}
	w.cfg.Name = "site-a"
	w.cfg.TimeZone = rapid.SampledFrom([]*time.Location{time.UTC, mustLoad("America/New_York"), mustLoad("Pacific/Apia")}).Draw(t, "zone")
	for n := range w.cfg.Domains {
		p := &w.cfg.Domains[n].Policy
		p.Every = config.Duration(rapid.SampledFrom([]time.Duration{time.Hour, 6 * time.Hour, day}).Draw(t, "every"))
		p.Chain.FullEvery = config.Duration(rapid.SampledFrom([]time.Duration{0, 2 * day, 7 * day}).Draw(t, "full_every"))
		p.Chain.MaxIncrements = rapid.IntRange(1, 6).Draw(t, "max_increments")
		p.Offline = rapid.SampledFrom([]string{"backup", "skip"}).Draw(t, "offline")
		p.Retention = drawRetention(t)
	}
	stranger := store.Domain{Folder: "x-33333333", UUID: "3", Chains: []store.Chain{chain(1, noon)}, Leftovers: []string{"c/f"}}
	w.have = inventory([]store.Domain{stranger}, host("hv1", d1), host("hv2", d2))
	w.have.Stores = append(w.have.Stores, Store{Address: "store.local.b", ID: "ffffffff", Domains: []store.Domain{*folder(chain(1, noon))}})
	return w
}

func mustLoad(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

func (w *world) pass() {
	minutes := rapid.SampledFrom([]int{10, 70, 360, 1440, 1500, 4 * 1440, 30 * 1440}).Draw(w.t, "minutes")
	w.now = w.now.Add(time.Duration(minutes) * time.Minute)
}

func (w *world) anyDomain() *virt.Domain {
	return w.domain(rapid.SampledFrom([]string{uuid1, uuid2}).Draw(w.t, "domain"))
}

// anyChain is a chain of a folder of ours; false if there is none.
func (w *world) anyChain() (*store.Chain, bool) {
	var all []*store.Chain
	for f := range w.have.Stores[0].Domains {
		if folder := &w.have.Stores[0].Domains[f]; folder.UUID != "3" {
			folder.Chains = slices.Clone(folder.Chains)
			for c := range folder.Chains {
				all = append(all, &folder.Chains[c])
			}
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	return rapid.SampledFrom(all).Draw(w.t, "chain"), true
}

// happen is something that happens to domains, their disks or the store.
func (w *world) happen() {
	d := w.anyDomain()
	d.Disks, d.Checkpoints = slices.Clone(d.Disks), slices.Clone(d.Checkpoints)
	switch what := rapid.IntRange(0, 9).Draw(w.t, "what"); what {
	case 0:
		d.Job = nil
		d.State = rapid.SampledFrom([]virt.State{virt.Running, virt.Running, virt.Paused, virt.ShutOff}).Draw(w.t, "state")
	case 1:
		d.Disks[0].Size += gib
	case 2:
		d.Disks[0].Source += "x"
	case 3:
		w.serial++
		d.Disks = append(d.Disks, disk(fmt.Sprintf("vdx%d", w.serial)))
	case 4:
		d.Disks = d.Disks[max(0, len(d.Disks)-1):]
	case 5, 6: // a bitmap breaks, or the checkpoint goes
		n := rapid.IntRange(0, len(d.Checkpoints)-1).Draw(w.t, "checkpoint")
		if c := d.Checkpoints[n]; len(c.Disks) > 0 && what == 5 {
			d.Checkpoints[n].Disks = append(slices.Clone(c.Disks[1:]), virt.CheckpointDisk{Target: c.Disks[0].Target, Health: virt.Broken})
		} else if n > 1 {
			d.Checkpoints = slices.Delete(d.Checkpoints, n, n+1)
		}
	case 7:
		if d.Job == nil && d.State.Active() {
			d.Job = &virt.Job{Operation: "block copy"}
		} else if d.Job != nil && d.Job.Socket == "" {
			d.Job = nil
		}
	case 8:
		w.damage()
	case 9: // a clock was wrong, another configuration was here, or somebody repaired the chain
		if c, ok := w.anyChain(); ok {
			c.Manifest.Points = slices.Clone(c.Manifest.Points)
			switch rapid.IntRange(0, 2).Draw(w.t, "chain event") {
			case 0:
				c.Manifest.Points[len(c.Manifest.Points)-1].Start = w.now.Add(time.Duration(rapid.IntRange(-90, 90).Draw(w.t, "days")) * day)
			case 1:
				c.Manifest.Owner.Configuration = "site-b"
			case 2:
				c.Problems = nil
			}
		}
	}
}

// damage adds a problem to a chain; false if there is none.
func (w *world) damage() bool {
	c, ok := w.anyChain()
	if !ok {
		return false
	}
	from := rapid.IntRange(0, len(c.Manifest.Points)).Draw(w.t, "from") // one beyond the head: a manifest is missing
	p := problem(from, rapid.SampledFrom([]int{0, 0, from + 1, from + 3}).Draw(w.t, "until"))
	if rapid.IntRange(0, 9).Draw(w.t, "harmless") == 0 {
		p.From, p.Until = store.NoPoint, 0
	}
	c.Problems = append(slices.Clone(c.Problems), p)
	return true
}

func (w *world) make(o Options) Plan { return Make(w.cfg, w.have, o, w.now) }

func (w *world) options() Options {
	var o Options
	if rapid.IntRange(0, 5).Draw(w.t, "-full") == 0 {
		o.Full = []string{"domain.one"}
	}
	if rapid.IntRange(0, 2).Draw(w.t, "-allow-prune") == 0 {
		o.AllowPrune = []string{"domain.one", "domain.two"}
	}
	return o
}

// TestHistories lets random things happen between runs, and looks after each of
// them at what must be true.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		var saved *Plan
		var asked Options
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch event := rapid.IntRange(0, 9).Draw(t, "event"); event {
			case 0, 1:
				w.happen()
			case 2, 3:
				w.pass()
			case 4:
				w.guarded(func() { w.run(w.make(w.options()), true, rapid.IntRange(0, 12).Draw(t, "fuel")) })
			case 5:
				asked = w.options()
				p := w.make(asked)
				saved = &p
			case 6:
				if saved != nil {
					w.apply(*saved, asked)
				}
			default:
				w.pass()
				w.night()
			}
			w.longerKeepsMore()
			w.damageKeepsMore()
		}
	})
}

// guarded does something and compares what must not be lost by it.
func (w *world) guarded(act func()) {
	foreign, sound := w.foreign(), w.soundPoints()
	act()
	if now := w.foreign(); now != foreign {
		w.t.Fatalf("what is not ours was touched: %s, was %s", now, foreign)
	}
	for _, f := range sound {
		if !slices.Contains(w.soundPoints(), f) {
			w.t.Fatalf("%s had a sound point and has none", f)
		}
	}
}

// night makes a plan, does it, and finds nothing left to do.
func (w *world) night() {
	o := w.options()
	p := w.make(o)
	w.sameBytes(p, w.make(o))
	for _, i := range p.Instances {
		w.order(i)
		w.keptStays(i)
	}
	w.guarded(func() { w.run(p, true, forever) })
	if again := w.make(Options{AllowPrune: o.AllowPrune}); !again.Empty() {
		w.t.Fatalf("there is something left to do: %q", lines(again))
	}
	for _, f := range w.have.Stores[0].Domains {
		for _, c := range f.Chains {
			for n, point := range c.Manifest.Points {
				if point.Sequence != n || point.Parent != n-1 {
					w.t.Fatalf("%s.%d has parent %d", c.Name, point.Sequence, point.Parent)
				}
			}
		}
	}
}

func (w *world) sameBytes(p, q Plan) {
	a, errA := Encode(p)
	b, errB := Encode(q)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		w.t.Fatalf("equal arguments, and the plans differ: %v, %v", errA, errB)
	}
}

// order: cleanup, what goes anyway, the backup, what goes because of it.
func (w *world) order(i Instance) {
	rank := map[string]int{"cleanup": 0, "prune": 1, "full": 2, "inc": 2, "prune-after": 3}
	words := summary(i)
	if !slices.IsSortedFunc(words, func(a, b string) int { return rank[a] - rank[b] }) {
		w.t.Fatalf("order %q", words)
	}
	today := retained(i.Want, w.chains(i), nil, w.now)
	for _, a := range i.Actions {
		if a.Kind == KindPrune && !a.Prune.After && !slices.ContainsFunc(today.victims, func(n int) bool { return w.chains(i)[n].Name == a.Prune.Chain }) {
			w.t.Fatalf("chain %s does not wait for the point that it needs", a.Prune.Chain)
		}
	}
}

func (w *world) chains(i Instance) []store.Chain {
	for _, f := range w.have.Stores[0].Domains {
		if f.Folder == i.Folder {
			return f.Chains
		}
	}
	return nil
}

// keptStays: what a rule holds after the planned backup does not go.
func (w *world) keptStays(i Instance) {
	for at := range heldPoints(i.Want, w.chains(i), i.Backup(), w.now) {
		if at[0] < len(w.chains(i)) && slices.Contains(pruned(i), w.chains(i)[at[0]].Name) {
			w.t.Fatalf("chain %s goes, and a rule holds its point %d", w.chains(i)[at[0]].Name, at[1])
		}
	}
}

// apply does a saved plan, now or later: never anything that a fresh plan with
// the same flags would not do, nor anything that was not reviewed.
func (w *world) apply(saved Plan, asked Options) {
	text, err := Encode(saved)
	if err != nil {
		w.t.Fatal(err)
	}
	if saved, err = Decode(text); err != nil {
		w.t.Fatal(err)
	}
	fresh := map[string]Instance{}
	for _, i := range w.make(asked).Instances {
		fresh[i.Want.Address] = i
	}
	bound, _ := Bind(saved, w.make(Options{}))
	for _, i := range bound.Instances {
		for _, planned := range i.Actions {
			a, verdict, _ := Check(planned, w.decide(i))
			if verdict != Holds {
				continue
			}
			if !slices.ContainsFunc(fresh[i.Want.Address].Actions, func(b Action) bool { return cmp.Equal(a, b) }) {
				w.t.Fatalf("%s: %s holds, and a fresh plan has %q", i.Want.Address, a.Kind, summary(fresh[i.Want.Address]))
			}
			reviewed := a.Kind == KindCleanup || a.Kind == KindBackup && a.Backup.String() == planned.Backup.String() ||
				a.Kind == KindPrune && a.Prune.Chain == planned.Prune.Chain && a.Prune.Points == planned.Prune.Points
			if a.Kind != planned.Kind || !reviewed {
				w.t.Fatalf("%s: reviewed was %+v, done would be %+v", i.Want.Address, planned, a)
			}
		}
	}
	w.guarded(func() { w.run(bound, false, forever) })
	points := w.points()
	bound, _ = Bind(saved, w.make(Options{}))
	w.guarded(func() { w.run(bound, false, forever) })
	if w.points() != points {
		w.t.Fatalf("the saved plan did something when it was done a second time: %s, was %s", w.points(), points)
	}
}

func (w *world) points() string {
	all := map[string]int{}
	for _, f := range w.have.Stores[0].Domains {
		for _, c := range f.Chains {
			all[c.Name] = len(c.Manifest.Points)
		}
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text = append(text, fmt.Sprintf("%s:%d", name, all[name]))
	}
	return strings.Join(text, " ")
}

// longerKeepsMore: a longer rule, or one more, never deletes more.
func (w *world) longerKeepsMore() {
	all := Options{AllowPrune: []string{"domain.one", "domain.two"}}
	before := w.make(all)
	longer := *w.cfg
	longer.Domains = slices.Clone(w.cfg.Domains)
	for n := range longer.Domains {
		r := &longer.Domains[n].Policy.Retention
		had := hasRules(*r)
		for name, rule := range rules(r) {
			if more := rapid.IntRange(0, 2).Draw(w.t, "more "+name); more > 0 && *rule != nil {
				*rule = number(**rule + more)
			} else if more > 0 && had {
				*rule = number(more)
			}
		}
		if r.KeepWithin != nil {
			r.KeepWithin = within(time.Duration(*r.KeepWithin) + day)
		}
		r.MinChains += rapid.IntRange(0, 1).Draw(w.t, "more chains")
	}
	after := Make(&longer, w.have, all, w.now)
	for n, i := range after.Instances {
		for _, c := range pruned(i) {
			if !slices.Contains(pruned(before.Instances[n]), c) {
				w.t.Fatalf("chain %s goes only by the longer rules", c)
			}
		}
	}
}

// damageKeepsMore: more damage never turns a full into an increment, and for
// the same backup it never deletes more.
func (w *world) damageKeepsMore() {
	all := Options{AllowPrune: []string{"domain.one", "domain.two"}}
	before := w.make(all)
	copied, err := json.Marshal(w.have)
	if err != nil {
		w.t.Fatal(err)
	}
	broken := &world{t: w.t, cfg: w.cfg, now: w.now}
	if err := json.Unmarshal(copied, &broken.have); err != nil {
		w.t.Fatal(err)
	}
	if !broken.damage() {
		return
	}
	for n, i := range broken.make(all).Instances {
		was, is := before.Instances[n].Backup(), i.Backup()
		if was != nil && is == nil || was != nil && was.Kind == store.Full && is.Kind == store.Increment {
			w.t.Fatalf("damage turned %s into %s", was, is)
		}
		if (was == nil) != (is == nil) || was != nil && was.Kind != is.Kind {
			continue
		}
		for _, c := range pruned(i) {
			if !slices.Contains(pruned(before.Instances[n]), c) {
				w.t.Fatalf("chain %s goes only by more damage", c)
			}
		}
	}
}
