package executor_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/plan"
	"vbk/store"
	"vbk/store/storetest"
	"vbk/virt"
)

// scenario is a run that a test interrupts.
type scenario struct {
	first  bool // there is no point yet
	points int  // there are so many, 1 if not said
	gives  bool // points go
	from   int  // the effects before are those of an increment
	o      plan.Options
	kinds  string // of the points when all is well again
	change func(*world)
}

// scenarios are the very first point, an increment, and a new chain that makes
// the old one go.
var scenarios = map[string]scenario{
	"first":     {kinds: "full", first: true, change: func(*world) {}},
	"increment": {kinds: "full inc", change: func(*world) {}},
	"quiesced":  {kinds: "full inc", change: func(w *world) { w.host.GiveAgent(uuid, nil) }},
	"merge":     {kinds: "full inc", points: 2, gives: true, from: 45, change: keepTwo},
	"new chain": {kinds: "full", gives: true, o: plan.Options{Full: []string{"domain.all"}}, change: func(w *world) {
		w.apply(plan.Options{})
		w.nextDay()
		one := 1
		w.policy().Retention.KeepLast = &one
	}},
}

// keepTwo keeps the newest two points, and merges what is older into them.
func keepTwo(w *world) {
	two := 2
	w.policy().Retention.Prune, w.policy().Retention.KeepLast = "merge", &two
}

// prepare brings a world to the moment before the run that is interrupted.
func (s scenario) prepare(t *testing.T) *world {
	w := newWorld(t, t.TempDir(), 3)
	s.fill(w)
	return w
}

func (s scenario) fill(w *world) {
	w.policy().Compression.Codec = "none" // for speed
	w.define(map[string]int64{"vda": 200<<10 + 512, "vdb": 70 << 10})
	w.addForeign()
	for range max(s.points, 1) {
		if s.first {
			break
		}
		if r := w.apply(plan.Options{}); r.Failed > 0 {
			w.t.Fatalf("%v", w.failure())
		}
		w.nextDay()
	}
	s.change(w)
}

// recovered applies again, with everything fresh, until all is as if nothing had
// happened; once must be enough.
func (s scenario) recovered(w *world, known []located) {
	w.t.Helper()
	w.step, w.bind, w.dial = nil, nil, nil
	w.listed(known)
	frozen := w.host.Frozen(uuid)
	w.host.Before = func(op, _ string) error {
		if frozen && op != "Thaw" {
			w.t.Errorf("%s comes before the frozen guest goes on", op)
		}
		frozen = false
		return nil
	}
	o := plan.Options{}
	if w.kinds() != s.kinds {
		o = s.o
	}
	w.succeed(o)
	w.wantKinds(s.kinds)
	w.nextDay()
	w.succeed(plan.Options{})
	if !w.hasCheckpoint(foreign) {
		w.t.Errorf("the foreign checkpoint is gone")
	}
}

// listed wants the points in known to be listed, unless they may have gone.
func (w *world) listed(known []located) {
	w.t.Helper()
	there := map[string]bool{}
	for _, l := range w.points() {
		there[l.chain+l.point.Attempt] = true
	}
	for _, l := range known {
		if !there[l.chain+l.point.Attempt] {
			w.t.Errorf("point %s.%d was committed and is gone", l.chain, l.point.Sequence)
		}
	}
}

// done lists the points that the last run said it had made.
func (w *world) done() []located {
	var all []located
	for _, e := range w.events {
		if e.Kind == executor.Done && e.Point != nil {
			all = append(all, located{chain: e.Chain, point: *e.Point})
		}
	}
	return all
}

// fates are what a death leaves of what was not synced by then: all of it, nothing,
// or some bytes of some files under some names.
func fates(seed int) map[string]func(*storetest.Disk) *storetest.Disk {
	random := mathrand.New(mathrand.NewPCG(11, uint64(seed)))
	some := func(n int) int { return random.IntN(n + 1) }
	return map[string]func(*storetest.Disk) *storetest.Disk{
		"killed":     (*storetest.Disk).KillProcess,
		"power lost": func(d *storetest.Disk) *storetest.Disk { return d.Crash(storetest.Lose) },
		"torn":       func(d *storetest.Disk) *storetest.Disk { return d.Crash(some) },
	}
}

// TestCrash dies in every effect on store, hypervisor, agent and exports, by a
// kill and by power failures, and goes on.
func TestCrash(t *testing.T) {
	for name, s := range scenarios {
		for fate := range fates(0) {
			t.Run(name+", "+fate, func(t *testing.T) {
				t.Parallel()
				n := max(s.from, 1)
				for ; s.dies(t, n, fates(n)[fate]); n++ {
				}
				if n < 40 {
					t.Errorf("only %d effects were seen", n)
				}
			})
		}
	}
}

// dies says whether there was an effect number n.
func (s scenario) dies(t *testing.T, n int, crash func(*storetest.Disk) *storetest.Disk) bool {
	w := s.prepare(t)
	before := w.points()
	p := w.plan(s.o)
	faults := &storetest.Faults{FS: w.disk, At: n, Die: true, Half: true}
	die(w, faults)
	r := w.run(context.Background(), p)
	if !faults.Fired() {
		if r.Failed > 0 {
			t.Fatalf("without a fault: %v", w.failure())
		}
		return false
	}
	known := w.done()
	if !s.gives {
		known = append(known, before...)
	}
	w.disk = crash(w.disk)
	w.fs = w.disk
	s.recovered(w, known)
	if t.Failed() {
		t.Fatalf("after a death at effect %d", n)
	}
	return true
}

// die makes what a run asks of the hypervisor effects among those on the store.
func die(w *world, faults *storetest.Faults) {
	w.fs, w.step = faults, func(op string) error {
		err := dead(faults, op)
		if err != nil && op == "Thaw" { // the dead do not ask again
			err = errors.Join(err, virt.ErrNoDomain)
		}
		return err
	}
}

// dead counts what is asked of the hypervisor among the effects on the store,
// so that a process can die between any two of them.
func dead(faults *storetest.Faults, op string) error {
	if op == "Domain" {
		_, err := faults.Stat(".")
		return err
	}
	if err := faults.Remove("nothing"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// interruptions are what can happen at any step of hypervisor and export.
var interruptions = map[string]func(cancel func()) error{
	"cancelled": func(cancel func()) error { cancel(); return nil },
	"failing":   func(func()) error { return errors.New("injected") },
	"panicking": func(func()) error { panic("injected") },
}

// TestInterruption cancels, fails and panics at every step. What the run has
// begun is gone when it returns: the next plan has no more to do than this one.
func TestInterruption(t *testing.T) {
	for how, interrupt := range interruptions {
		for name, s := range scenarios {
			t.Run(how+", "+name, func(t *testing.T) {
				t.Parallel()
				n := 1
				for ; s.interrupted(t, n, interrupt); n++ {
				}
				if n < 8 {
					t.Errorf("only %d steps were seen", n)
				}
			})
		}
	}
}

// errSignal is why cmd cancels a run.
var errSignal = errors.New("interrupted by a signal")

func (s scenario) interrupted(t *testing.T, n int, interrupt func(cancel func()) error) bool {
	w := s.prepare(t)
	before := w.points()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	count, where := 0, ""
	w.step = func(op string) error {
		w.mu.Lock()
		count++
		hit := count == n
		w.mu.Unlock()
		if !hit {
			return nil
		}
		where = op
		return interrupt(func() { cancel(errSignal) })
	}
	r := w.run(ctx, w.plan(s.o))
	if count < n {
		return false
	}
	w.noJob()
	w.step = nil
	if err := w.failure(); err != nil && strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("%s: the failure does not say who interrupted: %v", where, err)
	}
	if len(w.done()) == 0 && r.Failed == 0 {
		t.Errorf("no point, and no failure")
	}
	if len(w.done()) == 0 && len(w.points()) != len(before) {
		t.Errorf("%d points became %d", len(before), len(w.points()))
	}
	if !slices.Contains([]string{"DeleteCheckpoint", "RemoveBitmap", "ForgetCheckpoint", "EndPaused"}, where) && !lastLook(w, where) {
		w.clean()
		if p := w.plan(plan.Options{}); p.Instances[0].Actions != nil && p.Instances[0].Actions[0].Kind == plan.KindCleanup {
			t.Errorf("something is left: %+v", p.Instances[0].Actions[0].Cleanup)
		}
	}
	s.recovered(w, w.done())
	if t.Failed() {
		t.Fatalf("at step %d, %s: %v", n, where, w.failure())
	}
	return true
}

// lastLook says whether it was the look before the final clean-up that failed;
// then the record stays for the next run.
func lastLook(w *world, where string) bool {
	if where != "Domain" {
		return false
	}
	e := w.events[len(w.events)-1]
	var hinted interface{ Hint() string }
	return e.Kind == executor.Failed && errors.As(e.Err, &hinted) && hinted.Hint() == "the next vbk apply cleans it up"
}

// TestDeadHypervisor: libvirt goes away in the middle and stays away; when it is
// back, all is cleaned up.
func TestDeadHypervisor(t *testing.T) {
	s := scenarios["increment"]
	for n := 2; ; n++ {
		w := s.prepare(t)
		count := 0
		w.step = func(string) error {
			if count++; count >= n {
				return errors.New("connection to libvirt is closed")
			}
			return nil
		}
		r := w.apply(s.o)
		if count < n {
			break
		}
		if r.Failed != 1 {
			t.Fatalf("at step %d: %+v", n, r)
		}
		s.recovered(w, w.done())
	}
}

// TestDeadStore: the store goes away in the middle and stays away. The guest
// does not pay for that.
func TestDeadStore(t *testing.T) {
	s := scenarios["increment"]
	for n := 1; ; n++ {
		w := s.prepare(t)
		faults := &storetest.Faults{FS: w.disk, At: n, Die: true}
		p := w.plan(s.o)
		w.fs = faults
		ctx, cancel := context.WithCancel(t.Context())
		w.step = func(string) error { // somebody sees it, and loses patience
			if faults.Fired() {
				cancel()
			}
			return nil
		}
		w.run(ctx, p)
		cancel()
		w.noJob()
		if t.Failed() {
			t.Fatalf("after effect %d", n)
		}
		if !faults.Fired() {
			break
		}
	}
}

// TestVanishedDomain: a domain that is undefined in the middle leaves no files.
func TestVanishedDomain(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	w.begun = func() { w.host.Undefine(uuid) }
	if r := w.apply(plan.Options{}); r.Failed != 1 {
		t.Fatalf("%+v", r)
	}
	w.wantKinds("full")
	w.exact()
	wantNames(t, w.scratch, 0)
	if d, err := w.store().Domains(t.Context()); err != nil || len(d[0].Leftovers) > 0 || d[0].Attempt != nil {
		t.Errorf("left: %+v %v", d, err)
	}
}

// TestForeignRunFolder: a record cannot make cleaning up delete what is not a
// run folder of this store.
func TestForeignRunFolder(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	other := filepath.Join(t.TempDir(), "vbk-ffffffff-1")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := w.store().Lock(t.Context(), w.points()[0].folder, store.Attempt{Host: "there", PID: 7, RunFolder: other})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Abandon(); err != nil {
		t.Fatal(err)
	}
	w.succeed(plan.Options{})
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if !contains(w, plan.KindCleanup) {
		t.Errorf("events are %v", fmt.Sprint(w.events))
	}
}

func contains(w *world, kind plan.Kind) bool {
	for _, e := range w.events {
		if e.Kind == executor.Done && e.Action.Kind == kind {
			return true
		}
	}
	return false
}

// cutAtCommit interrupts in the instant before a manifest is written.
type cutAtCommit struct {
	executor.Store
	cut func()
}

func (s cutAtCommit) Lock(ctx context.Context, folder string, a store.Attempt) (executor.Folder, error) {
	f, err := s.Store.Lock(ctx, folder, a)
	return cutFolder{f, s.cut}, err
}

type cutFolder struct {
	executor.Folder
	cut func()
}

func (f cutFolder) Commit(ctx context.Context, m store.Manifest) error {
	f.cut()
	return f.Folder.Commit(ctx, m)
}

// TestInterruptedCommit: there is no point, nothing is left, and the failure is the
// interrupt alone.
func TestInterruptedCommit(t *testing.T) {
	s := scenarios["increment"]
	w := s.prepare(t)
	before := len(w.points())
	ctx, cancel := context.WithCancelCause(context.Background())
	w.bind = func(b *executor.Bindings) {
		for name, st := range b.Stores {
			b.Stores[name] = cutAtCommit{st, func() { cancel(errSignal) }}
		}
	}
	if r := w.run(ctx, w.plan(plan.Options{})); r.Failed != 1 || !errors.Is(w.failure(), errSignal) || w.failure().Error() != errSignal.Error() {
		t.Fatalf("%+v, %v", r, w.failure())
	}
	w.bind = nil
	if n := len(w.points()); n != before {
		t.Errorf("%d points became %d", before, n)
	}
	s.recovered(w, nil)
}
