package local_test

import (
	"errors"
	"maps"
	"path"
	"slices"
	"syscall"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"

	"github.com/google/go-cmp/cmp"
)

// TestTakeover: who takes over the lock of a dead run gives each chain its newest
// manifest again, under the next number, and nothing else changes. A lock that was
// given back changes nothing.
func TestTakeover(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		w := newWorld(1)
		s := w.init(t, fsys)
		first, second := w.chainOf(t, s, 2), w.chainOf(t, s, 1)
		f := lock(t, s)
		if err := f.Abandon(); err != nil { // as a crash does
			t.Fatal(err)
		}
		for round := 1; round <= 4; round++ { // until somebody has dealt with what it left
			unlock(t, lock(t, s))
			d := domain(t, s)
			if len(d.Chains) != 2 || d.Attempt == nil {
				t.Fatalf("%d chains, attempt %+v", len(d.Chains), d.Attempt)
			}
			for n, was := range []store.Manifest{first, second} {
				was.Number += round
				if diff := cmp.Diff(was, d.Chains[n].Manifest); diff != "" {
					t.Error(diff)
				}
			}
		}
		f = lock(t, s)
		if err := f.Record(rec(2)); err != nil {
			t.Fatal(err)
		}
		unlock(t, f)
		before := domain(t, s)
		unlock(t, lock(t, s))
		if diff := cmp.Diff(before, domain(t, s)); diff != "" {
			t.Errorf("a lock that was given back: %s", diff)
		}
		clean(t, s)
	})
}

// TestTakeoverAfterLostSync: a commit whose last sync fails is seen by the next
// run. That run may delete what it needed before, so it must be there for good
// when the lock is taken, also if the kernel has forgotten to write the name.
func TestTakeoverAfterLostSync(t *testing.T) {
	seen := 0
	for n := 1; ; n++ {
		disk, k := storetest.NewDisk(), newKeeper()
		faults := &storetest.Faults{FS: disk, At: n, Err: syscall.EIO, Lost: true}
		_ = k.run(faults)
		if !faults.Fired() {
			break
		}
		k.promised = map[string]store.Manifest{} // what it was told does not count here
		s, err := local.OpenOn(disk, "test")
		if errors.Is(err, store.ErrNotMarked) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Lock(ctx, folder, rec(3))
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Chains {
			k.promised[c.Name] = c.Manifest
		}
		if f.Previous() == nil { // nobody had died
			continue
		}
		seen += len(d.Chains)
		after := disk.Crash(storetest.Lose)
		found := &keeper{k.world, maps.Clone(k.promised)}
		found.audit(t, after)
		if t.Failed() {
			t.Fatalf("a sync was lost at %d", n)
		}
	}
	if seen == 0 {
		t.Error("no run has left a chain to take over")
	}
}

// TestLateLink: a run that lost its lock without noticing cannot commit under the
// number that it had in mind, as the one that took over has used it.
func TestLateLink(t *testing.T) {
	disk, w := storetest.NewDisk(), newWorld(1)
	s := w.init(t, disk)
	m := w.chainOf(t, s, 1)
	late := lock(t, s)
	next, err := w.next(late, m)
	if err != nil {
		t.Fatal(err)
	}
	disk.KillProcess() // as the kernel sees it
	if err := lock(t, s).Abandon(); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(ctx, next); err == nil {
		t.Error("it has committed")
	}
	d := domain(t, s)
	if got := d.Chains[0].Manifest; got.Number != m.Number+1 || !slices.Equal(sequences(got), sequences(m)) {
		t.Errorf("manifest %d lists %v", got.Number, sequences(got))
	}
	if len(d.Leftovers) != 2 || path.Dir(d.Leftovers[0]) != m.Chain {
		t.Errorf("leftovers %v", d.Leftovers)
	}
}
