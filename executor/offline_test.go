package executor_test

import (
	"strings"
	"testing"
	"time"

	"vbk/plan"
	"vbk/store/storetest"
	"vbk/virt"
)

// off shuts the domain off, to be backed up as it is.
func (w *world) off() {
	w.policy().Offline = "backup"
	w.host.SetState(uuid, virt.ShutOff)
}

// TestOffline: a domain that is shut off is read from its images; nothing is done
// while nothing changes, and the next point of the running domain is an increment.
func TestOffline(t *testing.T) {
	w := scenario{points: 2, change: func(*world) {}}.prepare(t)
	old := w.head().Checkpoint
	w.off()
	w.succeed(plan.Options{})
	w.wantKinds("full inc inc")
	if p := w.head(); p.Quiesced || p.QuiesceWhy != "the domain is shut off" {
		t.Errorf("quiesced: %v, %q", p.Quiesced, p.QuiesceWhy)
	}
	if w.hasCheckpoint(old) || !w.hasCheckpoint(w.head().Checkpoint) {
		t.Error("the checkpoint did not follow the point")
	}
	for range 3 {
		w.now = w.now.Add(25 * time.Hour)
		i := w.plan(plan.Options{}).Instances[0]
		if age, _ := i.Age(w.now); i.Idle != "shut off, and nothing changed since the newest point" || age != 0 || len(i.Actions) > 0 {
			t.Fatalf("idle %q, age %s, actions %+v", i.Idle, age, i.Actions)
		}
	}
	w.host.SetState(uuid, virt.Running)
	w.nextDay()
	w.succeed(plan.Options{})
	w.wantKinds("full inc inc inc")
}

// TestOfflineFirst: the first point of a domain that is shut off, with a raw disk.
func TestOfflineFirst(t *testing.T) {
	w := newWorld(t, t.TempDir(), 5)
	w.define(map[string]int64{"vda": 200<<10 + 512})
	w.add(rawDisk("vdb"), 100<<10)
	w.scribble("vdb", 2)
	w.off()
	w.succeed(plan.Options{})
	w.host.Kill(uuid) // its bitmap is inconsistent
	w.nextDay()
	w.succeed(plan.Options{})
	w.forgetHead()
	w.nextDay()
	w.succeed(plan.Options{})
	w.wantKinds("full resync resync")
}

// TestOfflineStarted: a point of a machine that is started meanwhile, and perhaps
// shut off again, is no snapshot.
func TestOfflineStarted(t *testing.T) {
	for name, happens := range map[string]func(*world){
		"started":       func(w *world) { w.host.SetState(uuid, virt.Running) },
		"and shut off":  func(w *world) { w.host.SetState(uuid, virt.Running); w.host.SetState(uuid, virt.ShutOff) },
		"and it writes": func(w *world) { w.host.SetState(uuid, virt.Running); w.scribble("vda", 2) },
	} {
		t.Run(name, func(t *testing.T) {
			w := scenarios["increment"].prepare(t)
			w.off()
			w.begun = func() { happens(w); w.begun = nil }
			if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), "the attempt is discarded") {
				t.Fatalf("%+v %v", r, w.failure())
			}
			w.clean()
			w.wantKinds("full")
			w.succeed(plan.Options{})
			w.wantKinds("full inc")
		})
	}
}

// TestOfflineRefused: what only a running QEMU can read.
func TestOfflineRefused(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	x := diskNamed("vdc")
	x.Type, x.Source = "network", "rbd://pool/vdc"
	w.add(x, 1<<20)
	w.off()
	if i := w.plan(plan.Options{}).Instances[0]; !strings.Contains(i.Error, "disk vdc (rbd://pool/vdc) is of type network") {
		t.Errorf("%+v", i)
	}
	w.host.SetState(uuid, virt.Crashed)
	if i := w.plan(plan.Options{}).Instances[0]; !strings.Contains(i.Error, "domain is crashed") {
		t.Errorf("%+v", i)
	}
}

// TestOfflineInterrupted dies, fails and is cancelled at every step.
func TestOfflineInterrupted(t *testing.T) {
	s := scenario{kinds: "full inc", change: (*world).off}
	for n := 1; s.dies(t, n, (*storetest.Disk).KillProcess); n++ {
	}
	for n := 1; s.fails(t, n, "full"); n += 2 {
	}
	for n := 1; s.interrupted(t, n, interruptions["failing"]); n++ {
	}
}
