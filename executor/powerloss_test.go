package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"vbk/store/local"
	"vbk/store/storetest"
)

// TestPowerLoss lets the power fail at moments of a run whose store lies on a real
// file system: what has reached its device by then is mounted and used on.
func TestPowerLoss(t *testing.T) {
	every := 9
	if os.Getenv("VBK_E2E") != "" {
		every = 1
	}
	for _, kind := range []string{"ext4", "xfs"} {
		for _, name := range []string{"first", "increment", "new chain", "merge"} {
			t.Run(kind+", "+name, func(t *testing.T) {
				seen := 0
				for n := scenarios[name].from + 1; scenarios[name].losesPower(t, kind, n); n += every {
					seen++
				}
				if seen < 4 {
					t.Errorf("only %d moments were seen", seen)
				}
			})
		}
	}
}

// losesPower says whether there was an effect number n.
func (s scenario) losesPower(t *testing.T, kind string, n int) (there bool) {
	t.Run("", func(t *testing.T) { // unmounts at its end
		loop := storetest.NewLoop(t, kind, 320<<20)
		w := newWorld(t, t.TempDir(), 3)
		w.fs = onLoop(t, loop)
		if _, err := local.InitOn(w.fs, "store", w.now, w.random()); err != nil {
			t.Fatal(err)
		}
		s.fill(w)
		before := w.points()
		p := w.plan(s.o)
		faults := &storetest.Faults{FS: w.fs, At: n, Die: true, Half: true}
		die(w, faults)
		w.run(context.Background(), p)
		if there = faults.Fired(); !there {
			return
		}
		known := w.done()
		if !s.gives {
			known = append(known, before...)
		}
		w.fs = onLoop(t, loop.PowerLoss(t))
		s.recovered(w, known)
		if t.Failed() {
			t.Errorf("after a power failure at effect %d", n)
		}
	})
	return there && !t.Failed()
}

// onLoop is the folder of a store on it.
func onLoop(t *testing.T, l *storetest.Loop) local.FS {
	dir := filepath.Join(l.Dir, "store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fsys, err := local.OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// TestLoopForgets: what is not synced is lost, and what is synced is not, so that
// TestPowerLoss can find something.
func TestLoopForgets(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		loop := storetest.NewLoop(t, kind, 320<<20)
		for _, synced := range []bool{false, true} {
			f, err := os.Create(filepath.Join(loop.Dir, fmt.Sprint("synced-", synced)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if synced {
				err = f.Sync()
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			size := int64(0)
			if info, err := os.Stat(filepath.Join(loop.PowerLoss(t).Dir, filepath.Base(f.Name()))); err == nil {
				size = info.Size()
			}
			if synced != (size == 1<<20) {
				t.Errorf("%s, synced: %v: %d bytes are left", kind, synced, size)
			}
		}
	}
}
