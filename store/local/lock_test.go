package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// TestMain lets a test start this program as another process that takes the
// lock of a store, says so, and keeps it until its input ends.
func TestMain(m *testing.M) {
	if dir := os.Getenv("VBK_TEST_HOLD"); dir != "" {
		s, err := local.Open(dir)
		if err == nil {
			_, err = s.Lock(context.Background(), folder, rec(77))
		}
		fmt.Println(err)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(1) // without a word to anybody
	}
	os.Exit(m.Run())
}

// TestLockBetweenProcesses: a living process keeps others out and is named; a
// dead one leaves its record.
func TestLockBetweenProcesses(t *testing.T) {
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "VBK_TEST_HOLD="+s.Path())
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Fatalf("child says %q, %v", line, err)
	}
	var locked *store.LockedError
	if _, err := s.Lock(ctx, folder, rec(1)); !errors.As(err, &locked) || locked.Holder.PID != 77 || locked.Folder != folder {
		t.Errorf("lock: %v", err)
	}
	if d := domain(t, s); !d.Locked || d.Attempt == nil || d.Attempt.PID != 77 {
		t.Errorf("survey: %+v", d)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	_ = in.Close()
	if d := domain(t, s); d.Locked || d.Attempt == nil || d.Attempt.PID != 77 {
		t.Errorf("survey after its death: %+v", d)
	}
	f := lock(t, s)
	if p := f.Previous(); p == nil || p.PID != 77 || p.Checkpoint != "checkpoint-77" {
		t.Errorf("previous: %+v", p)
	}
	if err := f.Record(rec(2)); err != nil {
		t.Error(err)
	}
	unlock(t, f)
	clean(t, s)
}

// TestRecords: what an interrupted run has begun is known until a run says
// that it has dealt with it.
func TestRecords(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		s := newWorld(1).init(t, fsys)
		previous := func(f *local.Folder) int {
			if f.Previous() == nil {
				return 0
			}
			return f.Previous().PID
		}
		pid := 0
		next := func(want int) *local.Folder {
			t.Helper()
			pid++
			f, err := s.Lock(ctx, folder, rec(pid))
			if err != nil {
				t.Fatal(err)
			}
			if got := previous(f); got != want {
				t.Errorf("run %d found the record of %d, want %d", pid, got, want)
			}
			if d := domain(t, s); !d.Locked || d.Attempt.PID != pid {
				t.Errorf("run %d is shown as %+v", pid, d.Attempt)
			}
			return f
		}
		abandon := func(f *local.Folder) {
			t.Helper()
			if err := errors.Join(f.Abandon(), f.Abandon()); err != nil {
				t.Error(err)
			}
		}
		record := func(f *local.Folder) {
			t.Helper()
			if err := f.Record(rec(pid)); err != nil {
				t.Error(err)
			}
		}
		unlock(t, next(0))
		abandon(next(0)) // 2 dies
		abandon(next(2)) // 3 dies before it has dealt with that
		unlock(t, next(2))
		f := next(2) // 4 ended well but did not deal with it either
		record(f)
		abandon(f) // 5 has, and dies
		f = next(5)
		record(f)
		unlock(t, f)
		unlock(t, next(0))
		if d := domain(t, s); d.Attempt != nil || d.Locked {
			t.Errorf("in the end: %+v", d)
		}
	})
}

// TestTornRecord: a record cut anywhere is not taken for another one. The one
// before it counts; without one, the attempt is unknown.
func TestTornRecord(t *testing.T) {
	full := func() []byte {
		disk := storetest.NewDisk()
		s := newWorld(1).init(t, disk)
		f := lock(t, s)
		if err := errors.Join(f.Record(rec(2)), f.Abandon()); err != nil {
			t.Fatal(err)
		}
		return read(t, disk, folder+"/lock")
	}()
	seen := map[int]bool{}
	for cut := 1; cut <= len(full); cut++ {
		disk := storetest.NewDisk()
		s := newWorld(1).init(t, disk)
		if err := disk.Mkdir(folder); err != nil {
			t.Fatal(err)
		}
		put(t, disk, folder+"/lock", string(full[:cut]))
		f := lock(t, s)
		p := f.Previous()
		if p == nil || *p != (store.Attempt{}) && *p != rec(1) && *p != rec(2) {
			t.Fatalf("cut at %d: %+v", cut, p)
		}
		seen[p.PID] = true
		if err := f.Record(rec(3)); err != nil { // behind the torn one
			t.Fatal(err)
		}
		if d := domain(t, s); d.Attempt == nil || *d.Attempt != rec(3) {
			t.Fatalf("cut at %d: then %+v", cut, d.Attempt)
		}
	}
	if len(seen) != 3 {
		t.Errorf("saw %v", seen)
	}
}

func read(t testing.TB, fsys local.FS, name string) []byte {
	t.Helper()
	h, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	if n, err := h.ReadAt(data, 0); int64(n) < size {
		t.Fatal(err)
	}
	return data
}

// TestSurveyDoesNotDisturb: a survey looks whether the lock is free, and a run
// that starts at that moment must not fail for it.
func TestSurveyDoesNotDisturb(t *testing.T) {
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(t, s).Abandon(); err != nil { // a record makes surveys look at the lock
		t.Fatal(err)
	}
	done := make(chan struct{})
	var surveys sync.WaitGroup
	for range 3 {
		surveys.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := s.Domains(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 100 {
		f, err := s.Lock(ctx, folder, rec(1))
		if err != nil {
			t.Error(err)
			break
		}
		if err := f.Abandon(); err != nil {
			t.Error(err)
		}
	}
	close(done)
	surveys.Wait()
}

// TestLostLock: without its lock a folder changes nothing.
func TestLostLock(t *testing.T) {
	lose := map[string]func(t *testing.T, fsys local.FS, f *local.Folder){
		"released": func(t *testing.T, fsys local.FS, f *local.Folder) { unlock(t, f) },
		"removed": func(t *testing.T, fsys local.FS, f *local.Folder) {
			if err := fsys.Remove(folder + "/lock"); err != nil {
				t.Fatal(err)
			}
		},
		"replaced": func(t *testing.T, fsys local.FS, f *local.Folder) {
			if err := fsys.Remove(folder + "/lock"); err != nil {
				t.Fatal(err)
			}
			put(t, fsys, folder+"/lock", "")
		},
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			eachFS(t, func(t *testing.T, fsys local.FS) {
				w := newWorld(1)
				s := w.init(t, fsys)
				m := w.chainOf(t, s, 2)
				f := lock(t, s)
				next, err := w.next(f, m)
				if err != nil {
					t.Fatal(err)
				}
				left := domain(t, s).Leftovers
				lose(t, fsys, f)
				_, create := f.Create(m.Chain, store.ExtraFileName(9, "00000001", "x"))
				_, look := f.Look(ctx)
				for what, err := range map[string]error{
					"commit": f.Commit(ctx, next), "release": f.Release(ctx, m.Chain), "record": f.Record(rec(1)),
					"remove": f.RemoveLeftovers(ctx, left), "create": create, "look": look,
				} {
					if err == nil {
						t.Errorf("%s works", what)
					}
				}
				d := domain(t, s)
				if len(d.Chains) != 1 || len(d.Chains[0].Manifest.Points) != 2 || len(d.Leftovers) < len(left) {
					t.Errorf("found %+v", d)
				}
			})
		})
	}
}

func TestLockRefusesForeignNames(t *testing.T) {
	s := newWorld(1).init(t, storetest.NewDisk())
	for _, name := range []string{"", ".", "..", "../x-4c1f9d2a", "a/b-4c1f9d2a", "web01"} {
		if f, err := s.Lock(ctx, name, rec(1)); err == nil {
			t.Errorf("locked %q: %v", name, f.Unlock())
		}
	}
	if _, err := s.Domain(ctx, folder); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestLockEnds: who has unlocked a folder holds it no more, also while a program is
// being started, to which the kernel gives a copy of every descriptor for an instant.
func TestLockEnds(t *testing.T) {
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Lock(context.Background(), folder, rec(1))
	if err != nil {
		t.Fatal(err)
	}
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	copies := 0
	for _, d := range descriptors {
		if name, err := os.Readlink(d); err != nil || name != filepath.Join(s.Path(), folder, "lock") {
			continue
		}
		fd, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			t.Fatal(err)
		}
		started, err := unix.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(started)
		copies++
	}
	if copies == 0 {
		t.Fatalf("no descriptor of the lock among %v", descriptors)
	}
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
	f, err = s.Lock(context.Background(), folder, rec(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Unlock(); err != nil {
		t.Error(err)
	}
}
