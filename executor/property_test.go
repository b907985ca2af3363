package executor_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/plan"
	"vbk/store/storetest"
	"vbk/virt"
)

// TestAnyHistory: whatever guest, administrator and power supply do, a good
// apply leaves nothing behind, every point is exact, and the plan is empty.
func TestAnyHistory(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		scratch, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		h := history{newWorld(t, scratch, rapid.Uint64().Draw(t, "seed")), t, 1}
		h.policy().Chain.MaxIncrements = 5
		h.policy().Offline, h.policy().Audit = "backup", 64
		h.policy().Compression.Codec = rapid.SampledFrom([]string{"none", "none", "zstd"}).Draw(t, "codec")
		h.policy().Chain.OnBroken = rapid.SampledFrom([]string{"resync", "resync", "full"}).Draw(t, "on_broken")
		h.policy().Disks.Raw = rapid.SampledFrom([]string{"resync", "full"}).Draw(t, "raw")
		h.define(map[string]int64{"vda": h.size(), "vdb": h.size()})
		h.policy().Retention.Prune = rapid.SampledFrom([]string{"chain", "merge"}).Draw(t, "prune")
		h.disk.Reflink = rapid.Bool().Draw(t, "reflink")
		h.addForeign()
		h.begun = func() {
			if d, err := h.host.Domain(h.ctx(), uuid); err == nil && d.State.Active() {
				h.scribble(h.targets()[0], 2)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"write":  func(*rapid.T) { h.scribble(h.target(), 2) },
			"resize": func(*rapid.T) { h.host.Resize(uuid, h.target(), h.size()) },
			"add":    func(*rapid.T) { h.add() },
			"remove": func(*rapid.T) { h.remove() },
			"swap":   func(*rapid.T) { h.swap() },
			"break":  func(*rapid.T) { h.breakBitmap() },
			"forget": func(*rapid.T) { h.forget() },
			"define": func(*rapid.T) { h.defineAgain() },
			"mode": func(t *rapid.T) {
				h.policy().Mode = rapid.SampledFrom([]string{"full", "incremental", "incremental"}).Draw(t, "mode")
			},
			"kill":     func(*rapid.T) { h.host.Kill(uuid); h.host.SetState(uuid, virt.Running) },
			"off":      func(*rapid.T) { h.host.SetState(uuid, virt.ShutOff) },
			"lie":      func(*rapid.T) { h.lie() },
			"restart":  func(*rapid.T) { h.host.SetState(uuid, virt.ShutOff); h.host.SetState(uuid, virt.Running) },
			"wait":     func(*rapid.T) { h.now = h.now.Add(25 * time.Hour) },
			"apply":    func(*rapid.T) { h.now = h.now.Add(25 * time.Hour); h.succeed(plan.Options{}) },
			"full":     func(*rapid.T) { h.succeed(plan.Options{Full: []string{"domain.all"}}) },
			"crash":    func(t *rapid.T) { h.crash(rapid.IntRange(1, 120).Draw(t, "effect")) },
			"no power": func(*rapid.T) { h.disk = h.disk.Crash(storetest.Lose); h.fs = h.disk },
		})
		h.host.SetState(uuid, virt.Running)
		h.now = h.now.Add(25 * time.Hour)
		h.succeed(plan.Options{})
		if !h.hasCheckpoint(foreign) {
			t.Errorf("the foreign checkpoint is gone")
		}
	})
}

type history struct {
	*world
	t     *rapid.T
	disks int // added so far
}

func (h *history) size() int64 {
	return rapid.OneOf(rapid.Int64Range(1, 600<<10), rapid.SampledFrom([]int64{64 << 10, 256 << 10, 1 << 20})).Draw(h.t, "size")
}

func (h *history) target() string { return rapid.SampledFrom(h.targets()).Draw(h.t, "target") }

func (h *history) add() {
	h.disks++
	x := diskNamed(fmt.Sprintf("vd%c", 'b'+h.disks%20))
	if rapid.Bool().Draw(h.t, "is raw") {
		x = rawDisk(x.Target)
	}
	if !slices.Contains(h.targets(), x.Target) {
		h.world.add(x, h.size())
	}
}

// swap puts another image where one was.
func (h *history) swap() {
	h.disks++
	x := diskNamed(h.target())
	x.Source = fmt.Sprintf("/images/other%d", h.disks)
	h.host.RemoveDisk(uuid, x.Target)
	h.world.add(x, h.size())
}

// forget lets libvirt lose the newest point's checkpoint.
func (h *history) forget() {
	if d, err := h.host.Domain(h.ctx(), uuid); err == nil && d.State.Active() && len(h.points()) > 0 && h.head().Checkpoint != "" {
		h.deleteCheckpoint(h.head().Checkpoint)
	}
}

// defineAgain lets libvirt forget it, while its bitmaps record on.
func (h *history) defineAgain() {
	if len(h.points()) > 0 && h.head().Checkpoint != "" && h.hasCheckpoint(h.head().Checkpoint) {
		h.host.Forget(uuid, h.head().Checkpoint)
	}
}

// lie changes a disk behind the back of its bitmaps.
func (h *history) lie() {
	target := h.target()
	size := int64(len(h.host.Content(uuid, target)))
	if rapid.Bool().Draw(h.t, "shrink and grow") {
		h.host.Resize(uuid, target, rapid.Int64Range(0, size).Draw(h.t, "to"))
		h.host.Resize(uuid, target, size)
		return
	}
	h.host.Sneak(uuid, target, rapid.Int64Range(0, size-1).Draw(h.t, "at"), []byte("lie"))
}

func (h *history) remove() {
	if len(h.targets()) > 1 {
		h.host.RemoveDisk(uuid, h.target())
	}
}

func (h *history) breakBitmap() {
	if len(h.points()) == 0 {
		return
	}
	d, err := h.host.Domain(h.ctx(), uuid)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range d.Checkpoints {
		for _, b := range c.Disks {
			if c.Name == h.head().Checkpoint && rapid.Bool().Draw(h.t, "break") {
				h.host.BreakBitmap(uuid, b.Target, c.Name)
			}
		}
	}
}

// crash dies in the middle of an apply, with or without the last effect.
func (h *history) crash(n int) {
	h.now = h.now.Add(25 * time.Hour)
	p := h.plan(plan.Options{})
	faults := &storetest.Faults{FS: h.disk, At: n, Die: true, Done: n%2 == 0}
	h.fs, h.step = faults, func(op string) error { return dead(faults, op) }
	h.world.run(h.ctx(), p)
	h.disk.KillProcess()
	h.fs, h.step = h.disk, nil
}
