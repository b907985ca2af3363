package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/store"
	"vbk/virt"
)

// TestCheck plans in one situation and asks in another.
func TestCheck(t *testing.T) {
	pruning := func(s *situation) {
		s.chains(weeks(3)...)
		s.want.Policy.Retention.KeepLast = number(1)
		s.want.Policy.Retention.MaxPrune = 100
	}
	merging := func(s *situation) { // not due; 0, 1 and 2 go into 3
		s.chains(chain(1, daily(6, time.Hour)...))
		s.merging(3)
		s.want.Policy.Retention.MaxPrune = 100
	}
	full := func(s *situation) { s.full() }
	next := func(s *situation) { // what the planned backup would have made
		c := s.open()
		c.Manifest.Points = append(c.Manifest.Points, pointAt(c.Name, len(c.Manifest.Points), noon.Add(-time.Minute), s.domain.Disks))
		c.Manifest.Number++
		s.domain.Checkpoints = []virt.Checkpoint{checkpointOf(*c)}
	}
	for _, row := range []struct {
		name          string
		before, after func(*situation)
		kind          Kind
		verdict       Verdict
		why           string
	}{
		{"nothing changed", nil, nil, KindBackup, Holds, ""},
		{"more is dirty", nil, func(s *situation) { s.domain.Checkpoints[0].Disks[0].Dirty = gib }, KindBackup, Holds, ""},
		{"another run made the point", nil, next, KindBackup, Satisfied, "not due"},
		{"shut off, and that is fine", func(s *situation) { s.want.Policy.Offline = "skip" },
			func(s *situation) { s.domain.State = virt.ShutOff }, KindBackup, Satisfied, "domain is shut off"},
		{"shut off, and read from its images", nil, func(s *situation) { s.domain.State = virt.ShutOff }, KindBackup, Holds, ""},
		{"crashed", nil, func(s *situation) { s.domain.State = virt.Crashed }, KindBackup, Stale, "domain is crashed"},
		{"redefined meanwhile", unknown, func(s *situation) { s.chains(*s.open()) }, KindBackup, Holds, ""},
		{"forgotten meanwhile", nil, unknown, KindBackup, Stale, "its checkpoint redefined"},
		{"another job began", nil, func(s *situation) { s.domain.Job = &virt.Job{Operation: "migration out"} }, KindBackup, Stale, "migration out"},
		{"the bitmap broke", nil, func(s *situation) { s.domain.Checkpoints[0].Disks[0].Health = virt.Broken }, KindBackup, Stale,
			"with a resync of vda because the newest point is 25h old and every = \"24h\"; bitmap"},
		{"another head", nil, func(s *situation) {
			next(s)
			s.open().Manifest.Points[2].Start = noon.Add(-24 * time.Hour)
		}, KindBackup, Stale, ".2 because the newest point is 24h old"},
		{"a disk more", nil, func(s *situation) { s.domain.Disks = append(s.domain.Disks, disk("vdb")) }, KindBackup, Stale, "with all of vdb"},
		{"a disk's bitmap", two, func(s *situation) { s.domain.Checkpoints[0].Disks[1].Health = virt.Broken }, KindBackup, Stale, "with a resync of vdb"},
		{"the disk grew", full, func(s *situation) { s.domain.Disks[0].Size = 2 * gib }, KindBackup, Stale, "now it would be"},
		{"-full, nothing changed", full, nil, KindBackup, Holds, ""},
		{"-full for the second time", full, func(s *situation) {
			s.chains(append(s.folder.Chains, chain(2, noon.Add(-time.Minute)))...)
		}, KindBackup, Satisfied, "not due"},
		{"-full of a first chain for the second time", func(s *situation) {
			s.want.Full = true
			s.folder, s.domain.Checkpoints = nil, nil
		}, func(s *situation) {
			s.folder = folder()
			s.chains(chain(1, noon.Add(-time.Minute)))
		}, KindBackup, Satisfied, "not due"},

		{"still kept by no rule", pruning, nil, KindPrune, Holds, ""},
		{"a new head does not matter", pruning, next, KindPrune, Holds, ""},
		{"gone", pruning, func(s *situation) { s.folder.Chains = s.folder.Chains[1:] }, KindPrune, Satisfied, "is gone already"},
		{"kept now", pruning, func(s *situation) { s.want.Policy.Retention.KeepLast = number(9) }, KindPrune, Satisfied, "is kept now"},
		{"too much now", pruning, func(s *situation) { s.want.Policy.Retention.MaxPrune = 0 }, KindPrune, Satisfied, "is kept now"},
		{"the victim's manifest was written anew", pruning, func(s *situation) { s.folder.Chains[0].Manifest.Number++ }, KindPrune, Holds, ""},
		{"the victim changed", pruning, func(s *situation) { s.folder.Chains[0].Manifest.Points[1].Attempt = "0000ffff" }, KindPrune, Stale, "changed since the plan"},
		{"the victim was protected", pruning, func(s *situation) {
			s.folder.Chains[0].Manifest.Points[1].Protected = &store.Protection{Why: "audit"}
		}, KindPrune, Satisfied, "is kept now"},

		{"still kept by no rule", merging, nil, KindMerge, Holds, ""},
		{"a new head does not matter, and more is to go", merging, next, KindMerge, Holds, ""},
		{"the head's checkpoint is lost", merging, func(s *situation) { s.domain.Checkpoints = nil }, KindMerge, Holds, ""},
		{"merged already", merging, func(s *situation) {
			c := s.open()
			c.Manifest.Points = c.Manifest.Points[3:]
			c.Manifest.Points[0].Parent = -1
		}, KindMerge, Satisfied, "are gone already"},
		{"kept now", merging, func(s *situation) { s.want.Policy.Retention.KeepLast = number(5) }, KindMerge, Satisfied, ".1 is kept now"},
		{"protected", merging, func(s *situation) { s.open().Manifest.Points[2].Protected = &store.Protection{} }, KindMerge, Satisfied, ".2 is kept now"},
		{"too much now", merging, func(s *situation) { s.want.Policy.Retention.MaxPrune = 0 }, KindMerge, Satisfied, ".0 is kept now"},
		{"one of them changed", merging, func(s *situation) { s.open().Manifest.Points[1].Attempt = "0000ffff" }, KindMerge, Stale, "changed since the plan"},
		{"what takes them in changed", merging, func(s *situation) { s.open().Manifest.Points[3].Attempt = "0000ffff" }, KindMerge, Stale, "changed since the plan"},
		{"some are merged already", merging, func(s *situation) {
			c := s.open()
			c.Manifest.Points = c.Manifest.Points[1:]
			c.Manifest.Points[0].Parent = -1
		}, KindMerge, Stale, "changed since the plan"},
		{"what takes them in is damaged", merging, func(s *situation) { s.open().Problems = []store.Problem{problem(3, 4)} }, KindMerge, Satisfied, "is kept now"},
		{"the folder is another's", merging, func(s *situation) { s.open().Manifest.UUID = uuid2 }, KindMerge, Stale, "of another domain"},
		{"the folder is another's", pruning, func(s *situation) { s.folder.Chains[2].Manifest.UUID = uuid2 }, KindPrune, Stale, "of another domain"},

		{"still there", leftover, nil, KindCleanup, Holds, ""},
		{"cleaned up", leftover, func(s *situation) { s.folder.Leftovers = nil }, KindCleanup, Satisfied, "nothing is left"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := ordinary()
			if row.before != nil {
				row.before(s)
			}
			var planned *Action
			for _, a := range s.decide().Actions {
				if a.Kind == row.kind && planned == nil {
					planned = &a
				}
			}
			if planned == nil {
				t.Fatalf("no %s is planned", row.kind)
			}
			if row.after != nil {
				row.after(s)
			}
			action, verdict, why := Check(*planned, s.decide())
			if verdict != row.verdict || !strings.Contains(why, row.why) || (why == "") != (row.why == "") {
				t.Errorf("%s: %q, want %s: %q", verdict, why, row.verdict, row.why)
			}
			if action.Kind != row.kind {
				t.Errorf("another kind of action: %s", action.Kind)
			}
		})
	}
}

func leftover(s *situation) { s.folder.Leftovers = []string{"c/f"} }

// TestCheckAfterBackup: a deletion that waits for the planned point is stale
// without it and holds with it.
func TestCheckAfterBackup(t *testing.T) {
	s := ordinary()
	s.want.Policy.Retention.KeepLast = number(1)
	s.want.Policy.Chain.MaxIncrements = 1
	i := s.decide()
	mustEqual(t, "actions", summary(i), []string{"full", "prune-after"})
	prune := i.Actions[1]
	if _, verdict, why := Check(prune, s.decide()); verdict != Stale || !strings.Contains(why, "only after a new point") {
		t.Errorf("without the point: %s: %s", verdict, why)
	}
	s.chains(append(s.folder.Chains, chain(2, noon))...)
	if _, verdict, why := Check(prune, s.decide()); verdict != Holds {
		t.Errorf("with the point: %s: %s", verdict, why)
	}
}

// TestMergeAfterBackup: a merge that waits for the planned point is stale
// without it and holds with it.
func TestMergeAfterBackup(t *testing.T) {
	s := ordinary()
	s.merging(1)
	i := s.decide()
	mustEqual(t, "actions", summary(i), []string{"inc", "merge-after"})
	merge := i.Actions[1]
	if m := merge.Merge; m.Into != 2 || !slices.Equal(m.Gone, []int{0, 1}) || m.Attempts[2] != "" || m.Stored != 2<<20 {
		t.Errorf("merge %+v", m)
	}
	if _, verdict, why := Check(merge, s.decide()); verdict != Stale || !strings.Contains(why, "only into a new point") {
		t.Errorf("without the point: %s: %s", verdict, why)
	}
	c := s.open()
	c.Manifest.Points = append(c.Manifest.Points, pointAt(c.Name, 2, noon, s.domain.Disks))
	if a, verdict, why := Check(merge, s.decide()); verdict != Holds || a.Merge.After || !merge.Merge.After {
		t.Errorf("with the point: %s: %s", verdict, why)
	}
}

func TestCheckUnknownKind(t *testing.T) {
	if _, verdict, why := Check(Action{Kind: "split"}, ordinary().decide()); verdict != Stale || !strings.Contains(why, `"split"`) {
		t.Errorf("%s: %s", verdict, why)
	}
}

func TestBackupString(t *testing.T) {
	for want, b := range map[string]*Backup{
		"a full that opens a new chain":                       {Kind: store.Full, Head: -1},
		"an increment on c.3":                                 {Chain: "c", Head: 3, Disks: []DiskBackup{{Target: "vda"}}},
		"an increment on c.3 with all of vdb":                 {Chain: "c", Head: 3, Disks: []DiskBackup{{Target: "vda"}, {Target: "vdb", Base: true}}},
		"an increment on c.3 with a resync of a and all of b": {Chain: "c", Head: 3, Disks: []DiskBackup{{Target: "a", Resync: true}, {Target: "b", Base: true}}},
		"an increment on c.3 with all of a b c":               {Chain: "c", Head: 3, Disks: []DiskBackup{{Target: "a", Base: true}, {Target: "b", Base: true}, {Target: "c", Base: true}}},
	} {
		if got := b.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestCheckMergeOfHeldPoints: that a fresh plan gives the points up once its own
// backup is durable is no leave to do so today.
func TestCheckMergeOfHeldPoints(t *testing.T) {
	planned := Action{Kind: KindMerge, Merge: &Merge{Chain: "c", Gone: []int{0, 1}, Into: 2, Attempts: []string{"a", "b", "c"}}}
	more := Action{Kind: KindMerge, Merge: &Merge{Chain: "c", Gone: []int{0, 1, 2}, Into: 3, Attempts: []string{"a", "b", "c", "d"}, After: true}}
	now := Instance{Actions: []Action{more}}
	for n := range 4 {
		now.Kept = append(now.Kept, Kept{Chain: "c", Sequence: n, Rules: []string{"held by chain"}})
	}
	if _, verdict, why := Check(planned, now); verdict != Holds {
		t.Errorf("nothing holds them: %s, %s", verdict, why)
	}
	now.Kept[1].Rules = []string{"keep_daily"}
	if _, verdict, why := Check(planned, now); verdict != Stale {
		t.Errorf("a rule holds one: %s, %s", verdict, why)
	}
}
