package executor_test

import (
	"fmt"
	"hash/adler32"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/format"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// convert converts the only chain.
func (w *world) convert(stream store.Stream, o format.Options) (executor.Converted, error) {
	s, err := local.OpenOn(w.fs, "store")
	if err != nil {
		return executor.Converted{}, err
	}
	return executor.Convert(w.ctx(), bind.Store{Store: s}, w.conversion(stream, o))
}

func (w *world) conversion(stream store.Stream, o format.Options) executor.Conversion {
	domains, err := local.OpenOn(w.disk, "store")
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	all, err := domains.Domains(w.ctx())
	if err != nil || len(all) != 1 {
		w.t.Fatalf("found %d domains, %v", len(all), err)
	}
	return executor.Conversion{
		Folder: all[0].Folder, Chain: all[0].Chains[len(all[0].Chains)-1].Name, Stream: stream, Options: o,
		Self: store.Attempt{Host: "here", BootID: "1", PID: 1}, Now: w.now, Random: w.random(), Version: "test",
		Progress: func(string, int64, int64) {},
	}
}

// chained makes a full and increments, with a disk that joins.
func (w *world) chained() {
	w.define(map[string]int64{"vda": 3<<20 + 512, "vdb": 300 << 10})
	w.succeed(plan.Options{})
	w.nextDay()
	w.host.Zero(uuid, "vda", 100<<10, 2<<20)
	w.succeed(plan.Options{})
	w.host.AddDisk(uuid, diskNamed("vdc"), make([]byte, 99<<10))
	w.nextDay()
	w.succeed(plan.Options{})
	w.now = w.now.Add(25 * 60 * 60e9)
	w.succeed(plan.Options{}) // nothing has changed
}

// TestConvert: a chain goes through all streams and codecs, every point stays what
// it is, and the next increment is built on what came out.
func TestConvert(t *testing.T) {
	w := newWorld(t, t.TempDir(), 11)
	w.chained()
	before := w.points()
	for _, c := range []struct {
		stream  store.Stream
		options format.Options
		policy  string
	}{
		{store.VirtNBDBackup, format.Options{}, "virtnbdbackup"},
		{store.V3, format.Options{Codec: format.Zstd}, "v3"},
		{store.V3, format.Options{}, "v3"},
		{store.VirtNBDBackup, format.Options{Codec: format.LZ4}, "virtnbdbackup"},
		{store.V3, format.Options{Codec: format.Zstd, Level: 3}, "v3"},
	} {
		w.useStream(c.policy, "none")
		done, err := w.convert(c.stream, c.options)
		if err != nil || done.InUse {
			t.Fatalf("convert to %q: %+v, %v", c.stream, done, err)
		}
		w.settled()
		for i, l := range w.points()[:len(before)] {
			was, is := before[i].point, l.point
			if is.Sequence != was.Sequence || is.Attempt != was.Attempt || is.Checkpoint != was.Checkpoint || is.Kind != was.Kind || !is.Start.Equal(was.Start) || l.chain != before[i].chain {
				t.Errorf("the point became %+v, it was %+v", is, was)
			}
			w.restored(t, l)
		}
		w.nextDay()
		w.succeed(plan.Options{})
	}
	w.wantKinds("full inc inc inc inc inc inc inc inc")
}

// TestConvertCrash: a conversion that dies at any moment leaves the chain as it
// was or converted, and the next run cleans up.
func TestConvertCrash(t *testing.T) {
	for _, from := range []string{"v3", "virtnbdbackup"} {
		w := newWorld(t, t.TempDir(), 12)
		w.useStream(from, "none")
		w.define(map[string]int64{"vda": 200 << 10})
		w.succeed(plan.Options{})
		w.nextDay()
		w.succeed(plan.Options{})
		to := map[string]store.Stream{"v3": store.VirtNBDBackup, "virtnbdbackup": store.V3}[from]
		start, seen := w.disk, map[store.Stream]int{}
		for n := 1; ; n++ {
			for _, crash := range []func(*storetest.Disk) *storetest.Disk{
				(*storetest.Disk).KillProcess,
				func(d *storetest.Disk) *storetest.Disk { return d.Crash(storetest.Lose) },
			} {
				w.disk = start.Crash(storetest.Keep)
				faults := &storetest.Faults{FS: w.disk, At: n, Die: true, Done: n%2 == 0}
				w.fs = faults
				_, err := w.convert(to, format.Options{})
				if !faults.Fired() {
					if err != nil || seen[to] == 0 || seen[""]+seen["virtnbdbackup"] == seen[to] {
						t.Fatalf("after %d effects: %v, saw %v", n, err, seen)
					}
					return
				}
				w.disk = crash(w.disk)
				w.fs = w.disk
				w.exactPoints()
				seen[w.streamNow()]++
				if _, err := w.convert(to, format.Options{}); err != nil && !strings.Contains(err.Error(), "already") {
					if w.streamNow() != to {
						t.Fatalf("effect %d: again: %v", n, err)
					}
				}
			}
		}
	}
}

func (w *world) streamNow() store.Stream {
	domains, err := w.store().Domains(w.ctx())
	if err != nil || len(domains) != 1 || len(domains[0].Chains) != 1 {
		w.t.Fatalf("survey store: %+v, %v", domains, err)
	}
	return domains[0].Chains[0].Manifest.Stream
}

// exactPoints is exact without the checker, which reports what is to be cleaned up.
func (w *world) exactPoints() {
	w.t.Helper()
	for _, l := range w.points() {
		for target, want := range w.taken[l.point.Attempt] {
			if got, err := w.read(l, target); err != nil || string(got) != string(want) {
				w.t.Fatalf("point %d: disk %s differs: %v", l.point.Sequence, target, err)
			}
		}
	}
}

// TestConvertRefuses: what virtnbdrestore would restore as something else, or what
// is damaged, stays as it is.
func TestConvertRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"resized": {func(w *world) { w.host.Resize(uuid, "vda", 5<<20); w.nextDay(); w.succeed(plan.Options{}) }, "point 4, disk vda: has 5242880 bytes, and 3146240 at point 0"},
		"prefix": {func(w *world) {
			w.host.AddDisk(uuid, diskNamed("vdaa"), make([]byte, 99))
			w.nextDay()
			w.succeed(plan.Options{})
		}, "would take the files of disk vdaa for those of vda too"},
		"rejoined": {func(w *world) {
			w.host.RemoveDisk(uuid, "vdc")
			w.nextDay()
			w.succeed(plan.Options{})
			w.host.AddDisk(uuid, diskNamed("vdc"), make([]byte, 99<<10))
			w.nextDay()
			w.succeed(plan.Options{})
		}, "disk vdc: stands alone, but point 2 has the disk too"},
		"damaged": {func(w *world) {
			l := w.points()[1]
			if err := w.disk.Flip(l.folder+"/"+l.chain+"/"+l.point.Disks[0].File, 4096); err != nil {
				w.t.Fatalf("%v", err)
			}
		}, "point 20261122T013000Z-"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 13)
			w.chained()
			c.change(w)
			_, err := w.convert(store.VirtNBDBackup, format.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, expected %q", err, c.want)
			}
			if (name == "damaged") != executor.IsDamage(err) {
				t.Errorf("%v: damage is %v", err, executor.IsDamage(err))
			}
			if w.streamNow() != store.V3 || len(w.leftovers()) > 0 {
				t.Errorf("left: %v", w.leftovers())
			}
		})
	}
}

func (w *world) leftovers() []string {
	domains, err := w.store().Domains(w.ctx())
	if err != nil {
		w.t.Fatalf("survey store: %v", err)
	}
	return domains[0].Leftovers
}

// TestConvertNeedsPeace: a reader keeps the old files for a while; an interrupted
// run is not covered up.
func TestConvertNeedsPeace(t *testing.T) {
	w := newWorld(t, t.TempDir(), 14)
	w.chained()
	l := w.points()[0]
	reader, err := bind.Store{Store: w.store()}.OpenChain(l.folder, l.chain)
	if err != nil {
		t.Fatal(err)
	}
	done, err := w.convert(store.VirtNBDBackup, format.Options{})
	if err != nil || !done.InUse || len(w.leftovers()) == 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	w.useStream("virtnbdbackup", "none")
	w.nextDay()
	w.succeed(plan.Options{})

	f, err := bind.Store{Store: w.store()}.Lock(w.ctx(), l.folder, store.Attempt{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Record(store.Attempt{Host: "here", Domain: uuid, Chain: l.chain, ID: "0000000f", Checkpoint: "begun", RunFolder: w.scratch + "/x"}); err != nil {
		t.Fatal(err)
	}
	w.disk.KillProcess()
	if _, err := w.convert(store.V3, format.Options{}); err == nil || !strings.Contains(err.Error(), "interrupted run") {
		t.Errorf("an interrupted run is covered up: %v", err)
	}
	w.nextDay()
	w.succeed(plan.Options{})
}

// TestConvertImported: an imported chain, with a difference in its middle on which
// nothing builds, becomes v3; the files of its old stream go, whoever named them.
func TestConvertImported(t *testing.T) {
	files := peerFolder()
	for name, f := range files {
		if of, ok := strings.CutSuffix(name, ".chksum"); ok {
			f.Data = fmt.Append(nil, adler32.Checksum(files[of].Data))
		}
	}
	a := newAdopting(t, files)
	if _, _, err := a.run(); err != nil {
		t.Fatal(err)
	}
	before := a.contents()
	w := newWorld(t, t.TempDir(), 15)
	w.disk, w.fs = a.disk, a.disk
	done, err := w.convert(store.V3, format.Options{Codec: format.Zstd})
	if err != nil || len(done.Manifest.Points) != 5 || !done.Manifest.Points[2].Leaf {
		t.Fatalf("%+v, %v", done, err)
	}
	a.open(a.disk)
	a.sound()
	after := a.contents()
	for name, want := range before {
		if after[name] != want {
			t.Errorf("%s differs", name)
		}
	}
	entries, err := a.disk.List(a.domain().Folder + "/" + done.Manifest.Chain)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".data") || strings.HasSuffix(e.Name, ".chksum") {
			t.Errorf("%s is left", e.Name)
		}
	}
	if _, err := w.convert(store.VirtNBDBackup, format.Options{}); err == nil || !strings.Contains(err.Error(), "does not build on the point before it, 2") {
		t.Errorf("a chain with a fork for virtnbdrestore: %v", err)
	}
}

// contents are all disks of all points.
func (a *adopting) contents() map[string]string {
	a.t.Helper()
	all := map[string]string{}
	d := a.domain()
	for _, c := range d.Chains {
		chain, err := bind.Store{Store: a.store}.OpenChain(d.Folder, c.Name)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, p := range c.Manifest.Points {
			for _, disk := range p.Disks {
				image, err := executor.OpenDisk(chain, p.Sequence, disk.Target)
				if err != nil {
					a.t.Fatal(err)
				}
				all[fmt.Sprintf("%s.%d %s", c.Name, p.Sequence, disk.Target)] = string(content(a.t, image))
				if err := image.Close(); err != nil {
					a.t.Error(err)
				}
			}
		}
		if err := chain.Close(); err != nil {
			a.t.Error(err)
		}
	}
	return all
}
