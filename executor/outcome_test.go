package executor_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"vbk/executor"
	"vbk/nbd"
	"vbk/plan"
	"vbk/store"
	"vbk/store/storetest"
	"vbk/virt"
)

// outcome is how the last attempt at the only domain failed; nil if it did not.
func (w *world) outcome() *store.Failure {
	w.t.Helper()
	domains, err := w.store().Domains(w.ctx())
	if err != nil || len(domains) > 1 {
		w.t.Fatalf("%d domains, %v", len(domains), err)
	}
	if len(domains) == 0 {
		return nil
	}
	return domains[0].LastFailure()
}

// TestFailureIsRecorded: of an attempt that failed there is no point, and a record; also
// of the first one, of one that was refused, and of one that was interrupted. A run that
// ends well writes none, and the point that follows makes it history.
func TestFailureIsRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(w *world, cancel context.CancelCauseFunc)
		want string
		read bool
	}{
		"begin": {func(w *world, _ context.CancelCauseFunc) {
			w.host.Before = func(op, _ string) error { return errorOf(op == "BeginBackup") }
		}, ": injected", false},
		"read": {func(w *world, _ context.CancelCauseFunc) {
			reads := 0
			w.dial = func(e executor.Export) executor.Export { return failing{e, &reads} }
		}, "injected", true},
		"panic": {func(w *world, _ context.CancelCauseFunc) {
			w.host.Before = func(op, _ string) error {
				if op == "BeginBackup" {
					panic("a\nbug")
				}
				return nil
			}
		}, "this is a bug in vbk: a bug", false},
		"interrupted": {func(w *world, cancel context.CancelCauseFunc) {
			w.begun = func() { cancel(errors.New("interrupted by signal: interrupt")) }
		}, "interrupted by signal: interrupt", false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, points := range []int{0, 1} {
				w := newWorld(t, t.TempDir(), 8)
				w.define(map[string]int64{"vda": 1 << 20, "vdb": 1 << 20})
				for range points {
					w.succeed(plan.Options{})
					w.nextDay()
				}
				if w.outcome() != nil {
					t.Fatalf("a failure is recorded: %+v", w.outcome())
				}
				ctx, cancel := context.WithCancelCause(w.ctx())
				c.fail(w, cancel)
				w.run(ctx, w.plan(plan.Options{}))
				w.host.Before, w.dial, w.begun = nil, nil, nil
				cancel(nil)
				f := w.outcome()
				if f == nil || !strings.Contains(f.Error, c.want) || f.Attempt == "" || f.Began.After(f.Ended) || f.Ended.IsZero() || f.Chain != points || c.read != (f.Read > 0) {
					t.Fatalf("after %d points %+v", points, f)
				}
				w.clean()
				w.succeed(plan.Options{})
				if f := w.outcome(); f != nil {
					t.Errorf("after a point %+v", f)
				}
			}
		})
	}
}

// failing is an export that fails after the first read of all disks.
type failing struct {
	executor.Export
	reads *int
}

func (f failing) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	if *f.reads++; *f.reads > 1 {
		return errInjected
	}
	return f.Export.ReadBatch(ctx, reads)
}

// TestRefusalIsRecorded: the plan's error may be gone in the morning.
func TestRefusalIsRecorded(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 1 << 20})
	w.host.ForeignJob(uuid, virt.Job{Operation: "block copy"})
	if r := w.apply(plan.Options{}); r.Failed != 1 {
		t.Fatalf("%+v", r)
	}
	w.host.ForeignJob(uuid, virt.Job{})
	if f := w.outcome(); f == nil || f.Error != "another job is active on the domain: block copy" || f.Attempt != "" {
		t.Errorf("%+v", f)
	}
	w.succeed(plan.Options{})
	if f := w.outcome(); f != nil {
		t.Errorf("after a point %+v", f)
	}
}

// TestPruneFailureIsRecorded: the point is there, and the run did not end well.
func TestPruneFailureIsRecorded(t *testing.T) {
	s := scenarios["new chain"]
	w := s.prepare(t)
	p := w.plan(s.o)
	faults := &storetest.Faults{FS: w.disk, Err: errInjected}
	w.fs = faults
	w.bind = func(b *executor.Bindings) {
		told := b.Events
		b.Events = func(e executor.Event) {
			if e.Kind == executor.Started && e.Action.Kind == plan.KindPrune {
				faults.At = faults.Count() + 1
			}
			told(e)
		}
	}
	if r := w.run(w.ctx(), p); r.Failed != 1 || !errors.Is(w.failure(), errInjected) {
		t.Fatalf("%+v: %v", r, w.failure())
	}
	w.fs, w.bind = w.disk, nil
	if f := w.outcome(); f == nil || f.Attempt != w.head().Attempt || !strings.HasPrefix(f.Error, "prune chain ") {
		t.Errorf("recorded is %+v, the newest point is of %s", f, w.head().Attempt)
	}
	s.recovered(w, nil)
}

// TestFailureOnAFullStore: what the attempt wrote goes first, so that there is room to
// say how it went; where there is none even then, the run says so and ends as it would.
func TestFailureOnAFullStore(t *testing.T) {
	for name, last := range map[string]bool{"its own data": false, "somebody else's": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 8)
			w.define(map[string]int64{"vda": 1 << 20})
			w.succeed(plan.Options{})
			w.nextDay()
			p := w.plan(plan.Options{})
			faults := &storetest.Faults{FS: w.disk, Err: syscall.ENOSPC, Last: last}
			w.fs = faults
			w.begun = func() { faults.At = faults.Count() + 1 }
			if r := w.run(w.ctx(), p); r.Failed != 1 || !errors.Is(w.failure(), syscall.ENOSPC) {
				t.Fatalf("%+v: %v", r, w.failure())
			}
			w.fs, w.begun = w.disk, nil
			warned := false
			for _, e := range w.events {
				warned = warned || e.Kind == executor.Warned && errors.Is(e.Err, syscall.ENOSPC) && strings.Contains(e.Err.Error(), "how the attempt went")
			}
			if f := w.outcome(); warned != last || (f != nil) == last || f != nil && !strings.Contains(f.Error, "no space left on device") {
				t.Errorf("warned: %v; recorded is %+v", warned, f)
			}
			w.clean()
			w.succeed(plan.Options{})
		})
	}
}
