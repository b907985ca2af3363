package executor_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/store"
	"vbk/virt"
	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
)

// newGuest is a machine in which a Linux runs, with a point that holds its kernel.
func newGuest(t *testing.T, name string) (*machine, executor.ChainPoint) {
	t.Helper()
	m := newMachine(t, name+"-other", "qcow2")
	linux := embedtest.BuildLinux(t)
	m.uuid = m.root.Define(t, embedtest.Machine{Name: name, Linux: &linux, Disks: []embedtest.DiskSpec{{Target: "vda", Size: 64 << 20, Ext4: true}, {Target: "vdb", Size: 8 << 20}}})
	m.root.Write(t, m.uuid, "vdb", 1<<20, 6<<20, 0x5a)
	m.config.Domains[0].UUIDs = []string{m.uuid}
	m.config.Domains[0].Policy.Extra = config.Extra{NVRAM: true, Kernel: true}
	m.now = m.now.Add(25 * time.Hour)
	result := executor.Run(t.Context(), m.plan(), executor.Bindings{
		Hosts:  map[string]executor.Host{"local": m.host},
		Stores: map[string]executor.Store{"store.local.main": bind.Store{Store: m.store()}},
		Dial:   m.dial, Now: func() time.Time { return m.now }, Random: rand.Reader,
		Self: store.Attempt{Host: "here", PID: os.Getpid()}, Version: "test", Parallel: 1,
		Events: func(e executor.Event) {
			if e.Kind == executor.Failed {
				t.Error(e.Err)
			}
		},
	})
	if result.Failed > 0 || result.Done != 1 {
		t.Fatalf("%+v", result)
	}
	return m, m.open()
}

// open opens the newest point.
func (m *machine) open() executor.ChainPoint {
	m.Helper()
	found, err := m.store().Domains(m.Context())
	if err != nil || len(found) != 1 {
		m.Fatalf("the store holds %+v: %v", found, err)
	}
	chains := found[0].Chains
	chain, err := bind.Store{Store: m.store()}.OpenChain(found[0].Folder, chains[len(chains)-1].Name)
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { chain.Close() })
	p, err := executor.PointOf(chain, m.head().Sequence)
	if err != nil {
		m.Fatal(err)
	}
	return p
}

const otherUUID = "7d0c5f5e-30a4-4f7b-9d0e-0f3c1e1c9a11"

// TestDrill boots a real Linux from a point, beside the one that was backed up.
func TestDrill(t *testing.T) {
	m, p := newGuest(t, "drilled")
	drill := executor.Drill{Name: "drill", UUID: otherUUID, Scratch: m.root.Dir(), Now: time.Now, Report: func(err error) { t.Error(err) }}
	for _, drill.Boot = range []string{"guest: ready", ""} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		result, err := drill.Run(ctx, p, m.host)
		cancel()
		if err != nil {
			t.Fatalf("boot %q: %v\n%s", drill.Boot, err, result.Console)
		}
		if bytes.Contains(result.Console, []byte("does not mount")) {
			t.Errorf("%s", result.Console)
		}
		t.Logf("boot %q took %v; %q", drill.Boot, result.Took, result.Changes)
		m.wantNoDrill()
	}

	m.defined(p)

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	drill.Boot = "never said"
	_, err := drill.Run(ctx, p, peeking{m.host, func() { cancel(errors.New("long enough")) }})
	var failed *executor.NotBootedError
	if !errors.As(err, &failed) || !strings.HasSuffix(err.Error(), "long enough") {
		t.Error(err)
	}
	m.wantNoDrill()
}

// defined restores the machine, defines and starts it.
func (m *machine) defined(p executor.ChainPoint) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 2*time.Minute)
	defer cancel()
	r := executor.Restoration{Dir: filepath.Join(m.root.Dir(), "restored"), Format: "qcow2", Enter: true}
	d, err := executor.Machine{Name: "drill", UUID: otherUUID}.Define(p, r)
	if err != nil {
		m.Fatal(err)
	}
	if _, err := executor.Restore(ctx, p, r, func(string, int64, int64) {}); err != nil {
		m.Fatal(err)
	}
	if err := d.Register(ctx, m.host, m.root.URI(), true); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { _ = m.host.Destroy(context.WithoutCancel(ctx), otherUUID) })
	if _, err := d.Check(ctx, m.host); err == nil || !strings.Contains(err.Error(), "a domain drill is there already") {
		m.Errorf("its name is free: %v", err)
	}
	if err := errors.Join(m.host.Destroy(ctx, otherUUID), m.root.Undefine(otherUUID)); err != nil {
		m.Fatal(err)
	}
}

// peeking looks when a drill does.
type peeking struct {
	*libvirt.Host
	peek func()
}

func (p peeking) Domain(ctx context.Context, uuid string) (virt.Domain, error) {
	p.peek()
	return p.Host.Domain(ctx, uuid)
}

func (m *machine) wantNoDrill() {
	m.Helper()
	if known, err := m.host.Known(m.Context(), "drill", otherUUID); err != nil || len(known) > 0 {
		m.Errorf("left: %+v %v", known, err)
	}
	if left, _ := filepath.Glob(filepath.Join(m.root.Dir(), "vbk-*")); len(left) > 0 {
		m.Errorf("left: %v", left)
	}
}
