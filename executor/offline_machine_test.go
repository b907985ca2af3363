package executor_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/executor"
	"vbk/nbd"
	"vbk/store"
)

// stillImages are QEMU's, of a machine that a test watches.
type stillImages struct {
	executor.QEMUImages
	m    *machine
	then func() // what happens while the first disk is served
}

func (i stillImages) Serve(ctx context.Context, path, format, export, bitmap, socket string) error {
	saw := i.m.sums()
	found, err := i.m.store().Domains(ctx)
	if err != nil {
		return err
	}
	a := found[0].Attempt
	i.m.taken[store.CheckpointName(i.m.store().ID(), a.Chain, a.ID, i.m.next())] = saw
	if err := i.QEMUImages.Serve(ctx, path, format, export, bitmap, socket); err != nil {
		return err
	}
	if i.then != nil {
		i.then()
	}
	return nil
}

// next is the sequence of the point that is made.
func (m *machine) next() int {
	found, err := m.store().Domains(m.Context())
	if err != nil || len(found) != 1 {
		m.Fatalf("the store holds %+v: %v", found, err)
	}
	if len(found[0].Chains) == 0 {
		return 0
	}
	return m.head().Sequence + 1
}

// TestOfflineMachine: a real machine is backed up while it is shut off, started,
// killed, and shut off again.
func TestOfflineMachine(t *testing.T) {
	m := newMachine(t, "offline", "qcow2")
	m.config.Domains[0].Policy.Offline = "backup"
	apply := func(kinds string) store.Domain {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		return m.settled(kinds)
	}
	off := func() { t.Helper(); m.write(3); m.root.Stop(t, m.uuid) }
	off()
	apply("full") // the first one
	apply("full") // nothing has changed
	m.root.Start(t, m.uuid)
	m.write(3)
	apply("full inc") // by the bitmap that qemu-img made
	off()
	apply("full inc inc")
	m.root.DefineAgain(t, m.uuid)
	if i := m.plan().Instances[0]; i.Idle == "" && i.Backup() == nil {
		t.Errorf("%+v", i)
	}
	apply("full inc inc") // redefined, and nothing has changed
	m.root.Start(t, m.uuid)
	m.write(2)
	m.root.Kill(t, m.uuid)
	apply("full inc inc resync")

	m.images = stillImages{m: m, then: func() { m.root.Start(t, m.uuid); m.images = nil }}
	m.root.Start(t, m.uuid)
	off()
	if err := m.apply(); err == nil || !strings.Contains(err.Error(), "the attempt is discarded") {
		t.Fatalf("started while it was read: %v", err)
	}
	m.write(2)
	m.restored(apply("full inc inc resync inc"))
	m.noServers()
}

// TestOfflineKilled: what a run leaves that is killed before it reads.
func TestOfflineKilled(t *testing.T) {
	m := newMachine(t, "killed", "raw")
	m.config.Domains[0].Policy.Offline = "backup"
	m.root.Stop(t, m.uuid)
	m.dial = func(context.Context, string, string, string) (executor.Export, error) {
		return nil, errors.New("killed")
	}
	if err := m.apply(); err == nil {
		t.Fatal("no error")
	}
	m.noServers()
	m.dial = dialNBD
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.settled("full")
	if out, err := exec.Command("qemu-img", "info", m.root.Image(m.uuid, "vda")).Output(); err != nil || strings.Count(string(out), "name: vbk-") != 1 {
		t.Errorf("the image has %s: %v", out, err)
	}
}

// noServers wants no qemu-nbd of this test to be left; one that has lost its
// client ends by itself.
func (m *machine) noServers() {
	m.Helper()
	for limit := time.Now().Add(time.Minute); ; {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		left := ""
		for _, file := range all {
			if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "--socket="+m.root.Dir()) {
				left = string(text)
			}
		}
		if left == "" {
			return
		}
		if time.Now().After(limit) {
			m.Fatalf("left running: %q", left)
		}
	}
}

// TestServeTakesNoLocks: a comma in a path, a bitmap, and a QEMU that opens the
// image for writing meanwhile.
func TestServeTakesNoLocks(t *testing.T) {
	for _, name := range []string{"qemu-img", "qemu-nbd", "qemu-io"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
	dir := t.TempDir()
	image, socket := filepath.Join(dir, "a,b=c.qcow2"), filepath.Join(dir, "s")
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
	q := executor.QEMUImages{}
	ctx := t.Context()
	if err := q.AddBitmap(ctx, image, "c1"); err != nil {
		t.Fatal(err)
	}
	run("qemu-io", "-c", "write -P 7 64k 64k", image)
	before, err := q.Still(ctx, image)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Serve(ctx, image, "qcow2", "vda", "c1", socket); err != nil {
		t.Fatal(err)
	}
	c, err := nbd.Dial(ctx, socket, "vda", nbd.Options{Bitmap: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if found, err := c.Extents(ctx, 0, c.Size()); err != nil || len(found) != 3 || !found[1].Dirty || found[1].Offset != 64<<10 {
		t.Errorf("extents are %+v: %v", found, err)
	}
	if after, err := q.Still(ctx, image); err != nil || after != before {
		t.Errorf("reading changes the image: %q, was %q: %v", after, before, err)
	}
	guest := exec.Command("qemu-io", image)
	in, _ := guest.StdinPipe()
	out, _ := guest.StdoutPipe()
	if err := guest.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "write -P 8 0 64k\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatalf("the image cannot be opened while it is served: %v", err)
	}
	if state, err := q.Still(ctx, image); err == nil {
		t.Errorf("a QEMU has the image, and it is %q", state)
	}
	if err := q.AddBitmap(ctx, image, "c2"); err == nil {
		t.Error("a bitmap was added to an image in use")
	}
	_ = in.Close()
	_ = guest.Wait()
	if after, err := q.Still(ctx, image); err != nil || after == before {
		t.Errorf("a write is not seen: %q: %v", after, err)
	}
	for range 2 {
		if err := q.RemoveBitmap(ctx, image, "c1"); err != nil {
			t.Fatal(err)
		}
	}
}
