package executor_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// TestClock: a clock that jumps, and hosts whose clocks differ, change no order:
// each point builds on the one that was made before it, and is exact.
func TestClock(t *testing.T) {
	day := 24 * time.Hour
	for name, jumps := range map[string][]time.Duration{
		"ahead and back":     {3650 * day, -3650*day + day, day, day},
		"back and on":        {-365 * day, day, 366 * day, day},
		"two hosts by turns": {26 * time.Hour, -2*time.Hour + day, 50 * time.Hour, day},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 21)
			keep := 1000
			w.policy().Retention.KeepLast = &keep
			w.define(map[string]int64{"vda": 300 << 10})
			w.succeed(plan.Options{})
			made := []string{w.head().Attempt}
			for n, jump := range jumps {
				w.now = w.now.Add(jump)
				w.scribble("vda", 3)
				o := plan.Options{}
				if n%2 == 0 || w.plan(o).Empty() { // a new chain, also where it is not due by the clock
					o.Full = []string{"domain.all"}
				}
				if r := w.apply(o); r.Done == 0 || r.Failed > 0 {
					t.Fatalf("%+v %v", r, w.failure())
				}
				made = append(made, w.head().Attempt)
			}
			var listed []string
			for _, l := range w.points() {
				listed = append(listed, l.point.Attempt)
			}
			if !slices.Equal(listed, made) {
				t.Errorf("points are listed as %v, and were made as %v", listed, made)
			}
			w.clean()
			w.exact()
		})
	}
}

// TestClockAhead: one night with a clock that is years ahead deletes nothing that
// would have stayed, neither then nor when it is right again.
func TestClockAhead(t *testing.T) {
	w := newWorld(t, t.TempDir(), 22)
	week := config.Duration(7 * 24 * time.Hour)
	w.policy().Retention = config.Retention{KeepWithin: &week, MinChains: 1, MaxPrune: 50}
	w.policy().Chain.MaxIncrements = 3
	w.define(map[string]int64{"vda": 300 << 10})
	for range 7 {
		w.succeed(plan.Options{})
		w.nextDay()
	}
	w.wantKinds("full inc inc inc full inc inc")
	right := w.now
	for _, wrong := range []time.Duration{400 * 24 * time.Hour, 401 * 24 * time.Hour} {
		w.now = right.Add(wrong)
		w.succeed(plan.Options{Full: []string{"domain.all"}})
		if !strings.HasPrefix(w.kinds(), "full inc inc inc full inc inc full") {
			t.Fatalf("by a clock that is wrong once points are %q", w.kinds())
		}
		w.now = right
		w.succeed(plan.Options{})
		if wrong > 400*24*time.Hour {
			break
		}
		right = right.Add(25 * time.Hour)
	}
	for range 9 {
		w.nextDay()
		w.succeed(plan.Options{})
	}
	if strings.Contains(w.kinds(), "full inc inc inc full inc inc full") {
		t.Errorf("nothing goes any more: %q", w.kinds())
	}
}

// TestNamesAreNeverReused: a name of an attempt that failed, or of a point, is
// never given again, so that no bitmap, file or folder can be taken for another.
func TestNamesAreNeverReused(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	seen := map[string]bool{}
	fails := true
	w.host.Before = func(op, _ string) error {
		if op != "BeginBackup" {
			return nil
		}
		domains, err := w.store().Domains(t.Context())
		if err != nil {
			return err
		}
		a := domains[0].Attempt
		for _, name := range []string{a.Checkpoint, a.RunFolder, a.ID} {
			if name == "" || seen[name] {
				t.Errorf("%q is used again", name)
			}
			seen[name] = true
		}
		return errorOf(fails)
	}
	for range 3 { // of one sequence
		if r := w.apply(plan.Options{}); r.Failed != 1 {
			t.Fatalf("%+v", r)
		}
	}
	fails = false
	w.succeed(plan.Options{})
	w.wantKinds("full inc")
}

// TestForeignCheckpoints: checkpoints of others come before, between and after
// ours, the one before ours goes, and no increment begins anywhere but at ours.
func TestForeignCheckpoints(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	for n := range 3 {
		b := virt.Backup{Socket: "/foreign/socket", Checkpoint: "other-" + strings.Repeat("x", n+1)}
		b.Disks = []virt.BackupDisk{{Target: "vda", Scratch: "/foreign/vda"}, {Target: "vdb", Scratch: "/foreign/vdb"}}
		ctx := context.Background()
		if err := w.host.BeginBackup(ctx, uuid, b); err != nil {
			t.Fatal(err)
		}
		if err := w.host.EndBackup(ctx, uuid, b.Socket); err != nil {
			t.Fatal(err)
		}
		w.scribble("vda", 2)
		if n == 1 {
			if err := w.host.DeleteCheckpoint(ctx, uuid, foreign); err != nil {
				t.Fatal(err)
			}
		}
		if r := w.apply(plan.Options{}); r.Failed > 0 {
			t.Fatalf("%+v %v", r, w.failure())
		}
		w.exact()
		w.nextDay()
		if !w.hasCheckpoint(b.Checkpoint) {
			t.Errorf("%s is gone", b.Checkpoint)
		}
	}
	w.wantKinds("full inc inc inc")
	for _, l := range w.points() {
		if l.point.Kind == store.Increment && l.point.Disks[0].Base {
			t.Errorf("%+v is read whole", l.point)
		}
	}
}
