package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
	"vbk/store/virtnbdbackup"
)

// stream is a v2 file of virtnbdbackup that writes one byte at a place of the disk.
func stream(disk, checkpoint, parent, date string, place int64, value byte) *fstest.MapFile {
	head := fmt.Sprintf(`{"virtualSize": 4096, "dataSize": 1, "date": %q, "diskName": %q, "diskFormat": "qcow2", "checkpointName": %q,
		"compressed": false, "parentCheckpoint": %q, "incremental": %v, "streamVersion": 2}`, date, disk, checkpoint, parent, parent != "")
	b := fmt.Sprintf("meta %016x %016x\r\n%s\r\n", 0, len(head), head)
	b += fmt.Sprintf("data %016x %016x\r\n%c\r\nstop %016x %016x\r\n", place, 1, value, 0, 0)
	return &fstest.MapFile{Data: []byte(b)}
}

func vmconfig(uuid string, targets ...string) *fstest.MapFile {
	b := "<domain type='kvm'><name>web01</name><uuid>" + uuid + "</uuid><devices>"
	for _, t := range targets {
		b += fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/%s.qcow2'/><target dev='%s'/></disk>", t, t)
	}
	return &fstest.MapFile{Data: []byte(b + "</devices></domain>")}
}

func checkpointXML(name string, seconds int) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, "<domaincheckpoint><name>%s</name><creationTime>%d</creationTime></domaincheckpoint>", name, seconds)}
}

// peerFolder is a full and two increments of vda and vdb, and a difference in
// between and after them. The increments have sums.
func peerFolder() fstest.MapFS {
	f := fstest.MapFS{"web01.cpt": {Data: []byte("[]")}, "backup.full.log": {Data: []byte("x")}}
	for n := range 3 {
		name, parent := fmt.Sprintf("virtnbdbackup.%d", n), fmt.Sprintf("virtnbdbackup.%d", n-1)
		f["vmconfig."+name+".xml"] = vmconfig(uuid, "vda", "vdb")
		f["checkpoints/"+name+".xml"] = checkpointXML(name, 1795310000+3600*n)
		f["OVMF_VARS.fd."+name] = &fstest.MapFile{Data: []byte(name)}
		for _, target := range []string{"vda", "vdb"} {
			file := target + ".inc." + name + ".data"
			if n == 0 {
				file, parent = target+".full.data", ""
			}
			f[file] = stream(target, name, parent, fmt.Sprintf("2026-11-22T1%d:00:00.5", n), int64(n), byte('a'+n))
			f[file+".chksum"] = &fstest.MapFile{Data: []byte("1")}
		}
	}
	for _, target := range []string{"vda", "vdb"} {
		f[target+".diff.1795314000.data"] = stream(target, "virtnbdbackup.2", "virtnbdbackup.1", "2026-11-22T11:30:00.5", 8, 'x')
		f[target+".diff.1795318000.data"] = stream(target, "virtnbdbackup.3", "virtnbdbackup.2", "2026-11-22T12:30:00.5", 8, 'y')
	}
	return f
}

// adopting is a store on a disk in memory, and beside it the folder "peer".
type adopting struct {
	t     testing.TB
	store *local.Store
	disk  *storetest.Disk
	files fstest.MapFS
	trust bool
}

func newAdopting(t testing.TB, files fstest.MapFS) *adopting {
	t.Helper()
	a := &adopting{t: t, disk: storetest.NewDisk(), files: fstest.MapFS{}}
	var err error
	a.store, err = local.InitOn(a.disk, "store", time.Unix(1, 0), rand.NewChaCha8([32]byte{1}))
	if err := errors.Join(err, a.disk.Mkdir("peer"), a.disk.Mkdir("peer/checkpoints")); err != nil {
		t.Fatal(err)
	}
	a.add(files)
	return a
}

// add is what virtnbdbackup does to its folder between two imports.
func (a *adopting) add(files fstest.MapFS) {
	a.t.Helper()
	for name, f := range files {
		if _, there := a.files[name]; there {
			continue
		}
		h, err := a.disk.Create("peer/" + name)
		if err == nil {
			_, err = h.Write(f.Data)
		}
		if err := errors.Join(err, h.Close()); err != nil {
			a.t.Fatal(err)
		}
		a.files[name] = f
	}
	a.disk = a.disk.Crash(storetest.Keep) // all of it is durable
	a.open(a.disk)
}

func (a *adopting) open(fsys local.FS) {
	a.t.Helper()
	var err error
	if a.store, err = local.OpenOn(fsys, "store"); err != nil {
		a.t.Fatal(err)
	}
}

// run imports, and says in a line a chain what became of it.
func (a *adopting) run() (lines []string, left []virtnbdbackup.Problem, err error) {
	from, err := virtnbdbackup.Open(a.files)
	if err != nil {
		return nil, nil, err
	}
	all, left, err := executor.Import(context.Background(), executor.Importation{
		From: from, Path: "/peer", StoreID: a.store.ID(), Zone: time.FixedZone("CET", 3600), Trust: a.trust,
		Owner: store.Owner{Address: `domain.all["local/web01"]`}, Now: time.Unix(1795320000, 0), Version: "test",
		Lock: func(ctx context.Context) (executor.AdoptingFolder, error) {
			f, err := a.store.Lock(ctx, store.FolderName(from.Domain, from.UUID), store.Attempt{Host: "h", PID: 1})
			if err != nil {
				return nil, err
			}
			return bind.Adopting{Folder: bind.Folder{Folder: f}, From: a.disk, Below: "peer"}, nil
		},
	})
	for _, i := range all {
		line := fmt.Sprintf("number %d, %d new:", i.Manifest.ChainNumber, i.New)
		for _, p := range i.Manifest.Points {
			line += fmt.Sprintf(" %d-%s-%d-%q", p.Sequence, p.Kind, p.Parent, strings.TrimPrefix(p.Checkpoint, "virtnbdbackup"))
			if p.Leaf {
				line += "-leaf"
			}
			if p.Distrusted != "" {
				line += "-distrusted"
			}
		}
		lines = append(lines, line)
	}
	return lines, left, err
}

func (a *adopting) domain() store.Domain {
	a.t.Helper()
	all, err := a.store.Domains(context.Background())
	if err != nil || len(all) != 1 {
		a.t.Fatalf("%d domains, %v", len(all), err)
	}
	return all[0]
}

// same compares every sound point of the folder with the one in the store that has
// its files, and returns how many there are.
func (a *adopting) same() (points int) {
	a.t.Helper()
	from, err := virtnbdbackup.Open(a.files)
	if err != nil {
		a.t.Fatal(err)
	}
	d := a.domain()
	for _, c := range d.Chains {
		chain, err := bind.Store{Store: a.store}.OpenChain(d.Folder, c.Name)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, p := range c.Manifest.Points {
			points++
			for _, disk := range p.Disks {
				image, err := executor.OpenDisk(chain, p.Sequence, disk.Target)
				if err != nil {
					a.t.Fatalf("point %d: %v", p.Sequence, err)
				}
				if got, want := content(a.t, image), a.original(from, disk); !bytes.Equal(got, want) {
					a.t.Errorf("%s at point %d differs from what the folder restores", disk.Target, p.Sequence)
				}
				if err := image.Close(); err != nil {
					a.t.Error(err)
				}
			}
		}
		if err := chain.Close(); err != nil {
			a.t.Error(err)
		}
	}
	return points
}

func (a *adopting) original(from *virtnbdbackup.Folder, disk store.PointDisk) []byte {
	for _, p := range from.Points {
		for _, d := range p.Disks {
			if files := d.Files(); len(files) > 0 && files[len(files)-1] == disk.File {
				image, err := from.OpenDisk(p.Name, d.Target)
				if err != nil {
					a.t.Fatal(err)
				}
				defer image.Close()
				return content(a.t, image)
			}
		}
	}
	a.t.Fatalf("%s is of no point in the folder", disk.File)
	return nil
}

func content(t testing.TB, image interface {
	io.ReaderAt
	Size() int64
}) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(image, 0, image.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sound wants nothing in the store that costs a point.
func (a *adopting) sound() {
	a.t.Helper()
	findings, err := a.store.Check(context.Background(), a.domain().Folder, false)
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range findings {
		a.t.Errorf("finding: %+v", f)
	}
}

func (a *adopting) want(lines ...string) {
	a.t.Helper()
	got, left, err := a.run()
	if err != nil || len(left) > 0 || !slices.Equal(got, lines) {
		a.t.Errorf("%v, not imported %v:\n%s\nexpected\n%s", err, left, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
	a.sound()
}

// TestImport: the whole life of an imported folder.
func TestImport(t *testing.T) {
	all := peerFolder()
	early := fstest.MapFS{}
	for name, f := range all {
		if !strings.Contains(name, "virtnbdbackup.2") && !strings.Contains(name, "1795318000") {
			early[name] = f
		}
	}
	a := newAdopting(t, early)
	a.want(`number 1, 3 new: 0-full--1-".0" 1-inc-0-".1"-distrusted 2-inc-1-""-leaf-distrusted`)
	p := a.domain().Chains[0].Manifest.Points
	if d, _ := p[1].Disk("vda"); d.Source != "/images/vda.qcow2" || d.Format != "qcow2" || d.Size != 4096 || d.Data != 1 || d.Base {
		t.Errorf("disk %+v", d)
	}
	if want := time.Unix(1795313600, 0).UTC(); !p[1].Created.Equal(want) || !p[1].Start.Equal(want) {
		t.Errorf("created %s, start %s", p[1].Created, p[1].Start)
	}
	if want := time.Date(2026, 11, 22, 10, 30, 0, 5e8, time.UTC); !p[2].Start.Equal(want) { // 11:30 on the wall in CET
		t.Errorf("the difference is of %s", p[2].Start)
	}
	var extra []string
	for _, f := range p[1].Files {
		extra = append(extra, f.Name)
	}
	if got := strings.Join(extra, " "); got != "OVMF_VARS.fd.virtnbdbackup.1 checkpoint.virtnbdbackup.1.xml vda.inc.virtnbdbackup.1.data.chksum vdb.inc.virtnbdbackup.1.data.chksum vmconfig.virtnbdbackup.1.xml" {
		t.Errorf("its other files: %s", got)
	}
	if head, _ := a.domain().Chains[0].Head(); head.Sequence != 1 {
		t.Errorf("the head is %d", head.Sequence)
	}
	a.want(`number 1, 0 new: 0-full--1-".0" 1-inc-0-".1"-distrusted 2-inc-1-""-leaf-distrusted`)

	a.add(all) // virtnbdbackup goes on
	a.want(`number 1, 2 new: 0-full--1-".0" 1-inc-0-".1"-distrusted 2-inc-1-""-leaf-distrusted 3-inc-1-".2"-distrusted 4-inc-3-""-leaf-distrusted`)
	if n := a.same(); n != 5 {
		t.Errorf("%d points", n)
	}
	a.trust = true
	a.want(`number 1, 0 new: 0-full--1-".0" 1-inc-0-".1" 2-inc-1-""-leaf 3-inc-1-".2" 4-inc-3-""-leaf`)
	a.trust = false
	a.want(`number 1, 0 new: 0-full--1-".0" 1-inc-0-".1" 2-inc-1-""-leaf 3-inc-1-".2" 4-inc-3-""-leaf`)
}

// TestImportChains: a full in the middle of a folder begins another chain, and a
// copy is one of its own; chains are numbered by their newest point.
func TestImportChains(t *testing.T) {
	f := peerFolder()
	for _, target := range []string{"vda", "vdb"} { // as after a lost bitmap
		f[target+".inc.virtnbdbackup.3.data"] = stream(target, "virtnbdbackup.3", "", "2026-11-22T14:00:00.5", 3, 'd')
		f[target+".inc.virtnbdbackup.4.data"] = stream(target, "virtnbdbackup.4", "virtnbdbackup.3", "2026-11-22T15:00:00.5", 4, 'e')
	}
	f["vda.copy.data"] = stream("vda", "virtnbdbackup.0", "", "2026-11-22T13:00:00.5", 0, 'z')
	f["vmconfig.copy.xml"] = vmconfig(uuid, "vda", "vdb")
	a := newAdopting(t, f)
	a.want(`number 1, 5 new: 0-full--1-".0" 1-inc-0-".1"-distrusted 2-inc-1-""-leaf-distrusted 3-inc-1-".2"-distrusted 4-inc-3-""-leaf-distrusted`,
		`number 2, 1 new: 0-full--1-""`,
		`number 3, 2 new: 0-full--1-"" 1-inc-0-""`)
	if n := a.same(); n != 8 {
		t.Errorf("%d points", n)
	}
}

// TestImportRefuses: what cannot be taken in is named, and the rest is.
func TestImportRefuses(t *testing.T) {
	f := peerFolder()
	f["vmconfig.virtnbdbackup.1.xml"] = vmconfig("4c1f9d2a-0000-4000-8000-0000000000ff", "vda", "vdb")
	f["vdb.inc.virtnbdbackup.2.data"].Data = f["vdb.inc.virtnbdbackup.2.data"].Data[:300]
	a := newAdopting(t, f)
	lines, left, err := a.run()
	if err != nil || len(lines) != 1 || lines[0] != `number 1, 1 new: 0-full--1-".0"` {
		t.Fatalf("%q, %v", lines, err)
	}
	var names []string
	for _, p := range left {
		names = append(names, p.Points...)
	}
	slices.Sort(names)
	if want := "diff.1795314000 diff.1795318000 virtnbdbackup.1 virtnbdbackup.2"; strings.Join(names, " ") != want {
		t.Errorf("not imported: %v, expected %s", left, want)
	}
}

// TestImportAfterBackup: points older than what vbk has made since would count as
// the newest.
func TestImportAfterBackup(t *testing.T) {
	w := newWorld(t, t.TempDir(), 1)
	w.now = w.now.AddDate(0, 1, 0)
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	a := newAdopting(t, peerFolder())
	a.store, a.disk = w.store(), w.disk
	lines, _, err := a.run()
	var hinted interface{ Hint() string }
	if err == nil || len(lines) > 0 || !errors.As(err, &hinted) || !strings.Contains(err.Error(), "newer points of the domain") {
		t.Errorf("%q, %v", lines, err)
	}
	w.exact()
}

// TestImportDies at every effect on the store: the next import gets to the same
// end, and nothing happens to the folder.
func TestImportDies(t *testing.T) {
	for n := 1; ; n++ {
		a := newAdopting(t, peerFolder())
		faults := &storetest.Faults{FS: a.disk, At: n, Die: true}
		a.open(faults)
		_, _, _ = a.run()
		if !faults.Fired() {
			break
		}
		if n%2 == 0 {
			a.disk.KillProcess()
		} else {
			a.disk = a.disk.Crash(storetest.Lose)
		}
		a.open(a.disk)
		if _, left, err := a.run(); err != nil || len(left) > 0 {
			t.Fatalf("died at %d: %v, %v", n, err, left)
		}
		if got := a.same(); got != 5 {
			t.Fatalf("died at %d: %d points", n, got)
		}
		unfinished := func(name string) bool { return strings.HasSuffix(name, ".json.tmp") } // a manifest
		if d := a.domain(); len(d.Chains) != 1 || len(d.Chains[0].Problems) > 0 || len(slices.DeleteFunc(d.Leftovers, unfinished)) > 0 {
			t.Fatalf("died at %d: %+v", n, d)
		}
	}
}

// FuzzImport makes a folder of a script: files of two disks whose names and headers
// say this or that, some cut short. What is imported reads as it does in the
// folder, and is there at the second import.
func FuzzImport(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2})
	f.Add([]byte{0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 2, 9, 1, 1, 200, 3, 0, 0, 0, 0, 5, 1, 1, 1, 130})
	f.Add([]byte{1, 1, 0, 0, 0, 1, 2, 2, 2, 255, 5, 2, 2, 1, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		files := fstest.MapFS{"vmconfig.virtnbdbackup.0.xml": vmconfig(uuid, "vda", "vdb")}
		for ; len(script) >= 5 && len(files) < 60; script = script[5:] {
			disk, id := []string{"vda", "vdb"}[script[0]>>2&1], fmt.Sprintf("virtnbdbackup.%d", script[1]%6)
			name := []string{disk + ".full.data", disk + ".inc." + id + ".data", fmt.Sprintf("%s.diff.%d.data", disk, int(script[1])*20), disk + ".copy.data"}[script[0]&3]
			parent := ""
			if script[3] > 0 {
				parent = fmt.Sprintf("virtnbdbackup.%d", int(script[3])%7-1)
			}
			x := stream(disk, fmt.Sprintf("virtnbdbackup.%d", script[2]%6), parent, fmt.Sprintf("2026-11-22T%02d:00:00", script[4]%28), int64(script[4]), 'a'+script[1]%20)
			if script[4] > 230 {
				x.Data = x.Data[:len(x.Data)*int(script[3])/256]
			}
			files[name] = x
			if script[4]&1 > 0 {
				files["checkpoints/"+id+".xml"] = checkpointXML(id, 1795310000+100*int(script[1]))
			}
			if script[4]&2 > 0 {
				files[path.Base(name)+".chksum"] = &fstest.MapFile{Data: []byte("1")}
			}
		}
		a := newAdopting(t, files)
		lines, _, err := a.run()
		if err != nil || len(lines) == 0 {
			return
		}
		n := a.same()
		a.sound()
		again, _, err := a.run()
		if err != nil || len(again) != len(lines) || a.same() != n {
			t.Errorf("the second import: %v, %q, the first %q", err, again, lines)
		}
		for _, line := range again {
			if !strings.Contains(line, " 0 new:") {
				t.Errorf("the second import: %s", line)
			}
		}
	})
}

// TestImportedOptions: an imported disk keeps how its image was made, unless no image can be.
func TestImportedOptions(t *testing.T) {
	files := peerFolder()
	files["vda.virtnbdbackup.1.qcow.json"] = &fstest.MapFile{Data: []byte(`{"virtual-size": 4096, "format": "qcow2", "cluster-size": 4096, "format-specific": {"data": {"compat": "1.1", "refcount-bits": 8, "compression-type": "zstd"}}}`)}
	files["vdb.virtnbdbackup.1.qcow.json"] = &fstest.MapFile{Data: []byte(`{"virtual-size": 4096, "format": "qcow2", "cluster-size": 3, "format-specific": {"data": {"compat": "1.1"}}}`)}
	a := newAdopting(t, files)
	if _, left, err := a.run(); err != nil || len(left) > 0 {
		t.Fatalf("%v, not imported %v", err, left)
	}
	for _, p := range a.domain().Chains[0].Manifest.Points {
		vda, _ := p.Disk("vda")
		vdb, _ := p.Disk("vdb")
		want := store.ImageOptions{ClusterSize: 4096, Compat: "1.1", RefcountBits: 8, CompressionType: "zstd"}
		if p.Checkpoint != "virtnbdbackup.1" && p.Sequence == 0 {
			want = store.ImageOptions{}
		}
		if vda.Image != want || vdb.Image != (store.ImageOptions{}) {
			t.Errorf("point %d: %+v and %+v", p.Sequence, vda.Image, vdb.Image)
		}
	}
}
