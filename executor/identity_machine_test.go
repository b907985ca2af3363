package executor_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/store"
	"vbk/virt/libvirt/embedtest"
)

// TestIdentityMachine: other images at the paths of a real machine's disks are
// noticed before a byte is read, though source, size and bitmaps are as they were:
// images swapped by name (S35), copied back from a storage snapshot (S31), and a rewritten template below one
// (D13).
func TestIdentityMachine(t *testing.T) {
	m := newMachine(t, "identity", "qcow2")
	m.quiet = true
	vda, vdb := m.root.Image(m.uuid, "vda"), m.root.Image(m.uuid, "vdb")
	template := vdb + ".template"
	m.root.Stop(t, m.uuid)
	m.qemuImg("resize", "-q", "--shrink", "-f", "qcow2", vda, "3M")
	m.sizes["vda"] = 3 << 20
	if err := os.Rename(vdb, template); err != nil {
		t.Fatal(err)
	}
	m.qemuImg("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", template, vdb)
	m.root.Start(t, m.uuid)
	m.write(5)
	for _, c := range []struct {
		name   string
		change func()
		disks  []string
	}{
		{"swapped by name", func() { m.rename(vda, vda+".x", vdb, vda, vda+".x", vdb) }, []string{"vda", "vdb"}},
		{"swapped back", func() { m.rename(vda, vda+".x", vdb, vda, vda+".x", vdb) }, []string{"vda", "vdb"}},
		{"copied back", func() {
			m.shell("cp", "--sparse=always", vda, vda+".copy")
			m.rename(vda+".copy", vda)
		}, []string{"vda"}},
		{"template rewritten", func() { m.shell("qemu-io", "-f", "qcow2", "-c", "write -P 9 0 3M", template) }, []string{"vdb"}},
		{"moved to another template", func() {
			m.shell("cp", template, template+".2")
			m.qemuImg("rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", template+".2", vdb)
		}, []string{"vdb"}},
		{"nothing", func() {}, nil},
	} {
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.root.Stop(t, m.uuid)
		c.change()
		m.root.Start(t, m.uuid)
		for _, target := range []string{"vda", "vdb"} {
			found := slices.Contains(c.disks, target)
			if told := strings.Contains(m.reason(), "("+target+") is another image than before"); told != found {
				t.Errorf("%s: planned because %s", c.name, m.reason())
			}
		}
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		if kind := m.head().Kind; (kind == store.Resync) != (c.disks != nil) {
			t.Errorf("%s: a %s", c.name, kind)
		}
		m.write(1)
	}
	m.restored(m.settled("full resync inc resync inc resync inc resync inc resync inc inc"))
}

// reason is that of the backup that the next apply plans.
func (m *machine) reason() string {
	m.Helper()
	m.now = m.now.Add(25 * time.Hour)
	defer func() { m.now = m.now.Add(-25 * time.Hour) }()
	for _, a := range m.plan().Instances[0].Actions {
		if a.Backup != nil {
			return a.Reason
		}
	}
	m.Fatalf("no backup is planned: %+v", m.plan().Instances[0])
	return ""
}

// rename gives files other names, in pairs.
func (m *machine) rename(names ...string) {
	m.Helper()
	for pair := range slices.Chunk(names, 2) {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			m.Fatal(err)
		}
	}
}

func (m *machine) shell(name string, args ...string) {
	m.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		m.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// TestDataFileMachine: a qcow2 image with an external data file is backed up by its
// bitmap as long as one QEMU has the file, and compared after whatever may have
// been written without a bitmap that saw it (S38). Restored images stand alone.
func TestDataFileMachine(t *testing.T) {
	m := machineOf(t, "datafile", embedtest.DiskSpec{Target: "vda", Size: 3 << 20, Data: true}, embedtest.DiskSpec{Target: "vdb", Size: 1 << 20})
	m.config.Domains[0].Policy.Offline = "backup"
	data := m.root.Image(m.uuid, "vda") + ".data"
	sneak := func(text string) {
		t.Helper()
		f, err := os.OpenFile(data, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte(text), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(kinds string) store.Domain {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		return m.settled(kinds)
	}
	m.write(5)
	apply("full")
	m.write(2)
	apply("full inc")
	m.root.Stop(t, m.uuid)
	sneak("written behind the bitmap's back")
	m.root.Start(t, m.uuid)
	m.write(1)
	apply("full inc resync")
	apply("full inc resync inc")
	m.root.Stop(t, m.uuid)
	apply("full inc resync inc resync") // nobody knows what happened before it was looked at
	apply("full inc resync inc resync") // nothing has
	sneak("and again, with the machine shut off")
	apply("full inc resync inc resync resync")
	m.root.Start(t, m.uuid)
	m.write(1)
	m.restored(apply("full inc resync inc resync resync resync"))
	for _, d := range m.head().Disks {
		if d.Target == "vda" && d.Data > 3000*512+1<<20 {
			t.Errorf("%d bytes are stored of little that changed", d.Data)
		}
	}
}
