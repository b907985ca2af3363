package executor_test

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/executor"
	"vbk/virt"
)

// TestInstant runs a real Linux before its disks are there. The server of the point
// dies while the guest's kernel begins, and the machine with it. The same again goes on: the guest
// boots, and is of use while the disks are far from copied.
func TestInstant(t *testing.T) {
	m, p := newGuest(t, "at-once")
	ctx, cancel := context.WithTimeout(t.Context(), 75*time.Second)
	defer cancel()
	r := executor.Restoration{Dir: filepath.Join(m.root.Dir(), "now")}
	machine := executor.Machine{Name: "now", UUID: otherUUID}
	i, err := machine.Instant(p, r, "domain/chain.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Check(ctx, m.host); err != nil {
		t.Fatal(err)
	}
	lock, err := i.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Lock(); err == nil {
		t.Error("two vbk work in one folder")
	}
	if err := errors.Join(i.Write(ctx, p), lock.Close()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.host.Destroy(context.WithoutCancel(ctx), otherUUID)
		if err := m.root.Undefine(otherUUID); err != nil {
			t.Error(err)
		}
	})

	i.Rate = 64 << 10
	stop := m.serveFor(p, i)
	if err := i.Start(ctx, m.host, m.root.URI()); err != nil {
		t.Fatal(err)
	}
	stop()
	err = i.Follow(ctx, m.host, func(string, int64, int64) {})
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.HasPrefix(hinted.Hint(), "nobody serves the point any more") {
		t.Fatalf("%v", err)
	}
	// QEMU 7.2 has been seen to hang and to end when its server was gone: power is cut.
	if err := m.host.Destroy(ctx, otherUUID); err != nil {
		t.Fatal(err)
	}

	r.Resume = true
	if i, err = machine.Instant(p, r, "domain/chain.0"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(i.Check(ctx, m.host), i.Write(ctx, p)); err != nil || i.Served(ctx) || i.Alone() {
		t.Fatalf("%v, or it is done already", err)
	}
	i.Rate = 64 << 10
	stop = m.serveFor(p, i)
	if err := i.Start(ctx, m.host, m.root.URI()); err != nil {
		t.Fatal(err)
	}
	m.awaitDomain(ctx, func(d virt.Domain) bool { return d.Agent })
	if _, _, active, err := m.host.Pulling(ctx, otherUUID, "vda"); err != nil || !active || i.Alone() {
		t.Fatalf("vda is there already (%v), so the machine has shown nothing", err)
	}
	i.Rate = 0
	if err := i.Start(ctx, m.host, m.root.URI()); err != nil {
		t.Fatal(err)
	}
	told := false
	if err := i.Follow(ctx, m.host, func(_ string, done, total int64) { told = told || done <= total && total > 0 }); err != nil {
		t.Fatal(err)
	}
	stop()
	if !told || !i.Alone() {
		t.Errorf("progress was told: %v", told)
	}
	m.wantOwnDisks(ctx, p, i)
}

// wantOwnDisks wants the machine to have its disks, whole and alone.
func (m *machine) wantOwnDisks(ctx context.Context, p executor.RestorePoint, i executor.Instant) {
	m.Helper()
	doc, err := m.host.DomainXML(ctx, otherUUID)
	if err != nil || strings.Contains(doc, "nbd") || strings.Contains(doc, "error_policy") {
		m.Errorf("%v: %s", err, doc)
	}
	if err := m.host.Freeze(ctx, otherUUID, nil); err != nil {
		m.Fatal(err)
	}
	dir := m.TempDir()
	for n, image := range i.Images() {
		out, err := exec.CommandContext(ctx, "qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", image, filepath.Join(dir, i.Disks()[n])).CombinedOutput()
		if err != nil {
			m.Fatalf("%v: %s", err, out)
		}
	}
	if err := m.host.Thaw(ctx, otherUUID); err != nil {
		m.Fatal(err)
	}
	m.Logf("the guest has written %s times", m.root.CheckPair(m.T, filepath.Join(dir, "vda")))
	ordinary := executor.Restoration{Dir: m.TempDir(), Format: "raw", Disks: []string{"vdb"}}
	if _, err := executor.Restore(ctx, p, ordinary, func(string, int64, int64) {}); err != nil {
		m.Fatal(err)
	}
	if sum(m.T, filepath.Join(dir, "vdb")) != sum(m.T, filepath.Join(ordinary.Dir, "vdb.raw")) {
		m.Error("vdb is not what the point holds")
	}
}

func (m *machine) awaitDomain(ctx context.Context, is func(virt.Domain) bool) {
	m.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := m.host.Domain(ctx, otherUUID)
		if err != nil {
			m.Fatal(err)
		}
		if is(d) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			m.Fatalf("it is %s for ever, agent %v", d.State, d.Agent)
		}
	}
}

// serveFor serves the point for a recovery until stop.
func (m *machine) serveFor(p executor.RestorePoint, i executor.Instant) (stop func()) {
	m.Helper()
	listener, err := net.Listen("unix", i.Socket())
	if err != nil {
		m.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- executor.Serve(ctx, p, executor.Serving{Listener: listener, Exact: "domain/chain.0"}) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			m.Error(err)
		}
	}
}
