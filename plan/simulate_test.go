package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
)

// fourHundred nights from a Sunday, at two o'clock.
func fourHundred() SimulateOptions {
	return SimulateOptions{From: time.Date(2025, 10, 19, 2, 0, 0, 0, time.UTC), For: config.Duration(400 * day), Full: 100 * gib, Change: 0.02}
}

func gfs(change func(*config.Policy)) Want {
	w := want()
	w.Policy.Retention = config.Retention{KeepDaily: number(7), KeepWeekly: number(4), KeepMonthly: number(6),
		MinChains: 1, MaxPrune: 100, Anchor: "any", Prune: "chain"}
	if change != nil {
		change(&w.Policy)
	}
	return w
}

// TestSimulateWhatTheSameWordsCost plays one point a night for 400 nights, with
// a full on Sundays, keep_daily = 7, keep_weekly = 4, keep_monthly = 6. restic
// keeps 15 points of that history; the other numbers are those of chains.
func TestSimulateWhatTheSameWordsCost(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*config.Policy)
		want   string // held by rules, the oldest of them, with ancestors, fulls among those, all that is there, fulls made
	}{
		{"any point", nil, "15 2026-06-30 32 9 57 58"},
		{"fulls only for weekly and coarser rules", func(p *config.Policy) { p.Retention.Anchor = "full" }, "15 2026-06-28 15 9 57 58"},
		{"merged", func(p *config.Policy) { p.Retention.Prune = "merge" }, "15 2026-06-30 15 9 21 58"},
		{"merged, one full for ever", func(p *config.Policy) {
			p.Retention.Prune, p.Chain.FullEvery, p.Chain.MaxIncrements = "merge", 0, math.MaxInt32
		}, "15 2026-06-30 15 1 15 1"},
		{"fulls", func(p *config.Policy) { p.Mode = "full" }, "15 2026-06-30 15 15 15 400"},
		{"by the clock on the wall", func(p *config.Policy) { p.Every, p.Schedule = 0, "0 2 * * *" }, "15 2026-06-30 32 9 57 58"},
	} {
		s := Simulate(gfs(row.change), Seen{}, fourHundred())
		got := fmt.Sprint(s.End.Held, s.End.Oldest.Format(" 2006-01-02 "), s.End.Needed, s.End.Fulls, s.End.Points, s.Fulls)
		if got != row.want || s.Made != 400 || s.Error != "" || len(s.Days) != 400 {
			t.Errorf("%s: %s, %d made, %d days, error %q; want %s", row.name, got, s.Made, len(s.Days), s.Error, row.want)
		}
	}
}

// TestSimulateSkipsNoNight: neither the jitter of a timer nor a change of clocks
// costs a night or makes two of one.
func TestSimulateSkipsNoNight(t *testing.T) {
	for seed := range uint64(5) {
		for name, w := range map[string]Want{
			"every":    gfs(nil),
			"schedule": gfs(func(p *config.Policy) { p.Every, p.Schedule = 0, "30 2 * * *" }),
		} {
			w.TimeZone = "Europe/Berlin"
			o := fourHundred()
			o.Seed, o.Jitter = seed, config.Duration(20*time.Minute)
			if s := Simulate(w, Seen{}, o); s.Made != 400 || s.Runs != 400 {
				t.Errorf("%s, seed %d: %d points made in %d runs", name, seed, s.Made, s.Runs)
			}
		}
	}
	o := fourHundred()
	o.Jitter = config.Duration(5 * time.Hour)
	if s := Simulate(gfs(nil), Seen{}, o); s.Made >= s.Runs || s.Runs != 400 {
		t.Errorf("a timer that is five hours late makes %d points in %d runs", s.Made, s.Runs)
	}
}

// TestSimulateIsWhatPlansDo plays a machine in the model that the properties of
// plans are tested in, which says where an action would be wrong, and compares
// what exists at the end.
func TestSimulateIsWhatPlansDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.have.Hosts = []Host{host("hv1", machine("vda", "vdb"))}
		w.have.Stores = w.have.Stores[:1]
		w.have.Stores[0].Domains = nil
		w.cfg.Removed = nil
		w.cfg.Domains[0].Policy.MinChange = 0
		o := SimulateOptions{From: noon, For: config.Duration(rapid.IntRange(1, 40).Draw(t, "days")) * config.Duration(day), Lives: true,
			Jitter: config.Duration(rapid.SampledFrom([]time.Duration{0, 20 * time.Minute, 3 * time.Hour}).Draw(t, "jitter")), Full: gib, Change: 0.02}
		first := Make(w.cfg, w.have, Options{}, noon).Instances[0]
		seen := Seen{Domain: *w.domain(uuid1)}
		simulated := Simulate(first.Want, seen, o)

		clock, err := newTimer(first.Want, o)
		if err != nil {
			t.Fatal(err)
		}
		end := noon.Add(time.Duration(o.For))
		for now, more := clock.next(end); more; now, more = clock.next(end) {
			w.now = now
			w.run(Make(w.cfg, w.have, Options{}, now), true, forever)
		}
		var there []string
		for _, f := range w.have.Stores[0].Domains {
			for _, c := range f.Chains {
				for _, p := range c.Manifest.Points {
					there = append(there, fmt.Sprint(p.Start, p.Sequence))
				}
			}
		}
		var lives []string
		for _, life := range simulated.Lives {
			if life.Spans[len(life.Spans)-1].Until.Equal(end) {
				lives = append(lives, fmt.Sprint(life.Start, life.Sequence))
			}
		}
		slices.Sort(there)
		slices.Sort(lives)
		if !slices.Equal(there, lives) || simulated.End.Points != len(there) {
			t.Fatalf("plans leave %q, the simulation %q", there, lives)
		}
	})
}

func TestSimulateBytes(t *testing.T) {
	w := want()
	o := SimulateOptions{From: noon, For: config.Duration(3 * day), Full: 1000, Change: 0.1}
	s := Simulate(w, Seen{}, o)
	var stored []int64
	for _, d := range s.Days {
		stored = append(stored, d.Stored)
	}
	if want := []int64{1000, 1100, 1200}; !slices.Equal(stored, want) || s.End.Stored != 1200 || s.Peak != 1200 {
		t.Errorf("a full and a tenth a day: %d, at the end %d, at most %d", stored, s.End.Stored, s.Peak)
	}

	w.Policy.Retention = config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 100}
	w.Policy.Chain.MaxIncrements = 1
	o.For = config.Duration(5 * day)
	s = Simulate(w, Seen{}, o)
	if s.Peak != 2100 || s.End.Stored != 1000 || s.Most.Stored != 1100 {
		t.Errorf("the old chain is there until the new full is: at the end %d, on the fullest day %d, at most %d", s.End.Stored, s.Most.Stored, s.Peak)
	}

	w.Policy.Retention.Prune, w.Policy.Chain.MaxIncrements, w.Policy.Chain.FullEvery = "merge", 99, 0
	s = Simulate(w, Seen{}, o)
	if s.End.Points != 1 || s.End.Stored != 1000 {
		t.Errorf("merged into the full: %d points of %d bytes", s.End.Points, s.End.Stored)
	}
}

// TestMergedChangesOverlap: two increments that are merged hold no more than
// both, and no less than the larger one.
func TestMergedChangesOverlap(t *testing.T) {
	m := newStage(want(), Seen{Domain: machine("vda")}, SimulateOptions{Full: 1000, Change: 0.1})
	at := func(stored int64) store.Point {
		return store.Point{Kind: store.Increment, Disks: []store.PointDisk{{Target: "vda", FileSize: stored}}}
	}
	for _, row := range []struct{ a, b, want int64 }{{100, 100, 190}, {0, 100, 100}, {1000, 100, 1000}, {500, 500, 750}} {
		if got := m.merged([]store.Point{at(row.a)}, at(row.b)).Stored(); got != row.want {
			t.Errorf("%d and %d bytes of 1000 make %d, want %d", row.a, row.b, got, row.want)
		}
	}
}

func TestSimulateGoesOnFromWhatIsThere(t *testing.T) {
	s := Seen{Domain: machine("vda"), Folder: folder(chain(1, daily(3, day)...))}
	s.Domain.Checkpoints = append(s.Domain.Checkpoints, checkpointOf(s.Folder.Chains[0]))
	s.Folder.Leftovers = []string{"left/over"}
	before, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	got := Simulate(want(), s, SimulateOptions{From: noon, For: config.Duration(2 * day), Full: gib, Change: 0.1})
	if got.Made != 2 || got.Fulls != 0 || got.End.Points != 5 || got.End.Chains != 1 {
		t.Errorf("%d made, %d fulls, %d points in %d chains", got.Made, got.Fulls, got.End.Points, got.End.Chains)
	}
	after, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(before), string(after)); d != "" {
		t.Errorf("what was there changed: %s", d)
	}
}

// TestSimulateTellsWhy: a machine that cannot be backed up, a schedule that
// nobody can read.
func TestSimulateTellsWhy(t *testing.T) {
	s := Seen{Domain: machine("vda")}
	s.Domain.Disks[0].Device = "lun"
	o := SimulateOptions{From: noon, For: config.Duration(day)}
	if got := Simulate(want(), s, o); !strings.Contains(got.Error, "vda") || got.Made != 0 {
		t.Errorf("a LUN: %d points, error %q", got.Made, got.Error)
	}
	for _, schedule := range []string{"sometimes", ""} {
		w := want()
		w.Policy.Every, w.Policy.Schedule = 0, schedule
		if got := Simulate(w, Seen{}, o); !strings.Contains(got.Error, "schedule") {
			t.Errorf("schedule %q: error %q", schedule, got.Error)
		}
	}
}

// TestSimulateEnds: a policy of every second does not run for ever.
func TestSimulateEnds(t *testing.T) {
	w := want()
	w.Policy.Every, w.Policy.Retention = config.Duration(time.Second), config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 100}
	w.Policy.Chain.MaxIncrements = 1
	if s := Simulate(w, Seen{}, fourHundred()); s.Runs != maxRuns || s.Error != "stopped after 100000 runs, at 2025-10-20T05:46:40Z" {
		t.Errorf("%d runs, error %q", s.Runs, s.Error)
	}
}

// TestLivesAgreeWithDays: at the end of each day as many points live as the day
// counts, and no life has a gap.
func TestLivesAgreeWithDays(t *testing.T) {
	o := fourHundred()
	o.Lives = true
	s := Simulate(gfs(nil), Seen{}, o)
	for n, d := range s.Days {
		midnight := time.Date(2025, 10, 20+n, 0, 0, 0, 0, time.UTC)
		living := 0
		for _, life := range s.Lives {
			if life.Spans[0].From.Before(midnight) && !life.Spans[len(life.Spans)-1].Until.Before(midnight) {
				living++
			}
		}
		if living != d.Points {
			t.Fatalf("%s: %d live, %d counted", d.Date, living, d.Points)
		}
	}
	for _, life := range s.Lives {
		for n := range life.Spans[1:] {
			if !life.Spans[n].Until.Equal(life.Spans[n+1].From) {
				t.Fatalf("%s.%d: %+v", life.Chain, life.Sequence, life.Spans)
			}
		}
	}
}

func TestSimulateAllIsSimulate(t *testing.T) {
	var plays []Play
	for n := range 6 {
		w := gfs(nil)
		w.Address, w.UUID, w.Domain = fmt.Sprintf("domain.web[\"hv1/%d\"]", n), fmt.Sprint(n), fmt.Sprint(n)
		o := fourHundred()
		if n%2 == 1 {
			o.Change = 0.3
		}
		plays = append(plays, Play{w, Seen{}, o})
	}
	for n, s := range SimulateAll(plays) {
		if d := cmp.Diff(Simulate(plays[n].Want, plays[n].Seen, plays[n].Options), s); d != "" {
			t.Errorf("%d: %s", n, d)
		}
	}
}

func TestMeasure(t *testing.T) {
	disks := machine("vda", "vdb")
	disks.Disks[1].Allocated = gib / 2
	cd := disk("sda")
	cd.Device = "cdrom"
	disks.Disks = append(disks.Disks, cd)
	points := folder(chain(1, daily(3, day)...))
	points.Chains[0].Manifest.Points[0].Disks[0].FileSize = 10 << 20
	for _, row := range []struct {
		name   string
		seen   Seen
		full   int64
		change float64
	}{
		{"nothing", Seen{}, 0, AssumedChange},
		{"disks", Seen{Domain: disks}, gib + gib/2, AssumedChange},
		{"a folder without points", Seen{Domain: disks, Folder: folder()}, gib + gib/2, AssumedChange},
		{"a full of 10 MiB and 1 MiB a day", Seen{Domain: disks, Folder: points}, 10 << 20, 0.1},
	} {
		if full, change := Measure(row.seen); full != row.full || math.Abs(change-row.change) > 1e-9 {
			t.Errorf("%s: %d bytes and %f a day, want %d and %f", row.name, full, change, row.full, row.change)
		}
	}
}

// BenchmarkSimulate plays 1000 machines of ten policies for 400 days.
func BenchmarkSimulate(b *testing.B) {
	var plays []Play
	for n := range 1000 {
		w := gfs(func(p *config.Policy) { p.Retention.KeepDaily = number(7 + n%10) })
		w.Address = fmt.Sprintf("domain.web[\"hv1/%d\"]", n)
		plays = append(plays, Play{w, Seen{}, fourHundred()})
	}
	b.ReportAllocs()
	for b.Loop() {
		SimulateAll(plays)
	}
}

// BenchmarkSimulateOne plays one machine for 400 days.
func BenchmarkSimulateOne(b *testing.B) {
	w := gfs(nil)
	b.ReportAllocs()
	for b.Loop() {
		Simulate(w, Seen{}, fourHundred())
	}
}

// BenchmarkSimulateDifferent plays 1000 machines of ten policies for 400 days, no
// two alike.
func BenchmarkSimulateDifferent(b *testing.B) {
	var plays []Play
	for n := range 1000 {
		w := gfs(func(p *config.Policy) { p.Retention.KeepDaily = number(7 + n%10) })
		o := fourHundred()
		o.Full += int64(n) << 20
		plays = append(plays, Play{w, Seen{}, o})
	}
	b.ReportAllocs()
	for b.Loop() {
		SimulateAll(plays)
	}
}
