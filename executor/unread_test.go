package executor_test

import (
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/format"
	"vbk/plan"
	"vbk/store/storetest"
)

// TestUnreadStore: whichever read of the store fails while a night's increment and
// verification are planned and done, no chain is closed and nothing is recorded as
// damaged: with a store that can be read again the chain goes on.
func TestUnreadStore(t *testing.T) {
	for _, last := range []bool{false, true} {
		failed := false
		for at, fired := 1, true; fired; at += 2 {
			w := newWorld(t, t.TempDir(), uint64(at))
			w.define(map[string]int64{"vda": 256 << 10})
			w.succeed(plan.Options{})
			w.nextDay()
			w.policy().Verify.Every = config.Duration(time.Hour)
			fsys := &storetest.Unreadable{FS: w.disk, At: at, Err: syscall.EIO, Last: last}
			w.fs = fsys
			r := w.apply(plan.Options{})
			failed = failed || r.Failed > 0
			w.fs = w.disk
			if fired = fsys.Fired(); !fired && r.Failed > 0 {
				t.Fatalf("%v", w.failure())
			}
			d, err := w.store().Domains(w.ctx())
			if err != nil || len(d) != 1 || len(d[0].Chains) != 1 || d[0].Chains[0].Manifest.Closed != "" || len(d[0].Chains[0].Problems) > 0 {
				t.Fatalf("read %d: the store has %+v, %v; %v", at, d, err, w.failure())
			}
			for _, v := range d[0].Chains[0].Verifications {
				if len(v.Problems) > 0 {
					t.Fatalf("read %d: recorded are %+v", at, v)
				}
			}
			w.succeed(plan.Options{})
			w.wantKinds("full inc")
		}
		if !failed {
			t.Error("no apply has failed")
		}
	}
}

// TestUnreadPointIsTold: a verification that cannot read says so and what to do, and
// the next one reads the point.
func TestUnreadPointIsTold(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 256 << 10})
	w.succeed(plan.Options{})
	w.now = w.now.Add(2 * time.Hour)
	w.policy().Verify.Every = config.Duration(time.Hour)
	p := w.plan(plan.Options{})
	if len(verifies(p)) != 1 {
		t.Fatalf("planned: %+v", p.Instances)
	}
	var told string
	for at := 1; !strings.Contains(told, "the kernel's log"); at++ {
		w.fs = &storetest.Unreadable{FS: w.disk, At: at, Err: syscall.EIO}
		r := w.run(w.ctx(), p)
		if r.Failed == 0 {
			t.Fatalf("read %d: the last that was told is %q", at, told)
		}
		if err := w.failure(); err != nil {
			told = err.Error()
		}
	}
	w.fs = w.disk
	if !strings.Contains(told, "could not be read") || strings.Contains(told, "damaged") {
		t.Errorf("told is %q", told)
	}
	w.succeed(plan.Options{})
}

// TestUnreadHidesNoDamage: a verification that finds damage, and cannot read all, says
// both, and records the damage.
func TestUnreadHidesNoDamage(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t, t.TempDir(), 8)
		w.define(map[string]int64{"vda": 256 << 10, "vdb": 256 << 10})
		w.succeed(plan.Options{})
		f := w.folder()
		if err := w.disk.Flip(path.Join(f.Folder, f.Chains[0].Name, f.Chains[0].Manifest.Points[0].Disks[0].File), 4096+5); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(2 * time.Hour)
		w.policy().Verify.Every = config.Duration(time.Hour)
		p := w.plan(plan.Options{})
		fsys := &storetest.Unreadable{FS: w.disk, At: at, Err: syscall.EIO}
		w.fs = fsys
		w.run(w.ctx(), p)
		w.fs = w.disk
		if !fsys.Fired() {
			t.Fatal("no read has failed beside the damage")
		}
		if err := w.failure(); !executor.IsDamage(err) || !format.IsUnread(err) {
			continue
		}
		if c := w.folder().Chains[0]; len(c.Problems) == 0 || strings.Contains(w.failure().Error(), "nothing is known to be damaged") {
			t.Errorf("known is %+v; %v", c.Problems, w.failure())
		}
		return
	}
}
