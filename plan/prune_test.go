package plan

import (
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
)

// weeks are n chains of two points, the newest ended an hour before noon.
func weeks(n int) (chains []store.Chain) {
	for i := range n {
		end := noon.Add(-time.Hour - time.Duration(n-1-i)*7*day)
		chains = append(chains, chain(i+1, end.Add(-day), end))
	}
	return chains
}

func TestPrune(t *testing.T) {
	last := func(n int) config.Retention { return config.Retention{KeepLast: &n, MinChains: 1, MaxPrune: 100} }
	for _, row := range []struct {
		name    string
		chains  int
		rules   config.Retention
		change  func(w *Want, chains []store.Chain)
		victims []int // numbers of the chains that go
		held    string
	}{
		{"no rule keeps all", 4, config.Retention{MinChains: 1, MaxPrune: 100}, nil, nil, ""},
		{"the newest only", 4, last(1), nil, []int{1, 2, 3}, ""},
		{"a point keeps its chain", 4, last(3), nil, []int{1, 2}, ""},
		{"no count at all still keeps the open chain", 3, last(0), nil, []int{1, 2}, ""},
		{"min_chains", 4, config.Retention{KeepLast: number(1), MinChains: 3, MaxPrune: 100}, nil, []int{1}, ""},
		{"min_chains counts sound chains", 4, config.Retention{KeepLast: number(1), MinChains: 2, MaxPrune: 100}, func(_ *Want, c []store.Chain) {
			c[2].Problems = []store.Problem{problem(1, 0)}
		}, []int{1}, ""},
		{"min_chains does not count another configuration's", 4, config.Retention{KeepLast: number(1), MinChains: 2, MaxPrune: 100}, func(_ *Want, c []store.Chain) {
			c[2].Manifest.Owner.Configuration = "site-b"
		}, []int{1}, ""},
		{"min_chains does not count an empty one", 4, config.Retention{KeepLast: number(1), MinChains: 2, MaxPrune: 100}, func(_ *Want, c []store.Chain) {
			c[2].Manifest.Points = nil
		}, []int{1}, ""},
		{"max_prune: nothing instead of too much", 4, config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 49}, nil, nil,
			`3 chains that no rule keeps stay: releasing them deletes more than max_prune = "49%" of 8 points; allow it with -allow-prune 'domain.web["hv1/web01"]'`},
		{"max_prune just enough", 4, config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 50}, nil, []int{1, 2, 3}, ""},
		{"max_prune does not count the routine one", 2, config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 0}, nil, []int{1}, ""},
		{"-allow-prune", 4, config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 0}, func(w *Want, _ []store.Chain) { w.AllowPrune = true },
			[]int{1, 2, 3}, ""},
		{"-no-prune", 2, last(1), func(w *Want, _ []store.Chain) { w.NoPrune = true }, nil, "a chain that no rule keeps stays: -no-prune"},
		{"from the future", 4, last(3), func(_ *Want, c []store.Chain) { c[1].Manifest.Points[1].Start = noon.Add(365 * day) }, []int{1}, ""},
		{"minutes ahead is not the future", 2, last(1), func(_ *Want, c []store.Chain) { c[1].Manifest.Points[1].Start = noon.Add(9 * time.Minute) },
			[]int{1}, ""},
		{"damaged, and no rule would hold it", 3, last(1), func(_ *Want, c []store.Chain) { c[0].Problems = []store.Problem{problem(0, 0)} }, []int{1, 2}, ""},
		{"damaged, and a rule would hold it", 3, last(3), func(_ *Want, c []store.Chain) { c[1].Problems = []store.Problem{problem(0, 0)} }, nil, ""},
		{"open chain damaged", 3, last(1), func(_ *Want, c []store.Chain) { c[2].Problems = []store.Problem{problem(0, 0)} }, []int{1}, ""},
		{"no readable manifest", 3, last(1), func(_ *Want, c []store.Chain) {
			c[0].Manifest = store.Manifest{}
			c[0].Problems = []store.Problem{problem(0, 0)}
		}, []int{2}, ""},
		{"a manifest is missing", 3, last(1), func(_ *Want, c []store.Chain) { c[0].Problems = []store.Problem{problem(2, 0)} }, []int{2}, ""},
		{"a problem that harms no point", 3, last(1), func(_ *Want, c []store.Chain) { c[0].Problems = []store.Problem{problem(store.NoPoint, 0)} }, []int{1, 2}, ""},
		{"no floor is set, and the open chain is damaged", 3, config.Retention{KeepLast: number(0), MaxPrune: 100}, func(_ *Want, c []store.Chain) {
			c[2].Problems = []store.Problem{problem(0, 0)}
		}, []int{1}, ""},
		{"equal starts: the newer chain's point counts first", 2, last(1), func(_ *Want, c []store.Chain) {
			c[0].Manifest.Points[1].Start = c[1].Manifest.Points[1].Start
		}, []int{1}, ""},
		{"max_prune: the last one is the routine one", 3, config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 20}, func(_ *Want, c []store.Chain) {
			c[0].Manifest.Points = c[0].Manifest.Points[:1]
		}, []int{1, 2}, ""},
		{"another configuration's chain", 3, last(1), func(_ *Want, c []store.Chain) { c[0].Manifest.Owner.Configuration = "site-b" }, []int{2}, ""},
		{"its points hold nobody's place", 3, last(3), func(_ *Want, c []store.Chain) { c[1].Manifest.Owner.Configuration = "site-b" }, nil, ""},
		{"a configuration that got a name", 3, last(1), func(w *Want, _ []store.Chain) { w.Configuration = "site-a" }, []int{1, 2}, ""},
		{"unknown time zone", 3, last(1), func(w *Want, _ []store.Chain) { w.TimeZone = "Nowhere/Else" }, nil, "nothing is deleted: "},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, chains := want(), weeks(row.chains)
			w.Policy.Retention = row.rules
			if row.change != nil {
				row.change(&w, chains)
			}
			i := Instance{Want: w}
			before, after := i.decidePrune(new(ledger), Seen{Folder: folder(chains...)}, nil, noon)
			if len(after) > 0 {
				t.Errorf("%d deletions wait for a backup that is not planned", len(after))
			}
			i.Actions = before
			var expected []string
			for _, n := range row.victims {
				expected = append(expected, chains[n-1].Name)
			}
			mustEqual(t, "released", pruned(i), expected)
			if held := strings.Join(i.Held, "\n"); !strings.HasPrefix(held, row.held) || (held == "") != (row.held == "") {
				t.Errorf("held %q, want %q", held, row.held)
			}
		})
	}
}

// TestPruneWaitsForItsReason: what goes only because of the planned point is
// after it; what goes anyway makes room first.
func TestPruneWaitsForItsReason(t *testing.T) {
	s := ordinary()
	s.chains(weeks(3)...)
	s.want.Policy.Retention = config.Retention{KeepLast: number(3), MinChains: 1, MaxPrune: 100}
	s.full()
	i := s.decide()
	mustEqual(t, "actions", summary(i), []string{"prune", "full", "prune-after"})
	mustEqual(t, "released", pruned(i), []string{s.folder.Chains[0].Name, s.folder.Chains[1].Name})
	if p := i.Actions[0].Prune; p.Stored != 2<<20 || p.Points != 2 || len(p.Attempts) != 2 {
		t.Errorf("prune %+v", p)
	}
	s.want.Full = false // not due then
	mustEqual(t, "actions", summary(s.decide()), []string{"prune"})
}

// TestPlannedPointCounts: making the planned point does not change what
// max_prune says.
func TestPlannedPointCounts(t *testing.T) {
	s := ordinary()
	s.chains(weeks(3)...)
	s.full()
	s.want.Policy.Retention = config.Retention{KeepLast: number(1), MinChains: 1, MaxPrune: 58} // 4 of 7, not 4 of 6
	mustEqual(t, "actions", summary(s.decide()), []string{"prune", "prune", "full", "prune-after"})
	s.want.Policy.Retention.MaxPrune = 57
	mustEqual(t, "actions", summary(s.decide()), []string{"full"})
}

func TestKeptSaysWhy(t *testing.T) {
	w, chains := want(), weeks(4)
	w.Policy.Retention = config.Retention{KeepLast: number(1), MinChains: 3, MaxPrune: 100}
	chains[1].Problems = []store.Problem{problem(1, 0)}
	chains[3].Manifest.Points[0].Start = noon.Add(-300 * day)
	var said []string
	for _, k := range keptBy(&w, time.UTC, chains, noon) {
		said = append(said, strings.Join(k.Rules, ", "))
	}
	mustEqual(t, "rules", said, []string{"min_chains", "min_chains", "min_chains", "damaged, min_chains",
		"min_chains", "min_chains", "held by chain", "keep_last"})

	heldBy := HeldBy(&w.Policy, "UTC", chains, noon)
	if got := heldBy(chains[3].Name, 1); got != "keep_last" {
		t.Errorf("held by %q", got)
	}
	w.Policy.Retention.KeepLast = number(0)
	if got := HeldBy(&w.Policy, "UTC", chains, noon)(chains[3].Name, 1); got != "open chain" {
		t.Errorf("held by %q", got)
	}
	if got := HeldBy(nil, "UTC", chains, noon)(chains[0].Name, 0); got != "no rule: all stay" {
		t.Errorf("without a policy held by %q", got)
	}
}

// TestLeafAtTheEnd: a damaged difference is no missing manifest, and what may lie
// beyond it is not beyond the head.
func TestLeafAtTheEnd(t *testing.T) {
	c := chain(1, daily(3, 25*time.Hour)...)
	c.Manifest.Points[2].Leaf = true
	c.Problems = []store.Problem{problem(2, 3)}
	if isIncomplete(&c) {
		t.Error("a damaged leaf makes the chain incomplete")
	}
	s := ordinary()
	s.chains(c)
	mustEqual(t, "actions", summary(s.decide()), []string{"inc"})
	s.open().Problems = []store.Problem{problem(3, 0)}
	if !isIncomplete(s.open()) {
		t.Error("points beyond the leaf do not make the chain incomplete")
	}
	mustEqual(t, "actions", summary(s.decide()), []string{"full"})
}

// TestDamageFoundInAChain: names and sizes may be right, and a footer is not. What
// was closed for that is neither a sound chain nor are its points in the place of
// sound ones.
func TestDamageFoundInAChain(t *testing.T) {
	for name, rules := range map[string]config.Retention{
		"min_chains": {KeepWithin: within(time.Hour), MinChains: 2, MaxPrune: 100},
		"keep_last":  {KeepLast: number(3), MinChains: 1, MaxPrune: 100},
	} {
		s := ordinary()
		s.chains(weeks(3)...)
		s.want.Policy.Retention = rules
		mustEqual(t, name, summary(s.decide()), []string{"prune"})
		s.folder.Chains[1].Manifest.Closed = "vda.0.v3: footer hash is wrong"
		mustEqual(t, name+", damaged", summary(s.decide()), nil)
	}
}
