package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// merged says which sequences go into which, "0 1>2".
func merged(i Instance) (all []string) {
	for _, a := range i.Actions {
		if a.Kind != KindMerge {
			continue
		}
		gone := strings.Trim(fmt.Sprint(a.Merge.Gone), "[]")
		if a.Merge.After {
			gone += " after"
		}
		all = append(all, fmt.Sprintf("%s>%d", gone, a.Merge.Into))
	}
	return all
}

func TestMerge(t *testing.T) {
	last := func(s *situation, n int) { s.merging(n) }
	for _, row := range []struct {
		name   string
		change func(*situation)
		merges []string
		held   string
	}{
		{"all but the newest", func(s *situation) { last(s, 1) }, []string{"0 1 2 3 4>5"}, ""},
		{"all that is not kept", func(s *situation) { last(s, 3) }, []string{"0 1 2>3"}, ""},
		{"nothing without a rule", func(s *situation) { s.want.Policy.Retention.Prune = "merge" }, nil, ""},
		{"nothing with prune = chain", func(s *situation) { s.want.Policy.Retention.KeepLast = number(1) }, nil, ""},
		{"no count at all still keeps the newest", func(s *situation) { last(s, 0) }, []string{"0 1 2 3 4>5"}, ""},
		{"runs between kept points", func(s *situation) {
			last(s, 2)
			s.open().Manifest.Points[2].Protected = &store.Protection{Why: "audit"}
		}, []string{"0 1>2", "3>4"}, ""},
		{"a protection that has ended", func(s *situation) {
			last(s, 2)
			s.open().Manifest.Points[2].Protected = &store.Protection{Until: noon}
		}, []string{"0 1 2 3>4"}, ""},
		{"from the future", func(s *situation) {
			last(s, 2)
			s.open().Manifest.Points[1].Start = noon.Add(day)
		}, []string{"0>1", "2 3>4"}, ""},
		{"not over a point that does not restore", func(s *situation) {
			last(s, 2)
			s.open().Problems = []store.Problem{problem(2, 3)}
		}, []string{"3>4"}, ""},
		{"not into one", func(s *situation) {
			last(s, 2)
			s.open().Problems = []store.Problem{problem(5, 0)}
		}, []string{"0 1 2 3 after>4"}, ""}, // a full is due
		{"a run is of neighbours", func(s *situation) {
			last(s, 2)
			s.open().Manifest.Points[3].Parent = 1
		}, []string{"0>1", "3>4"}, ""},
		{"a point on which two build stays, though a rule keeps one of them", func(s *situation) {
			last(s, 2)
			leaf := &s.open().Manifest.Points[2]
			leaf.Leaf, leaf.Protected = true, &store.Protection{}
			s.open().Manifest.Points[3].Parent = 1
		}, []string{"0>1", "3>4"}, ""},
		{"the head stays, though the newest is another", func(s *situation) {
			last(s, 1)
			s.open().Manifest.Points[5].Leaf = true
		}, []string{"0 1 2 3>4"}, ""},
		{"nor does it go into what does not build on the newest", func(s *situation) {
			last(s, 1)
			s.chains(chain(1, daily(6, 25*time.Hour)...))
			s.open().Manifest.Points[5].Leaf = true
			s.domain.Checkpoints = []virt.Checkpoint{checkpointOf(*s.open())}
		}, []string{"0 1 2 3>4"}, ""},
		{"merged before: sequences have gaps", func(s *situation) {
			last(s, 2)
			points := slices.Delete(s.open().Manifest.Points, 1, 3)
			points[1].Parent = 0
			s.open().Manifest.Points = points
		}, []string{"0 3>4"}, ""},
		{"into the planned point", func(s *situation) {
			last(s, 1)
			s.chains(chain(1, daily(3, 25*time.Hour)...))
		}, []string{"0 1 2 after>3"}, ""},
		{"what goes anyway does not wait", func(s *situation) {
			last(s, 2)
			s.open().Manifest.Points[2].Protected = &store.Protection{}
			s.chains(chain(1, daily(6, 25*time.Hour)...))
			s.open().Manifest.Points[2].Protected = &store.Protection{}
		}, []string{"0 1>2", "3 4 after>5"}, ""},
		{"a chain that is closed keeps its newest", func(s *situation) {
			last(s, 9)
			s.chains(chain(1, daily(6, 9*day)...), chain(2, daily(6, time.Hour)...))
		}, []string{"0 1 2>3"}, ""},
		{"and loses it with the last that is kept", func(s *situation) {
			last(s, 6)
			s.chains(chain(1, daily(6, 9*day)...), chain(2, daily(6, time.Hour)...))
		}, nil, ""},
		{"nothing in what stays by min_chains", func(s *situation) {
			last(s, 1)
			s.chains(chain(1, daily(6, 9*day)...), chain(2, daily(6, time.Hour)...))
			s.open().Problems = []store.Problem{problem(0, 1)}
		}, []string{"1 2 3 4>5"}, ""},
		{"nothing of another configuration", func(s *situation) {
			last(s, 1)
			s.open().Manifest.Owner.Configuration = "site-b"
		}, nil, ""},
		{"nothing where a manifest is missing", func(s *situation) {
			last(s, 1)
			s.open().Problems = []store.Problem{problem(6, 0)}
		}, nil, ""},
		{"max_prune", func(s *situation) {
			last(s, 1)
			s.want.Policy.Retention.MaxPrune = 49
		}, nil, `5 points that no rule keeps stay: releasing them deletes more than max_prune = "49%" of 6 points; allow it with -allow-prune 'domain.web["hv1/web01"]'`},
		{"max_prune just enough", func(s *situation) {
			last(s, 1)
			s.want.Policy.Retention.MaxPrune = 50 // 5 less 2 that are routine, of 6
		}, []string{"0 1 2 3 4>5"}, ""},
		{"-allow-prune", func(s *situation) {
			last(s, 1)
			s.want.Policy.Retention.MaxPrune, s.want.AllowPrune = 0, true
		}, []string{"0 1 2 3 4>5"}, ""},
		{"-no-prune", func(s *situation) {
			last(s, 5)
			s.want.NoPrune = true
		}, nil, "a point that no rule keeps stays: -no-prune"},
		{"another stream", func(s *situation) {
			last(s, 1)
			s.open().Manifest.Stream, s.want.Policy.Stream = store.VirtNBDBackup, "virtnbdbackup"
		}, nil, "points that no rule keeps stay in chain 20261117T110000Z-0001: its stream \"virtnbdbackup\" cannot be merged; vbk convert first"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := ordinary()
			s.chains(chain(1, daily(6, time.Hour)...))
			s.want.Policy.Chain.FullEvery = 0
			s.want.Policy.Retention.MaxPrune = 100
			row.change(s)
			i := s.decide()
			mustEqual(t, "merges", merged(i), row.merges)
			if held := strings.Join(i.Held, "\n"); held != row.held {
				t.Errorf("held %q, want %q", held, row.held)
			}
		})
	}
}

// TestRoutine: a machine that is backed up at its interval is never held back,
// however little max_prune allows, and with merges its points are what the rules
// name, and the newest of each chain.
func TestRoutine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policy()
		p.Every = config.Duration(rapid.SampledFrom([]time.Duration{time.Hour, 8 * time.Hour, day, 36 * time.Hour}).Draw(t, "every"))
		p.Chain.FullEvery = config.Duration(rapid.SampledFrom([]time.Duration{0, 3 * day, 7 * day}).Draw(t, "full_every"))
		p.Mode = rapid.SampledFrom([]string{"incremental", "incremental", "full"}).Draw(t, "mode")
		p.Retention = drawRetention(t)
		p.Retention.MaxPrune, p.Retention.MinChains, p.Retention.Prune = 0, 1, "merge"
		w := &world{t: t, now: noon, cfg: configuration(block("web", "web*"))}
		w.cfg.Domains[0].Policy = p
		w.have = inventory(nil, host("hv1", machine("vda")), host("hv2"))
		for range 100 {
			plan := w.make(Options{})
			if held := plan.Instances[0].Held; len(held) > 0 {
				t.Fatalf("%s: %q, %v", w.now, held, w.points())
			}
			w.run(plan, true, forever)
			w.now = w.now.Add(time.Duration(p.Every))
		}
		if !hasRules(p.Retention) {
			return
		}
		chains := w.have.Stores[0].Domains[0].Chains
		held := retained(plan0(w), time.UTC, chains, nil, w.now).held
		for n, c := range chains {
			for k, point := range c.Manifest.Points {
				if !held[n][k].any() && k < len(c.Manifest.Points)-1 {
					t.Fatalf("%s.%d stays and nothing keeps it", c.Name, point.Sequence)
				}
			}
		}
	})
}

// plan0 is what the only instance is meant to be.
func plan0(w *world) Want { return w.make(Options{}).Instances[0].Want }

// TestForeverIncremental: with merges and full_every = "never" there is one full
// for ever, and the chain is as long as retention says.
func TestForeverIncremental(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, now: noon, cfg: configuration(block("web", "web*"))}
		p := &w.cfg.Domains[0].Policy
		p.Chain = config.Chain{MaxIncrements: 3, OnBroken: "resync"}
		p.Retention = config.Retention{KeepDaily: number(7), KeepWeekly: number(rapid.IntRange(1, 4).Draw(t, "weekly")), Prune: "merge", MinChains: 1, MaxPrune: 50}
		w.have = inventory(nil, host("hv1", machine("vda")), host("hv2"))
		for range 120 {
			w.run(w.make(Options{}), true, forever)
			w.now = w.now.Add(day)
		}
		chains := w.have.Stores[0].Domains[0].Chains
		points := chains[0].Manifest.Points
		if len(chains) != 1 || len(points) > 7+*p.Retention.KeepWeekly || points[0].Kind != store.Full || points[0].Merged == 0 {
			t.Fatalf("%d chains, %d points", len(chains), len(points))
		}
	})
}

func TestCovers(t *testing.T) {
	m := Merge{Chain: "c", Gone: []int{1, 2, 5}, Into: 6, Attempts: []string{"a", "b", "c", "d"}}
	for name, row := range map[string]struct {
		o    Merge
		want bool
	}{
		"itself":           {m, true},
		"the first of it":  {Merge{Chain: "c", Gone: []int{1}, Into: 2, Attempts: []string{"a", "b"}}, true},
		"the last of it":   {Merge{Chain: "c", Gone: []int{5}, Into: 6, Attempts: []string{"c", "d"}}, true},
		"into any":         {Merge{Chain: "c", Gone: []int{5}, Into: 6, Attempts: []string{"c", ""}}, true},
		"one unknown":      {Merge{Chain: "c", Gone: []int{2, 5}, Into: 6, Attempts: []string{"", "c", "d"}}, false},
		"a gap":            {Merge{Chain: "c", Gone: []int{1}, Into: 5, Attempts: []string{"a", "c"}}, false},
		"more":             {Merge{Chain: "c", Gone: []int{5, 6}, Into: 7, Attempts: []string{"c", "d", "e"}}, false},
		"another chain":    {Merge{Chain: "d", Gone: []int{5}, Into: 6, Attempts: []string{"c", "d"}}, false},
		"another attempt":  {Merge{Chain: "c", Gone: []int{5}, Into: 6, Attempts: []string{"c", "x"}}, false},
		"not of it at all": {Merge{Chain: "c", Gone: []int{7}, Into: 8, Attempts: []string{"c", "x"}}, false},
	} {
		if got := m.covers(row.o); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
