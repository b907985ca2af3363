package executor_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vbk/executor"
	"vbk/nbd"
	"vbk/plan"
	"vbk/store"
	"vbk/store/storetest"
	"vbk/virt"
)

var errInjected = errors.New("injected")

// TestBegin: a begin that fails may have had no effect, all of it, or left block
// jobs that nobody owns.
func TestBegin(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"without effect": func(w *world) {
			w.host.Before = func(op, _ string) error { return errorOf(op == "BeginBackup") }
		},
		"with effect": func(w *world) {
			w.host.After = func(op, _ string) error { return errorOf(op == "BeginBackup") }
		},
		"zombie": func(w *world) {
			w.host.Before = func(op, _ string) error {
				if op == "BeginBackup" {
					w.host.Zombie(uuid, "vda", "vdb")
				}
				return errorOf(op == "BeginBackup")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scenarios["increment"]
			w := s.prepare(t)
			fail(w)
			if r := w.apply(plan.Options{}); r.Failed != 1 || !errors.Is(w.failure(), errInjected) {
				t.Fatalf("%+v %v", r, w.failure())
			}
			w.host.Before, w.host.After = nil, nil
			w.clean()
			s.recovered(w, nil)
		})
	}
}

func errorOf(fails bool) error {
	if fails {
		return errInjected
	}
	return nil
}

// TestZombieAfterCrash: a run that was killed cannot say what its begin has
// left; the next one may end it, because of the record.
func TestZombieAfterCrash(t *testing.T) {
	s := scenarios["increment"]
	w := s.prepare(t)
	killed := false
	w.step = func(string) error { return errorOf(killed) }
	w.host.Before = func(op, _ string) error {
		w.host.Zombie(uuid, "vda", "vdb")
		killed = true
		return errInjected
	}
	if r := w.apply(plan.Options{}); r.Failed != 1 {
		t.Fatalf("%+v", r)
	}
	w.host.Before, w.step = nil, nil
	if d, err := w.host.Domain(t.Context(), uuid); err != nil || d.Job == nil {
		t.Fatalf("there is no zombie: %+v %v", d.Job, err)
	}
	w.apply(plan.Options{}) // the plan knew of a job that it could not end
	w.noJob()
	s.recovered(w, nil)
}

// TestForeignJob: another tool's job that begins at the last moment is left
// alone, with its block jobs.
func TestForeignJob(t *testing.T) {
	s := scenarios["increment"]
	for _, job := range []virt.Job{{Operation: "backup", Socket: "/other/nbd"}, {Operation: "block copy"}} {
		w := s.prepare(t)
		w.step = func(op string) error {
			if op == "BeginBackup" {
				w.host.ForeignJob(uuid, job)
			}
			return nil
		}
		if r := w.apply(plan.Options{}); r.Failed != 1 || !errors.Is(w.failure(), virt.ErrBusy) {
			t.Fatalf("%+v %v", r, w.failure())
		}
		if d, err := w.host.Domain(t.Context(), uuid); err != nil || d.Job == nil || *d.Job != job {
			t.Fatalf("the other job became %+v: %v", d.Job, err)
		}
		w.host.ForeignJob(uuid, virt.Job{})
		s.recovered(w, nil)
	}
}

// strange is an export that is not what it should be.
type strange struct {
	executor.Export
	size    int64
	extents func([]nbd.Extent) []nbd.Extent
	read    func(ctx context.Context, reads []nbd.Read) error
}

func (e strange) Size() int64 { return e.Export.Size() + e.size }

func (e strange) Extents(ctx context.Context, offset, length int64) ([]nbd.Extent, error) {
	found, err := e.Export.Extents(ctx, offset, length)
	if e.extents != nil {
		found = e.extents(found)
	}
	return found, err
}

func (e strange) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	if e.read != nil {
		return e.read(ctx, reads)
	}
	return e.Export.ReadBatch(ctx, reads)
}

// TestStrangeExport: nothing is committed of an export that does not add up.
func TestStrangeExport(t *testing.T) {
	for name, c := range map[string]struct {
		is   strange
		want string
	}{
		"longer":  {strange{size: 512}, "bytes, libvirt said"},
		"shorter": {strange{size: -512}, "bytes, libvirt said"},
		"gap":     {strange{extents: func(x []nbd.Extent) []nbd.Extent { return x[1:] }}, "block status"},
		"short":   {strange{extents: func(x []nbd.Extent) []nbd.Extent { return x[:len(x)-1] }}, "block status"},
		"twice":   {strange{extents: func(x []nbd.Extent) []nbd.Extent { return append(x[:1:1], x...) }}, "block status"},
		"error":   {strange{read: func(context.Context, []nbd.Read) error { return errInjected }}, "injected"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scenarios["increment"]
			w := s.prepare(t)
			w.dial = func(e executor.Export) executor.Export {
				c.is.Export = e
				return c.is
			}
			if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), c.want) {
				t.Fatalf("%+v %v", r, w.failure())
			}
			w.wantKinds("full")
			w.clean()
			w.exact()
			s.recovered(w, nil)
		})
	}
}

// TestScratchSpace: a job ends before the guest's writes meet a full disk, and
// does not begin where they would.
func TestScratchSpace(t *testing.T) {
	scratch := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scratch, 4)
		w.policy().Compression.Codec = "none" // the decoder's channel is outside of the bubble
		w.define(map[string]int64{"vda": 1 << 20})
		w.succeed(plan.Options{})
		w.nextDay()
		var mu sync.Mutex
		polls, free := 0, int64(100<<20)
		w.bind = func(b *executor.Bindings) {
			b.Space = func(path string) (int64, int64, error) {
				mu.Lock()
				defer mu.Unlock()
				if polls++; polls == 5 {
					free = 63 << 20
				}
				_, err := os.Stat(path)
				return free, 640 << 20, err
			}
		}
		w.dial = stalled
		begun := 0
		w.begun = func() { begun++ }
		for _, want := range []int{5, 6} {
			if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), "63.0 MiB free, less than 64.0 MiB") {
				t.Fatalf("%+v %v", r, w.failure())
			}
			if polls != want {
				t.Errorf("the space was looked at %d times, want %d", polls, want)
			}
			if hint := w.events[len(w.events)-1].Hint; !strings.Contains(hint, "scratch_dir") {
				t.Errorf("hint is %q", hint)
			}
			w.clean()
		}
		if begun != 1 {
			t.Errorf("%d jobs were begun, the second had no room", begun)
		}
		w.wantKinds("full")
		w.bind, w.dial = nil, nil
		w.succeed(plan.Options{})
		w.wantKinds("full inc")
	})
}

// stalled is an export that does not answer to a read.
func stalled(e executor.Export) executor.Export {
	return strange{Export: e, read: func(ctx context.Context, _ []nbd.Read) error {
		<-ctx.Done()
		return ctx.Err()
	}}
}

// TestSlowHypervisor: a call that never returns does not hold a run for ever.
func TestSlowHypervisor(t *testing.T) {
	scratch := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scratch, 5)
		w.policy().Compression.Codec = "none"
		w.define(map[string]int64{"vda": 1 << 20})
		w.bind = func(b *executor.Bindings) { b.Hosts["local"] = hanging{b.Hosts["local"]} }
		began := time.Now()
		if r := w.apply(plan.Options{}); r.Failed != 1 || !errors.Is(w.failure(), context.DeadlineExceeded) {
			t.Fatalf("%+v %v", r, w.failure())
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("it took %s", took)
		}
		w.clean()
	})
}

// hanging is a hypervisor that does not answer to a begin.
type hanging struct{ executor.Host }

func (hanging) BeginBackup(ctx context.Context, _ string, _ virt.Backup) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestTwoRuns: of two runs of one plan one makes the point. The other fails by
// the lock, or waits and has nothing to do.
func TestTwoRuns(t *testing.T) {
	for name, wait := range map[string]time.Duration{"no wait": 0, "wait": time.Minute} {
		scratch := t.TempDir()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, scratch, 6)
				w.policy().Compression.Codec = "none"
				w.define(map[string]int64{"vda": 1 << 20})
				w.bind = func(b *executor.Bindings) { b.LockTimeout = wait }
				p := w.plan(plan.Options{})
				var second executor.Result
				var other sync.WaitGroup
				w.begun = func() {
					w.begun = nil
					other.Go(func() { second = w.run(context.Background(), p) })
					time.Sleep(5 * time.Second) // in the bubble: the second is at the lock by now
				}
				first := w.run(context.Background(), p)
				other.Wait()
				if first.Done != 1 || first.Failed+first.Skipped != 0 {
					t.Errorf("the first did %+v", first)
				}
				if wait == 0 && (second.Failed != 1 || second.Done > 0) || wait > 0 && (second.Skipped != 1 || second.Failed+second.Done > 0) {
					t.Errorf("the second did %+v", second)
				}
				var locked *store.LockedError
				if wait == 0 && !errors.As(w.failure(), &locked) {
					t.Errorf("the second failed by %v", w.failure())
				}
				w.wantKinds("full")
				w.settled()
			})
		})
	}
}

// TestReaderHoldsChain: a chain that is read is released all the same, and its
// files go with the next run.
func TestReaderHoldsChain(t *testing.T) {
	s := scenarios["new chain"]
	w := s.prepare(t)
	reader, err := w.store().OpenChain(w.points()[0].folder, w.points()[0].chain)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []plan.Options{s.o, {}} { // then the rest is a clean-up, and the reader is still there
		if r := w.apply(o); r.Failed > 0 {
			t.Fatalf("%+v %v", r, w.failure())
		}
		last := w.events[len(w.events)-1]
		if last.Kind != executor.Done || !strings.Contains(last.Why, "a reader holds the chain") {
			t.Errorf("the last event is %+v", last)
		}
		w.wantKinds("full")
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	w.succeed(plan.Options{})
}

// TestUncertain: where nobody knows whether the point exists, both checkpoints
// stay, and whichever way it turns out the next point is an increment.
func TestUncertain(t *testing.T) {
	fates := map[string]storetest.Fate{"lost": storetest.Lose, "kept": storetest.Keep}
	for name, fate := range fates {
		t.Run(name, func(t *testing.T) {
			w := scenarios["increment"].prepare(t)
			old := w.head()
			var without *storetest.Disk
			w.bind = func(b *executor.Bindings) {
				s := uncertainStore{b.Stores["store.local.main"], func() { without = w.disk.Crash(storetest.Lose) }}
				b.Stores["store.local.main"] = s
			}
			if r := w.apply(plan.Options{}); r.Failed != 1 || !errors.Is(w.failure(), store.ErrUncertain) {
				t.Fatalf("%+v %v", r, w.failure())
			}
			w.uncertain(old)
			if fate(1) == 0 {
				w.disk = without
			}
			w.disk.KillProcess()
			w.fs, w.bind = w.disk, nil
			w.nextDay()
			w.succeed(plan.Options{})
			if w.head().Kind != store.Increment || w.head().Disks[0].Base {
				t.Errorf("the next point is %+v", w.head())
			}
		})
	}
}

// uncertainStore commits, and cannot say whether that is durable.
type uncertainStore struct {
	executor.Store
	before func()
}

func (s uncertainStore) Lock(ctx context.Context, folder string, a store.Attempt) (executor.Folder, error) {
	f, err := s.Store.Lock(ctx, folder, a)
	return uncertainFolder{f, s.before}, err
}

type uncertainFolder struct {
	executor.Folder
	before func()
}

func (f uncertainFolder) Commit(ctx context.Context, m store.Manifest) error {
	f.before()
	return errors.Join(store.ErrUncertain, f.Folder.Commit(ctx, m))
}

// TestManyDomains: they run side by side as the run and the host allow.
func TestManyDomains(t *testing.T) {
	for parallel, want := range map[int]int{1: 1, 2: 2, 9: 3} {
		scratch := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			w := manyDomains(t, scratch)
			w.bind = func(b *executor.Bindings) { b.Parallel = parallel }
			var mu sync.Mutex
			now, most := 0, 0
			w.step = func(op string) error {
				mu.Lock()
				switch op {
				case "BeginBackup":
					now++
					most = max(most, now)
				case "EndBackup":
					now--
				}
				mu.Unlock()
				time.Sleep(time.Second) // in the bubble: until all others wait, too
				return nil
			}
			r := w.apply(plan.Options{})
			if r.Done != 9 || r.Failed != 0 || most != want || now != 0 {
				t.Errorf("%+v %v; %d at once, want %d; %d not ended", r, w.failure(), most, want, now)
			}
		})
	}
}

// TestPanic: one that panics does not disturb the others, and says what it is.
func TestPanic(t *testing.T) {
	w := manyDomains(t, t.TempDir())
	var once atomic.Bool
	w.step = func(op string) error {
		if op == "Extents" && once.CompareAndSwap(false, true) {
			panic("injected")
		}
		return nil
	}
	if r := w.apply(plan.Options{}); r.Done != 8 || r.Failed != 1 {
		t.Fatalf("%+v %v", r, w.failure())
	}
	var bug *executor.BugError
	if !errors.As(w.failure(), &bug) || !strings.Contains(bug.Hint(), "executor_test.TestPanic") {
		t.Errorf("failure is %v", w.failure())
	}
	if r := w.apply(plan.Options{}); r.Done != 1 || r.Failed != 0 {
		t.Fatalf("%+v %v", r, w.failure())
	}
}

// manyDomains has nine of them, on a host that takes three at once.
func manyDomains(t *testing.T, scratch string) *world {
	w := newWorld(t, scratch, 7)
	w.policy().Compression.Codec = "none"
	w.config.Hosts[0].MaxParallel = 3
	for n := range 9 {
		def := virt.Domain{Name: fmt.Sprintf("vm%d", n), UUID: fmt.Sprintf("%d%s", n, uuid[1:]), ProcessUID: -1}
		def.Disks = []virt.Disk{diskNamed("vda")}
		w.host.Define(def, map[string][]byte{"vda": make([]byte, 100<<10)})
	}
	return w
}
