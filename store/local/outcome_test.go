package local_test

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

var ofDomain = store.Outcomes{UUID: uuid, Domain: "web01", Version: "test"}

func failed(at time.Time, why string) store.Failure {
	return store.Failure{Began: at, Ended: at.Add(time.Minute), Attempt: "0badcafe", Error: why}
}

// TestOutcomes: a failure is the last attempt until a point comes after it, whatever
// the clocks say; a drill that failed does not hide the one that has booted; and the
// checker knows the folder.
func TestOutcomes(t *testing.T) {
	w, disk, s, m := damaged(t)
	if d := domain(t, s); d.Outcomes != nil || d.LastFailure() != nil {
		t.Fatalf("there are outcomes: %+v", d.Outcomes)
	}
	ahead := start.AddDate(1, 0, 0)
	for n, at := range []time.Time{start, ahead} {
		if err := s.RecordFailure(ctx, folder, ofDomain, failed(at, "the store is full")); err != nil {
			t.Fatal(err)
		}
		f := domain(t, s).LastFailure()
		if f == nil || f.Error != "the store is full" || !f.Began.Equal(at) || f.Chain != m.ChainNumber || f.Newest != len(m.Points)-1 {
			t.Fatalf("the last failure is %+v", f)
		}
		clean(t, s)
		f2 := lock(t, s)
		m = w.grow(t, f2, m, "vda", "vdb")
		unlock(t, f2)
		if f := domain(t, s).LastFailure(); f != nil {
			t.Errorf("failure %d is still the last: %+v", n, f)
		}
	}
	lost := failed(start, "its prune failed")
	lost.Chain, lost.Newest, lost.Attempt = m.ChainNumber, len(m.Points)-2, m.Points[len(m.Points)-1].Attempt
	if err := s.RecordFailure(ctx, folder, ofDomain, lost); err != nil {
		t.Fatal(err)
	}
	if f := domain(t, s).LastFailure(); f == nil {
		t.Error("what a run failed in that has made the newest point is not told")
	}
	lost.Attempt = "0badcafe"
	if err := s.RecordFailure(ctx, folder, ofDomain, lost); err != nil {
		t.Fatal(err)
	}
	if f := domain(t, s).LastFailure(); f != nil {
		t.Errorf("a run that another one has overtaken is the last: %+v", f)
	}
	good := store.Drill{Began: start, Point: m.Chain + ".1", TookMS: 4200}
	bad := store.Drill{Began: ahead, Point: m.Chain + ".2", Error: "it had 3m0s"}
	for _, d := range []store.Drill{good, bad} {
		if err := s.RecordDrill(ctx, folder, ofDomain, d); err != nil {
			t.Fatal(err)
		}
	}
	o := domain(t, s).Outcomes
	if o == nil || o.Failure == nil || o.Domain != "web01" {
		t.Fatalf("outcomes are %+v", o)
	}
	if diff := cmp.Diff([]*store.Drill{&bad, &good}, []*store.Drill{o.Drill, o.Booted}); diff != "" {
		t.Error(diff)
	}
	clean(t, s)
	dir := path.Join(folder, store.OutcomesFolder)
	put(t, disk, dir+"/notes.txt", "mine")
	entries, err := disk.List(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("in the folder are %v, %v", entries, err)
	}
	if err := disk.Flip(dir+"/"+entries[0].Name, 40); err != nil {
		t.Fatal(err)
	}
	findings, err := s.Check(ctx, folder, false)
	if err != nil || len(findings) != 2 || findings[0].File != "outcomes/notes.txt" || findings[1].File != "outcomes" || findings[1].From != store.NoPoint {
		t.Errorf("found %+v, %v", findings, err)
	}
	if d := domain(t, s); d.Outcomes != nil || len(d.Chains) != 1 {
		t.Errorf("what cannot be read says %+v", d.Outcomes)
	}
}

// TestOutcomeOfNoPoint: a first attempt that fails leaves a folder without a chain, and
// the next one goes there.
func TestOutcomeOfNoPoint(t *testing.T) {
	w := newWorld(1)
	s := w.init(t, storetest.NewDisk())
	if err := s.RecordFailure(ctx, folder, ofDomain, failed(start, "no agent")); err != nil {
		t.Fatal(err)
	}
	d := domain(t, s)
	if f := d.LastFailure(); f == nil || f.Chain != 0 || len(d.Chains) > 0 || d.UUID != "" {
		t.Fatalf("the folder is %+v", d)
	}
	clean(t, s)
	w.chainOf(t, s, 1)
	if d := domain(t, s); d.LastFailure() != nil || len(d.Chains) != 1 {
		t.Errorf("then it is %+v", d)
	}
	other := ofDomain
	other.UUID = strings.Replace(uuid, "4c1f9d2a-0", "4c1f9d2a-f", 1)
	if err := s.RecordFailure(ctx, folder, other, failed(start, "of another domain")); err != nil {
		t.Fatal(err)
	}
	if d := domain(t, s); d.Outcomes != nil {
		t.Errorf("outcomes of another domain: %+v", d.Outcomes)
	}
	for _, name := range []string{"..", "a/b-4c1f9d2a", "web01"} {
		if err := s.RecordFailure(ctx, name, ofDomain, failed(start, "x")); err == nil {
			t.Errorf("recorded in %q", name)
		}
	}
}

// TestOutcomeCrash: whenever the power fails, what was known before is known, or what
// was to be recorded; the chains are as they were, and the next one is recorded.
func TestOutcomeCrash(t *testing.T) {
	_, disk, s, _ := damaged(t)
	if err := s.RecordFailure(ctx, folder, ofDomain, failed(start, "before")); err != nil {
		t.Fatal(err)
	}
	before := domain(t, s).Chains
	for steps := 1; ; steps++ {
		for _, fate := range []storetest.Fate{storetest.Keep, storetest.Lose} {
			crashed := disk.Crash(storetest.Keep)
			faults := &storetest.Faults{FS: crashed, At: steps, Die: true, Half: true}
			o, err := local.OpenOn(faults, "test")
			if err == nil {
				err = o.RecordFailure(ctx, folder, ofDomain, failed(start, "after"))
			}
			if faults.Fired() == (err == nil) {
				t.Fatalf("step %d: fired %v: %v", steps, faults.Fired(), err)
			}
			if s, err = local.OpenOn(crashed.Crash(fate), "test"); err != nil {
				t.Fatal(err)
			}
			clean(t, s)
			d := domain(t, s)
			if f := d.LastFailure(); f == nil || f.Error != "before" && f.Error != "after" || !faults.Fired() && f.Error != "after" {
				t.Errorf("step %d: known is %+v", steps, f)
			}
			if diff := cmp.Diff(before, d.Chains); diff != "" {
				t.Error(diff)
			}
			if err := s.RecordFailure(ctx, folder, ofDomain, failed(start, "again")); err != nil || domain(t, s).LastFailure().Error != "again" {
				t.Errorf("step %d: afterwards %v", steps, err)
			}
			clean(t, s)
			if !faults.Fired() {
				return
			}
		}
	}
}

// TestOutcomesSideBySide: a run and a drill that record at once both do.
func TestOutcomesSideBySide(t *testing.T) {
	s, err := local.Init(path.Join(t.TempDir(), "s"), start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.RecordDrill(ctx, folder, ofDomain, store.Drill{Began: start, Point: "x.1"}) }()
	err = s.RecordFailure(ctx, folder, ofDomain, failed(start, "no agent"))
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if o := domain(t, s).Outcomes; o == nil || o.Failure == nil || o.Drill == nil {
		t.Errorf("outcomes are %+v", o)
	}
	clean(t, s)
}
