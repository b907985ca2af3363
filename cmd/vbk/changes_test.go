package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vbk/plan"
)

// TestChangesAreCounted compares every way in which a plan is counted.
func TestChangesAreCounted(t *testing.T) {
	p := busyPlan()
	counts, addresses := map[string]int{}, map[string]bool{}
	for _, c := range documentOf(p, true).ResourceChanges {
		counts[c.verb()]++
		if addresses[c.Address] {
			t.Errorf("address %s twice", c.Address)
		}
		addresses[c.Address] = true
		if (c.Change.Before == nil) != (c.verb() == verbCreate) || (c.Change.After == nil) != (c.verb() == verbDelete) {
			t.Errorf("%s is a %s: before %v, after %v", c.Address, c.verb(), c.Change.Before, c.Change.After)
		}
	}
	// Of each of three machines eight points: four go with their chain, two into a third, one stays.
	if diff := cmp.Diff(map[string]int{"create": 3, "update": 6, "delete": 18, "no-op": 3}, counts); diff != "" {
		t.Error(diff)
	}
	s := sumsOf(p)
	if s.Add != counts["create"] || s.Change != counts["update"] || s.Destroy != counts["delete"] {
		t.Errorf("text says %+v, JSON %v", s, counts)
	}
	if s.Read != 3<<20 || s.Frees != 18<<20 {
		t.Errorf("bytes of %+v", s)
	}
}

// TestMergeIntoThePlannedPoint has no point to change: it is created.
func TestMergeIntoThePlannedPoint(t *testing.T) {
	i := busyPlan().Instances[0]
	m := plan.Action{Kind: plan.KindMerge, Merge: &plan.Merge{Chain: i.Kept[4].Chain, Gone: []int{2, 3}, Into: 4, After: true}}
	for _, c := range changesOf(i, m) {
		if c.verb() != verbDelete {
			t.Errorf("%s: %s", c.Address, c.verb())
		}
	}
	if n := len(changesOf(i, m)); n != 2 {
		t.Errorf("%d changes", n)
	}
}

func TestCleanupSteps(t *testing.T) {
	steps := cleanupSteps(plan.Cleanup{Thaw: true, Job: "/x/nbd", Checkpoints: []string{"c"}, RunFolder: "/x", Files: []string{"f"}})
	want := []string{"thaws the guest's file systems", "ends backup job /x/nbd", "deletes checkpoint c", "removes run folder /x", "deletes 1 file that no point names"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Error(diff)
	}
}
