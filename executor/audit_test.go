package executor_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// audited applies after the disks were changed behind the bitmap's back, and wants
// the disk that was to be resynced, the others not, and every point exact.
func (w *world) audited(t *testing.T, why string) {
	t.Helper()
	p := w.plan(plan.Options{})
	if b := p.Instances[0].Backup(); b == nil || b.Kind != store.Increment {
		t.Fatalf("planned is %+v", b)
	}
	if r := w.run(t.Context(), p); r.Failed > 0 {
		t.Fatal(w.failure())
	}
	w.settled()
	head := w.head()
	if head.Kind != store.Resync || !strings.Contains(head.Reason, "disk vda is resynced: ") || !strings.Contains(head.Reason, why) || strings.Contains(head.Reason, "vdb") {
		t.Errorf("a %s, because %s", head.Kind, head.Reason)
	}
}

// fooled is a world with data on two disks, and a point of them.
func fooled(t *testing.T) *world {
	w := newWorld(t, t.TempDir(), 21)
	w.policy().Audit = 64
	w.define(map[string]int64{"vda": 4<<20 + 100, "vdb": 2 << 20})
	for _, target := range w.targets() {
		w.host.Write(uuid, target, 1<<20, noise(1<<20))
	}
	w.host.Zero(uuid, "vda", 0, 1<<20)
	w.succeed(plan.Options{})
	w.now = w.now.Add(25 * time.Hour)
	w.host.Write(uuid, "vdb", 5, []byte("news"))
	return w
}

// TestAudit: a bitmap that lies is found out.
func TestAudit(t *testing.T) {
	for name, c := range map[string]struct {
		lie func(*world)
		why string
	}{
		"shrunk and grown": {func(w *world) {
			w.host.Resize(uuid, "vda", 1<<20+5)
			w.host.Resize(uuid, "vda", 4<<20+100)
		}, "which are zero now and data in the chain"},
		"zeroed":                 {func(w *world) { w.host.Sneak(uuid, "vda", 2<<20-format.Grain, make([]byte, format.Grain)) }, "which are zero now and data in the chain"},
		"one new grain":          {func(w *world) { w.host.Sneak(uuid, "vda", 100, []byte("new")) }, "which are not what the chain has"},
		"the last, ragged grain": {func(w *world) { w.host.Sneak(uuid, "vda", 4<<20+99, []byte{7}) }, "which are not what the chain has"},
		"other data":             {func(w *world) { w.host.Sneak(uuid, "vda", 1<<20, noise(2 << 20)[1<<20:]) }, "which are not what the chain has"},
	} {
		t.Run(name, func(t *testing.T) {
			w := fooled(t)
			c.lie(w)
			w.audited(t, c.why)
		})
	}
}

// TestAuditOfStill: a domain that is shut off is audited too.
func TestAuditOfStill(t *testing.T) {
	w := fooled(t)
	w.policy().Offline = "backup"
	w.host.SetState(uuid, virt.ShutOff)
	w.host.Sneak(uuid, "vda", 100, []byte("new"))
	w.audited(t, "which are not what the chain has")
}

// TestNoAudit: audit = 0 draws no grain; what allocation tells is compared all the
// same.
func TestNoAudit(t *testing.T) {
	w := fooled(t)
	w.policy().Audit = 0
	w.host.Sneak(uuid, "vda", 1<<20, bytes.Repeat([]byte{9}, 1<<20))
	if r := w.apply(plan.Options{}); r.Failed > 0 || w.head().Kind != store.Increment {
		t.Fatalf("%+v %v", r, w.head())
	}
}

// TestAuditMachine plays what fools QEMU's bitmaps and leaves no trace but the content
// (S33 and S35).
func TestAuditMachine(t *testing.T) {
	m := newMachine(t, "audit", "qcow2")
	m.quiet, m.config.Domains[0].Policy.Audit = true, 64
	vda, vdb := m.root.Image(m.uuid, "vda"), m.root.Image(m.uuid, "vdb")
	m.root.Stop(t, m.uuid)
	m.qemuImg("resize", "-q", "--shrink", "-f", "qcow2", vda, "3M")
	m.sizes["vda"] = 3 << 20
	m.root.Start(t, m.uuid)
	for n, lie := range []struct {
		tell  func()
		disks []string
	}{
		{func() { // shrunk and grown
			m.qemuImg("resize", "-q", "--shrink", "-f", "qcow2", vda, "1M")
			m.qemuImg("resize", "-q", "-f", "qcow2", vda, "3M")
		}, []string{"vda"}},
		{func() { m.swap(vda, vdb) }, []string{"vda", "vdb"}},
		{func() { m.rollBack(vdb) }, []string{"vdb"}},
	} {
		m.root.Write(t, m.uuid, "vda", 0, 3<<20, byte(2*n+1))
		m.root.Write(t, m.uuid, "vdb", 0, 3<<20, byte(2*n+2))
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.root.Stop(t, m.uuid)
		lie.tell()
		m.root.Start(t, m.uuid)
		m.now = m.now.Add(25 * time.Hour)
		if b := m.plan().Instances[0].Backup(); b == nil || b.Kind != store.Increment || b.Estimate > 0 {
			t.Fatalf("the bitmap is not fooled: %+v", b)
		}
		m.now = m.now.Add(-25 * time.Hour)
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		head := m.head()
		for _, target := range []string{"vda", "vdb"} {
			told := strings.Contains(head.Reason, "disk "+target+" is resynced: its bitmap calls ")
			if head.Kind != store.Resync || told != slices.Contains(lie.disks, target) {
				t.Errorf("lie %d: a %s, because %s", n, head.Kind, head.Reason)
			}
		}
	}
	m.restored(m.settled("full resync inc resync inc resync"))
}

// swap gives each of two images the content of the other, in place: nothing but what
// they hold tells them apart.
func (m *machine) swap(a, b string) {
	m.Helper()
	inA, err := os.ReadFile(a)
	if err != nil {
		m.Fatal(err)
	}
	inB, err := os.ReadFile(b)
	if err != nil {
		m.Fatal(err)
	}
	for path, content := range map[string][]byte{a: inB, b: inA} {
		if err := os.WriteFile(path, content, 0); err != nil {
			m.Fatal(err)
		}
	}
}

// rollBack changes the data of an image below QEMU.
func (m *machine) rollBack(image string) {
	m.Helper()
	out, err := exec.Command("qemu-img", "map", "--output=json", image).Output()
	if err != nil {
		m.Fatal(err)
	}
	var all []struct{ Offset, Length int64 }
	if err := json.Unmarshal(out, &all); err != nil {
		m.Fatal(err)
	}
	f, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		m.Fatal(err)
	}
	defer f.Close()
	for _, x := range all {
		if _, err := f.WriteAt([]byte("rolled back"), x.Offset); err != nil || x.Offset == 0 {
			m.Fatalf("%+v: %v", x, err)
		}
	}
}

func (m *machine) qemuImg(args ...string) {
	m.Helper()
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		m.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
}
