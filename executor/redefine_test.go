package executor_test

import (
	"strings"
	"testing"

	"vbk/plan"
	"vbk/store/storetest"
)

// forgetHead makes libvirt forget the newest point's checkpoint.
func (w *world) forgetHead() { w.host.Forget(uuid, w.head().Checkpoint) }

// TestRedefine: what libvirt has forgotten it is told again, and nothing is read
// whole; where that fails, or does not help, the disks are.
func TestRedefine(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, checkpoint string)
		kinds string
		why   string
	}{
		"sound":             {func(*world, string) {}, "full inc inc", "is unknown to libvirt"},
		"one bitmap broken": {func(w *world, name string) { w.host.BreakBitmap(uuid, "vdb", name) }, "full inc resync", "cannot be redefined: "},
		"refused": {func(w *world, _ string) {
			w.host.Before = func(op, _ string) error { return errorOf(op == "RedefineCheckpoint") }
		}, "full inc resync", "cannot be redefined: "},
		"done, and told otherwise": {func(w *world, _ string) {
			w.host.After = func(op, _ string) error { return errorOf(op == "RedefineCheckpoint") }
		}, "full inc inc", "is unknown to libvirt"},
	} {
		t.Run(name, func(t *testing.T) {
			w := scenario{points: 2, change: func(*world) {}}.prepare(t)
			head := w.head().Checkpoint
			c.spoil(w, head)
			w.forgetHead()
			w.succeed(plan.Options{})
			w.wantKinds(c.kinds)
			if !strings.Contains(w.head().Reason, c.why) {
				t.Errorf("the reason is %q", w.head().Reason)
			}
			if w.hasCheckpoint(head) {
				t.Error("the superseded checkpoint stays")
			}
		})
	}
}

// TestRedefineWaits: once the bitmaps are known, too little may have changed.
func TestRedefineWaits(t *testing.T) {
	w := scenario{points: 1, change: func(*world) {}}.prepare(t)
	w.policy().MinChange, w.policy().RPO = 1<<20, 1000*w.policy().Every
	w.succeed(plan.Options{Full: []string{"domain.all"}})
	w.now = w.now.Add(25 * 3600e9)
	w.forgetHead()
	w.policy().MinChange = 1
	if r := w.apply(plan.Options{}); r.Failed != 0 || r.Skipped != 1 || !w.hasCheckpoint(w.head().Checkpoint) {
		t.Errorf("%+v %v", r, w.failure())
	}
	w.settled()
}

// TestRedefineInterrupted dies and is cancelled at every step.
func TestRedefineInterrupted(t *testing.T) {
	s := scenario{kinds: "full inc", change: (*world).forgetHead}
	for n := 1; s.dies(t, n, (*storetest.Disk).KillProcess); n++ {
	}
	for n := 1; s.interrupted(t, n, interruptions["cancelled"]); n++ {
	}
}

// TestRedefineMachine: a real domain is undefined, and defined again.
func TestRedefineMachine(t *testing.T) {
	m := newMachine(t, "redefine", "qcow2")
	apply := func() {
		t.Helper()
		m.write(3)
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
	}
	again := func(end func()) {
		t.Helper()
		m.write(2)
		end()
		m.root.DefineAgain(t, m.uuid)
		m.root.Start(t, m.uuid)
	}
	apply()
	apply()
	again(func() { m.root.Stop(t, m.uuid) })
	apply()
	again(func() { m.root.Stop(t, m.uuid); m.root.Start(t, m.uuid); m.root.Kill(t, m.uuid) })
	apply()
	m.restored(m.settled("full inc inc resync"))
}
