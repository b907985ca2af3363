package executor_test

import (
	"bytes"
	"path"
	"testing"
	"time"

	"vbk/config"
	"vbk/format"
	"vbk/plan"
	"vbk/store/storetest"
	"vbk/virt"
)

// TestResyncStoresLittle: what the chain has already is not stored again.
func TestResyncStoresLittle(t *testing.T) {
	w := newWorld(t, t.TempDir(), 11)
	w.define(map[string]int64{"vda": 4 << 20, "vdb": 1 << 20})
	w.add(rawDisk("vdc"), 2<<20)
	for _, target := range w.targets() {
		w.host.Write(uuid, target, 0, noise(1<<20))
	}
	w.succeed(plan.Options{})
	w.now = w.now.Add(25 * time.Hour)
	w.host.Kill(uuid)
	w.host.SetState(uuid, "running")
	w.host.Write(uuid, "vda", 100, []byte("news"))
	w.host.Zero(uuid, "vdc", 0, 3*format.Grain)
	w.succeed(plan.Options{})
	w.wantKinds("full resync")
	for target, want := range map[string]int64{"vda": format.Grain, "vdb": 0, "vdc": 0} {
		if d, _ := w.head().Disk(target); d.Data != want || d.Base {
			t.Errorf("disk %s has %d bytes of data, want %d: %+v", target, d.Data, want, d)
		}
	}
}

// TestRawDomain: without a bitmap there is no checkpoint, and the chain goes on.
func TestRawDomain(t *testing.T) {
	w := newWorld(t, t.TempDir(), 12)
	w.define(map[string]int64{"vda": 70 << 10})
	w.add(rawDisk("vdb"), 300<<10+512)
	w.host.RemoveDisk(uuid, "vda")
	w.succeed(plan.Options{})
	for range 3 {
		w.nextDay()
		w.succeed(plan.Options{})
	}
	w.wantKinds("full resync resync resync")
	for _, l := range w.points() {
		if l.point.Checkpoint != "" || len(l.point.Files) != 1 {
			t.Errorf("point %d has checkpoint %q and files %v", l.point.Sequence, l.point.Checkpoint, l.point.Files)
		}
		w.restored(t, l)
	}
}

// TestModeFull: every point stands alone, and no checkpoint slows the guest down.
func TestModeFull(t *testing.T) {
	w := newWorld(t, t.TempDir(), 13)
	w.policy().Retention = config.Retention{}
	w.define(map[string]int64{"vda": 70 << 10, "vdb": 1 << 20})
	w.addForeign()
	w.succeed(plan.Options{}) // with a checkpoint, of which nothing may stay
	w.policy().Mode = "full"
	for range 2 {
		w.nextDay()
		w.succeed(plan.Options{})
	}
	w.wantKinds("full full full")
	if d, err := w.host.Domain(w.ctx(), uuid); err != nil || len(d.Checkpoints) != 1 || d.Checkpoints[0].Name != foreign {
		t.Errorf("checkpoints are %+v: %v", d.Checkpoints, err)
	}
	w.policy().Mode = "incremental"
	for range 2 {
		w.nextDay()
		w.succeed(plan.Options{})
	}
	w.wantKinds("full full full resync inc")
}

// TestDamagedIndexClosesChain: a chain that cannot be compared with is closed
// before a job begins, and the next point opens a new one.
func TestDamagedIndexClosesChain(t *testing.T) {
	w := newWorld(t, t.TempDir(), 14)
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	l := w.points()[0]
	w.spoilIndex(l, "vda")
	w.nextDay()
	w.deleteCheckpoint(w.head().Checkpoint)
	begun := false
	w.begun = func() { begun = true }
	if r := w.apply(plan.Options{}); r.Failed != 1 || begun {
		t.Fatalf("%+v, begun: %v, %v", r, begun, w.failure())
	}
	if r := w.apply(plan.Options{}); r.Failed != 0 {
		t.Fatalf("%v", w.failure())
	}
	w.wantKinds("full full")
	if got, err := w.read(w.points()[1], "vda"); err != nil || !bytes.Equal(got, w.host.Content(uuid, "vda")) {
		t.Errorf("the new chain: %v", err)
	}
}

// TestResyncInterrupted dies and is cancelled at every step of a point without
// bitmaps.
func TestResyncInterrupted(t *testing.T) {
	s := scenario{kinds: "full resync", change: func(w *world) {
		w.host.Kill(uuid)
		w.host.SetState(uuid, virt.Running)
	}}
	for n := 1; s.dies(t, n, (*storetest.Disk).KillProcess); n++ {
	}
	for n := 1; s.interrupted(t, n, interruptions["cancelled"]); n++ {
	}
}

// spoilIndex flips a bit in the index of a disk's file.
func (w *world) spoilIndex(l located, target string) {
	w.t.Helper()
	d, _ := l.point.Disk(target)
	chain, err := w.store().OpenChain(l.folder, l.chain)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	defer chain.Close()
	file, err := chain.Open(d.File)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	defer file.Close()
	opened, err := format.Open(file, file.Size())
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for _, p := range opened.Parts() {
		if p.Name != "index" {
			continue
		}
		if err := w.disk.Flip(path.Join(l.folder, l.chain, d.File), int(p.Offset)+100); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
}
