package executor_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"vbk/store"
	"vbk/store/storetest"
)

// faults are how an effect on the store fails: once, or from then on.
var faults = map[string]func(f *storetest.Faults){
	"full":            func(f *storetest.Faults) { f.Err, f.Half = syscall.ENOSPC, true },
	"full for good":   func(f *storetest.Faults) { f.Err, f.Half, f.Last = syscall.ENOSPC, true, true },
	"broken":          func(f *storetest.Faults) { f.Err, f.Lost = syscall.EIO, true },
	"broken for good": func(f *storetest.Faults) { f.Err, f.Lost, f.Last = syscall.EIO, true, true },
	"reply lost":      func(f *storetest.Faults) { f.Err, f.Done = syscall.EIO, true },
}

// TestFault lets every effect on the store fail, as a full or failing disk
// does. The guest never pays for it, and what is said to be done is done.
func TestFault(t *testing.T) {
	for how := range faults {
		for name, s := range scenarios {
			t.Run(how+", "+name, func(t *testing.T) {
				t.Parallel()
				n := max(s.from, 1)
				for ; s.fails(t, n, how); n++ {
				}
				if n < 30 {
					t.Errorf("only %d effects were seen", n)
				}
			})
		}
	}
}

func (s scenario) fails(t *testing.T, n int, how string) bool {
	w := s.prepare(t)
	before := w.points()
	p := w.plan(s.o)
	f := &storetest.Faults{FS: w.disk, At: n}
	faults[how](f)
	w.fs = f
	r := w.run(context.Background(), p)
	if !f.Fired() {
		return false
	}
	w.noJob()
	known := w.done()
	err := w.failure()
	if r.Failed > 0 && !errors.Is(err, f.Err) {
		t.Errorf("failed by %v", err)
	}
	if errors.Is(err, store.ErrUncertain) && len(known) == 0 {
		if len(before) > 0 {
			w.uncertain(before[len(before)-1].point)
		}
		w.disk = w.disk.Crash(storetest.Lose)
	}
	w.disk.KillProcess()
	w.fs = w.disk
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, store.ErrUncertain) && len(known) == 0 {
		w.roomIsBack()
	}
	s.recovered(w, known)
	if t.Failed() {
		t.Fatalf("%s at effect %d: %v", how, n, err)
	}
	return true
}

// uncertain wants both checkpoints where nobody knows whether the point exists.
func (w *world) uncertain(old store.Point) {
	w.t.Helper()
	d, err := w.host.Domain(context.Background(), uuid)
	if err != nil || len(d.Checkpoints) != 3 || !w.hasCheckpoint(old.Checkpoint) {
		w.t.Errorf("checkpoints are %+v, %v; want the foreign one, %s and a new one", d.Checkpoints, err, old.Checkpoint)
	}
}

func (w *world) noJob() {
	w.t.Helper()
	if d, err := w.host.Domain(context.Background(), uuid); err != nil || d.Job != nil {
		w.t.Errorf("the guest goes on paying for job %+v: %v", d.Job, err)
	}
}

// roomIsBack wants nothing of a point that found no room to stay.
func (w *world) roomIsBack() {
	w.t.Helper()
	domains, err := w.store().Domains(w.ctx())
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for _, d := range domains {
		for _, l := range d.Leftovers {
			if strings.HasSuffix(l, ".v3") {
				w.t.Errorf("%s is left", l)
			}
		}
	}
}
