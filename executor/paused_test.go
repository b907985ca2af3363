package executor_test

import (
	"strings"
	"testing"
	"time"

	"vbk/plan"
	"vbk/store/storetest"
	"vbk/virt"
)

// startable shuts the domain off, to be started paused for its backups. A disk on
// the network is seen only then.
func (w *world) startable() {
	w.policy().Offline = "start_paused"
	w.host.SetState(uuid, virt.ShutOff)
}

func (w *world) state() virt.State {
	w.t.Helper()
	d, err := w.host.Domain(w.ctx(), uuid)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return d.State
}

// TestStartPaused: a domain that is shut off is started paused, read by its bitmaps,
// and shut off again; nothing is done while nothing changes.
func TestStartPaused(t *testing.T) {
	w := scenario{points: 2, change: func(*world) {}}.prepare(t)
	w.startable()
	w.succeed(plan.Options{})
	w.wantKinds("full inc inc")
	if p := w.head(); p.Quiesced || p.QuiesceWhy != "the domain is shut off" || w.state() != virt.ShutOff {
		t.Errorf("quiesced: %v, %q; the domain is %s", p.Quiesced, p.QuiesceWhy, w.state())
	}
	w.now = w.now.Add(25 * time.Hour)
	if i := w.plan(plan.Options{}).Instances[0]; i.Idle != "shut off, and nothing changed since the newest point" || len(i.Actions) > 0 {
		t.Errorf("idle %q, actions %+v", i.Idle, i.Actions)
	}
	w.policy().Quiesce.Mode = "require" // nothing of it runs
	w.nextDay()
	w.succeed(plan.Options{})
	w.policy().Quiesce.Mode = "try"
	w.host.SetState(uuid, virt.Running)
	w.nextDay()
	w.succeed(plan.Options{})
	w.wantKinds("full inc inc inc inc")
}

// TestStartPausedFirst: the first point, and disks that only a QEMU reads. Whether
// their bitmaps are sound shows when it runs.
func TestStartPausedFirst(t *testing.T) {
	w := newWorld(t, t.TempDir(), 7)
	w.define(map[string]int64{"vda": 200<<10 + 512})
	x := diskNamed("vdb")
	x.Type, x.Source = "network", "rbd://pool/vdb"
	w.add(x, 100<<10)
	w.scribble("vdb", 2)
	w.startable()
	w.succeeds("full")
	w.nextDay()
	w.succeeds("full inc")
	w.host.BreakBitmap(uuid, "vdb", w.head().Checkpoint)
	w.nextDay()
	w.succeeds("full inc resync")
	w.nextDay()
	w.succeeds("full inc resync inc")
}

// succeeds is succeed for a domain whose disk on the network is due with each plan:
// whether anything has changed shows only when it is started.
func (w *world) succeeds(kinds string) {
	w.t.Helper()
	if r := w.apply(plan.Options{}); r.Failed > 0 || w.state() != virt.ShutOff {
		w.t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
	}
	w.clean()
	w.exact()
	w.wantKinds(kinds)
}

// TestStartPausedNotOurs: what somebody lets run, or has started, is not ended.
func TestStartPausedNotOurs(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*world)
		state   virt.State
	}{
		"resumed": {func(w *world) { w.host.SetState(uuid, virt.Running) }, virt.Running},
		"resumed and paused": {func(w *world) {
			w.host.SetState(uuid, virt.Running)
			w.host.SetState(uuid, virt.Paused)
		}, virt.Paused},
	} {
		t.Run(name, func(t *testing.T) {
			w := scenarios["increment"].prepare(t)
			w.startable()
			w.begun = func() { c.happens(w); w.scribble("vda", 2); w.begun = nil }
			if r := w.apply(plan.Options{}); r.Failed > 0 || w.state() != c.state {
				t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
			}
			w.exact()
			w.wantKinds("full inc")
			w.nextDay()
			if r := w.apply(plan.Options{}); r.Failed > 0 || w.state() != c.state {
				t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
			}
			w.exact()
		})
	}
	t.Run("started by somebody just before", func(t *testing.T) {
		w := scenarios["increment"].prepare(t)
		w.startable()
		w.step = func(op string) error {
			if op != "StartPaused" {
				return nil
			}
			w.step = nil
			_, err := w.host.StartPaused(w.ctx(), uuid)
			return err
		}
		if r := w.apply(plan.Options{}); r.Failed != 1 || w.state() != virt.Paused {
			t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
		}
		if r := w.apply(plan.Options{}); r.Failed > 0 || w.state() != virt.Paused {
			t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
		}
		w.exact()
	})
	t.Run("started by somebody after a crash", func(t *testing.T) {
		w := scenarios["increment"].prepare(t)
		w.startable()
		w.step = func(op string) error {
			if op == "BeginBackup" || op == "EndPaused" {
				return errInjected
			}
			return nil
		}
		if r := w.apply(plan.Options{}); r.Failed == 0 || w.state() != virt.Paused {
			t.Fatalf("%+v; the domain is %s", r, w.state())
		}
		w.step = nil
		w.host.SetState(uuid, virt.ShutOff)
		if _, err := w.host.StartPaused(w.ctx(), uuid); err != nil {
			t.Fatal(err)
		}
		if r := w.apply(plan.Options{}); r.Failed > 0 || w.state() != virt.Paused {
			t.Fatalf("%+v: %v; the domain is %s", r, w.failure(), w.state())
		}
		w.exact()
	})
}

// TestStartPausedSaved: a guest that is suspended to disk would be lost by a start.
func TestStartPausedSaved(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	w.policy().Offline = "start_paused"
	w.host.ManagedSave(uuid)
	if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), "managed save") || w.state() != virt.ShutOff {
		t.Fatalf("%+v: %v", r, w.failure())
	}
	w.clean()
	if d, err := w.store().Domains(w.ctx()); err != nil || d[0].Attempt != nil {
		t.Errorf("a record is left: %+v %v", d, err)
	}
}

// TestStartPausedInterrupted dies, fails and is cancelled at every step.
func TestStartPausedInterrupted(t *testing.T) {
	s := scenario{kinds: "full inc", change: (*world).startable}
	for n := 1; s.dies(t, n, (*storetest.Disk).KillProcess); n++ {
	}
	for n := 1; s.fails(t, n, "full"); n += 2 {
	}
	for n := 1; s.interrupted(t, n, interruptions["failing"]); n++ {
	}
}
