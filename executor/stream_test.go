package executor_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// useStream makes new chains of another stream.
func (w *world) useStream(stream, codec string) {
	w.policy().Stream, w.policy().Compression.Codec, w.policy().Compression.Level = stream, codec, 0
}

// TestStreamHistory: chains for virtnbdbackup hold what the disks held, however
// odd their sizes, and nothing but files that virtnbdrestore knows.
func TestStreamHistory(t *testing.T) {
	for _, codec := range []string{"lz4", "none"} {
		t.Run(codec, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 1)
			w.useStream("virtnbdbackup", codec)
			w.define(map[string]int64{"vda": 3<<20 + 777, "vdb": 64 << 10, "vdc": 64<<10 + 512, "vde": 1<<20 - 1})
			w.addForeign()
			w.begun = func() { w.scribble("vda", 2) }
			w.succeed(plan.Options{})
			for range 3 {
				w.nextDay()
				w.succeed(plan.Options{})
			}
			w.host.Zero(uuid, "vda", 0, 2<<20)
			w.nextDay()
			w.succeed(plan.Options{})
			w.wantKinds("full inc inc inc inc")
			for _, l := range w.points() {
				w.restored(t, l)
				for _, f := range pointFiles(l.point) {
					name := store.CheckpointName(w.store().ID(), l.chain, l.point.Attempt, l.point.Sequence)
					if !strings.Contains(f, name) && !strings.HasSuffix(f, "checkpoint.xml") {
						t.Errorf("file %s does not name its checkpoint %s", f, name)
					}
				}
			}
		})
	}
}

func pointFiles(p store.Point) []string {
	var all []string
	for _, d := range p.Disks {
		all = append(all, d.File)
	}
	for _, f := range p.Files {
		all = append(all, f.Name)
	}
	return all
}

// TestNothingChanged: an increment without changes holds a grain all the same.
func TestNothingChanged(t *testing.T) {
	w := newWorld(t, t.TempDir(), 1)
	w.useStream("virtnbdbackup", "lz4")
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	w.now = w.now.Add(25 * 60 * 60e9)
	w.succeed(plan.Options{})
	if d, _ := w.head().Disk("vda"); d.Base || d.Data != 64<<10 {
		t.Errorf("found %+v: virtnbdrestore passes over a file without data, and does not stop at it", d)
	}
}

// TestStreamReasons: what a stream for virtnbdbackup cannot hold opens a new chain.
func TestStreamReasons(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		kinds  string
	}{
		"nothing": {func(*world) {}, "full inc"},
		"grown":   {func(w *world) { w.host.Resize(uuid, "vda", 5<<20) }, "full full"},
		"shrunk":  {func(w *world) { w.host.Resize(uuid, "vdb", 100<<10) }, "full full"},
		"added":   {func(w *world) { w.host.AddDisk(uuid, diskNamed("vdc"), make([]byte, 99<<10)); w.scribble("vdc", 2) }, "full inc"},
		"removed": {func(w *world) { w.host.RemoveDisk(uuid, "vda") }, "full inc"},
		"broken":  {func(w *world) { w.host.BreakBitmap(uuid, "vdb", w.head().Checkpoint) }, "full full"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 2)
			w.useStream("virtnbdbackup", "lz4")
			w.define(map[string]int64{"vda": 2<<20 + 512, "vdb": 300 << 10})
			w.succeed(plan.Options{})
			c.change(w)
			w.nextDay()
			w.succeed(plan.Options{})
			w.wantKinds(c.kinds)
			w.nextDay()
			w.succeed(plan.Options{})
		})
	}
}

// TestRawStream: each point of a raw stream is a chain of its own, its files the
// disks themselves.
func TestRawStream(t *testing.T) {
	w := newWorld(t, t.TempDir(), 1)
	w.useStream("raw", "none")
	w.define(map[string]int64{"vda": 3<<20 + 777, "vdb": 4 << 20, "vdc": 1})
	w.succeed(plan.Options{})
	w.nextDay()
	w.succeed(plan.Options{})
	w.wantKinds("full full")
	for _, l := range w.points() {
		for _, d := range l.point.Disks {
			if d.FileSize != d.Size || !d.RawImage {
				t.Errorf("found %+v", d)
			}
		}
		w.restored(t, l)
	}
}

// TestStreamDamage: a flipped bit anywhere in a chain without compression is
// found by the checker, and names a file.
func TestStreamDamage(t *testing.T) {
	for _, stream := range []string{"virtnbdbackup", "raw"} {
		w := newWorld(t, t.TempDir(), 3)
		w.useStream(stream, "none")
		w.define(map[string]int64{"vda": 200 << 10})
		w.succeed(plan.Options{})
		l := w.points()[0]
		sizes := map[string]int64{l.point.Disks[0].File: l.point.Disks[0].FileSize}
		for _, f := range l.point.Files {
			sizes[f.Name] = f.Size
		}
		for _, name := range slices.Sorted(maps.Keys(sizes)) {
			for offset := int64(0); offset < sizes[name]; offset += 1 + sizes[name]/50 {
				path := fmt.Sprintf("%s/%s/%s", l.folder, l.chain, name)
				if err := w.disk.Flip(path, int(offset)); err != nil {
					t.Fatal(err)
				}
				findings, err := w.store().Check(w.ctx(), l.folder, true)
				if err != nil || len(findings) == 0 {
					t.Errorf("%s: byte %d of %s: found nothing: %v", stream, offset, name, err)
				}
				if err := w.disk.Flip(path, int(offset)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.exact()
	}
}

// TestAnyStreamHistory: whatever stream the policy asks for, and whatever chain is
// converted in between, every point is exact and the plan comes to rest.
func TestAnyStreamHistory(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		scratch, err := os.MkdirTemp(parent, "")
		if err != nil {
			t.Fatal(err)
		}
		h := history{newWorld(t, scratch, rapid.Uint64().Draw(t, "seed")), t, 1}
		h.choosePolicy()
		h.define(map[string]int64{"vda": h.size(), "vdb": h.size()})
		h.begun = func() { h.scribble(h.targets()[0], 2) }
		h.succeed(plan.Options{})
		t.Repeat(map[string]func(*rapid.T){
			"policy":  func(*rapid.T) { h.choosePolicy() },
			"write":   func(*rapid.T) { h.scribble(h.target(), 2) },
			"resize":  func(*rapid.T) { h.host.Resize(uuid, h.target(), h.size()) },
			"add":     func(*rapid.T) { h.add() },
			"remove":  func(*rapid.T) { h.remove() },
			"break":   func(*rapid.T) { h.breakBitmap() },
			"apply":   func(*rapid.T) { h.now = h.now.Add(25 * time.Hour); h.succeed(plan.Options{}) },
			"crash":   func(t *rapid.T) { h.crash(rapid.IntRange(1, 120).Draw(t, "effect")) },
			"convert": func(*rapid.T) { h.convertAny() },
			"stale": func(*rapid.T) { // what was planned is done, or refused, on what the chain is now
				h.now = h.now.Add(25 * time.Hour)
				p := h.plan(plan.Options{})
				h.convertAny()
				h.run(h.ctx(), p)
				h.exactPoints()
			},
		})
		h.now = h.now.Add(25 * time.Hour)
		h.succeed(plan.Options{})
	})
}

func (h *history) choosePolicy() {
	stream := rapid.SampledFrom([]string{"v3", "virtnbdbackup", "virtnbdbackup", "raw"}).Draw(h.t, "stream")
	codecs := map[string][]string{"v3": {"none", "zstd"}, "virtnbdbackup": {"none", "lz4"}, "raw": {"none"}}
	h.useStream(stream, rapid.SampledFrom(codecs[stream]).Draw(h.t, "codec"))
	h.policy().Mode = map[string]string{"raw": "full"}[stream]
	h.policy().Retention.Prune = rapid.SampledFrom(map[string][]string{"v3": {"chain", "merge", "merge"}, "virtnbdbackup": {"chain"}, "raw": {"chain"}}[stream]).Draw(h.t, "prune")
}

// convertAny converts the newest chain, if that can be.
func (h *history) convertAny() {
	stream := rapid.SampledFrom([]store.Stream{store.V3, store.VirtNBDBackup}).Draw(h.t, "to")
	_, err := h.convert(stream, format.Options{})
	for _, why := range []string{"already", "needs a chain of its own", "would take the files", "interrupted run"} {
		if err == nil || strings.Contains(err.Error(), why) {
			h.exactPoints()
			return
		}
	}
	h.t.Fatalf("convert to %q: %v", stream, err)
}
