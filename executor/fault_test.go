package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
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

// TestFullStore lets a real file system run full at any byte of a point: nothing of
// the attempt stays, the space comes back, and with room again all is well.
func TestFullStore(t *testing.T) {
	loop := storetest.NewLoop(t, "ext4", 8<<20)
	s := scenarios["increment"]
	w := newWorld(t, t.TempDir(), 3)
	w.fs = onLoop(t, loop)
	if _, err := local.InitOn(w.fs, "store", w.now, w.random()); err != nil {
		t.Fatal(err)
	}
	s.fill(w)
	ballast := filepath.Join(loop.Dir, "ballast")
	failed, done, recorded := 0, 0, 0
	for room := int64(0); done < 2; room += 12 << 10 {
		free := leave(t, ballast, w.store(), room)
		w.now = w.now.Add(time.Second)
		r := w.apply(plan.Options{})
		if r.Failed == 0 {
			done++
			w.nextDay()
			continue
		}
		failed++
		if !errors.Is(w.failure(), syscall.ENOSPC) {
			t.Fatalf("with %d bytes of room: %v", room, w.failure())
		}
		w.noJob()
		w.clean()
		if f := w.outcome(); f != nil && strings.Contains(f.Error, "no space left on device") && f.Ended.Equal(w.now) {
			recorded++ // there was room, once what the attempt had written was gone
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if left, err := w.store().Free(); err != nil || left < free-64<<10 {
			t.Errorf("with %d bytes of room: %d bytes were free without ballast, %d are now: %v", room, free, left, err)
		}
		w.exact()
	}
	if failed < 8 {
		t.Errorf("it was full %d times", failed)
	}
	if recorded < failed-3 { // where not even a few KiB were left
		t.Errorf("of %d failures %d are recorded", failed, recorded)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	w.succeed(plan.Options{})
	if !w.hasCheckpoint(foreign) {
		t.Error("the foreign checkpoint is gone")
	}
}

// leave fills a file system until there is so much room. It returns what was free.
func leave(t *testing.T, ballast string, s *local.Store, room int64) int64 {
	t.Helper()
	_ = os.Remove(ballast)
	free, err := s.Free()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	// The list of a large file's parts takes blocks, too.
	for size := free - room; ; size -= 4 << 10 {
		if err = syscall.Fallocate(int(f.Fd()), 0, 0, max(size, 1)); !errors.Is(err, syscall.ENOSPC) || size < free-room-64<<10 {
			break
		}
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return free
}
