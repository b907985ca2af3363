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
	r.Prune = rapid.SampledFrom([]string{"chain", "merge"}).Draw(t, "prune")
	if r.Anchor = "any"; r.Prune == "chain" {
		r.Anchor = rapid.SampledFrom([]string{"any", "full"}).Draw(t, "anchor")
	}
	r.Departed = config.Duration(rapid.SampledFrom([]time.Duration{0, 2 * day, 30 * day}).Draw(t, "departed"))
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
	w.cfg.Removed = []config.Removed{{From: "domain.old"}}
	for n := range w.cfg.Domains {
		p := &w.cfg.Domains[n].Policy
		p.Mode = rapid.SampledFrom([]string{"incremental", "incremental", "incremental", "full"}).Draw(t, "mode")
		p.Stream = rapid.SampledFrom([]string{"v3", "v3", "v3", "virtnbdbackup"}).Draw(t, "stream")
		p.Chain.OnBroken = rapid.SampledFrom([]string{"resync", "resync", "full", "fail"}).Draw(t, "on_broken")
		p.Disks.Raw = rapid.SampledFrom([]string{"resync", "full", "skip", "fail"}).Draw(t, "raw")
		p.Schedule = rapid.SampledFrom([]string{"", "", "30 2 * * *", "0 */6 * * 1-5"}).Draw(t, "schedule")
		p.MinChange = rapid.SampledFrom([]int64{0, 0, 1}).Draw(t, "min_change")
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
func TestHistories(t *testing.T) { rapid.Check(t, history) }

// FuzzHistories is the same, with histories that lead into new code.
func FuzzHistories(f *testing.F) { f.Fuzz(rapid.MakeFuzz(history)) }

func history(t *rapid.T) {
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
}

// guarded does something and compares what must not be lost by it.
func (w *world) guarded(act func()) {
	foreign, sound, protected := w.foreign(), w.soundPoints(), w.protected()
	act()
	if now := w.protected(); !slices.Equal(now, protected) {
		w.t.Fatalf("protected were %q, are %q", protected, now)
	}
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
	if again := w.make(Options{AllowPrune: o.AllowPrune}); !again.Empty() && !w.failed {
		w.t.Fatalf("there is something left to do: %q", lines(again))
	}
	for _, f := range w.have.Stores[0].Domains {
		for _, c := range f.Chains {
			parent := -1
			for _, point := range c.Manifest.Points {
				if point.Parent != parent {
					w.t.Fatalf("%s.%d has parent %d", c.Name, point.Sequence, point.Parent)
				}
				parent = point.Sequence
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
	rank := map[string]int{"cleanup": 0, "prune": 1, "merge": 2, "full": 3, "inc": 3, "resync": 3, "prune-after": 4, "merge-after": 5}
	words := summary(i)
	if !slices.IsSortedFunc(words, func(a, b string) int { return rank[a] - rank[b] }) {
		w.t.Fatalf("order %q", words)
	}
	if i.Want.Release != "" {
		return
	}
	today := retained(i.Want, i.Want.zone(), w.chains(i), nil, w.now)
	for _, a := range i.Actions {
		if a.Kind == KindPrune && !a.Prune.After && !slices.ContainsFunc(today.victims, func(n int) bool { return w.chains(i)[n].Name == a.Prune.Chain }) {
			w.t.Fatalf("chain %s does not wait for the point that it needs", a.Prune.Chain)
		}
		if a.Kind == KindMerge && !a.Merge.After && !slices.ContainsFunc(today.merges, func(m Merge) bool { return m.covers(*a.Merge) }) {
			w.t.Fatalf("merge %+v does not wait for the point that it needs", a.Merge)
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
	if i.Want.Release != "" {
		return
	}
	gone := w.deleted(i)
	held := retained(i.Want, i.Want.zone(), w.chains(i), i.Backup(), w.now).held
	for n, c := range w.chains(i) {
		for k, p := range c.Manifest.Points {
			if name := fmt.Sprintf("%s.%d", c.Name, p.Sequence); held[n][k].any() && slices.Contains(gone, name) {
				w.t.Fatalf("%s goes, and a rule holds it", name)
			}
		}
	}
}

// deleted are the points that an instance gives up.
func (w *world) deleted(i Instance) (all []string) {
	for _, a := range i.Actions {
		for _, c := range w.chains(i) {
			for _, p := range c.Manifest.Points {
				if a.Prune != nil && a.Prune.Chain == c.Name || a.Merge != nil && a.Merge.Chain == c.Name && slices.Contains(a.Merge.Gone, p.Sequence) {
					all = append(all, fmt.Sprintf("%s.%d", c.Name, p.Sequence))
				}
			}
		}
	}
	return all
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
			if !slices.ContainsFunc(fresh[i.Want.Address].Actions, func(b Action) bool {
				return cmp.Equal(a, b) || a.Merge != nil && b.Merge != nil && b.Merge.covers(*a.Merge)
			}) {
				w.t.Fatalf("%s: %s holds, and a fresh plan has %q", i.Want.Address, a.Kind, summary(fresh[i.Want.Address]))
			}
			if a.Kind == KindMerge && !slices.ContainsFunc(retained(i.Want, i.Want.zone(), w.chains(i), nil, w.now).merges,
				func(m Merge) bool { return m.covers(*a.Merge) }) {
				w.t.Fatalf("%s: merge %+v holds, and waits for a point that is not planned", i.Want.Address, a.Merge)
			}
			reviewed := a.Kind == KindCleanup || a.Kind == KindBackup && a.Backup.String() == planned.Backup.String() ||
				a.Kind == KindPrune && a.Prune.Chain == planned.Prune.Chain && a.Prune.Points == planned.Prune.Points ||
				a.Kind == KindMerge && slices.Equal(a.Merge.Gone, planned.Merge.Gone) && a.Merge.Into == planned.Merge.Into && !a.Merge.After
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
		if i.Want.Release != "" {
			continue
		}
		for _, p := range w.deleted(i) {
			if !slices.Contains(w.deleted(before.Instances[n]), p) {
				w.t.Fatalf("%s goes only by the longer rules", p)
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
		if was != nil && is == nil || was != nil && was.Kind == store.Full && is.Kind != store.Full {
			w.t.Fatalf("damage turned %s into %s", was, is)
		}
		if (was == nil) != (is == nil) || was != nil && was.Kind != is.Kind {
			continue
		}
		if i.Want.Release != "" {
			continue
		}
		for _, p := range w.deleted(i) {
			if !slices.Contains(w.deleted(before.Instances[n]), p) {
				w.t.Fatalf("%s goes only by more damage", p)
			}
		}
	}
}
