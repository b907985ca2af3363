package libvirt_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"vbk/virt"
	"vbk/virt/libvirt/embedtest"
)

func TestFreezeRealGuest(t *testing.T) {
	w := newWorld(t)
	linux := embedtest.BuildLinux(t)
	uuid := w.root.Define(t, embedtest.Machine{Name: "frozen", Linux: &linux, Disks: []embedtest.DiskSpec{{Target: "vda", Size: 64 << 20, Ext4: true}}})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if d, err := w.Domain(ctx, uuid); err != nil || !d.Agent {
		t.Fatalf("the survey sees no agent: %v", err)
	}
	if err := w.Freeze(ctx, uuid, nil); err != nil {
		t.Fatal(err)
	}
	if said := w.root.Console(uuid); !bytes.Contains(said, []byte("guest: freeze")) || bytes.Contains(said, []byte("guest: thaw")) {
		t.Fatalf("the guest says:\n%s", said)
	}
	// What the guest has on its disk now is whole: its two files are equal.
	w.root.CheckPair(t, w.root.Copy(t, uuid, "vda"))
	for range 2 {
		if err := w.Thaw(ctx, uuid); err != nil {
			t.Fatal(err)
		}
	}
	w.root.WaitConsole(t, uuid, "guest: thaw")
	if err := w.Freeze(ctx, uuid, []string{"/nowhere"}); err != nil {
		t.Logf("a mount point that is not there: %v", err)
	}
	if err := w.Thaw(ctx, uuid); err != nil {
		t.Fatal(err)
	}
}

func TestFreezeWithoutAgent(t *testing.T) {
	w := newWorld(t)
	uuid := w.Make(t, "silent", map[string]int64{"vda": 1 << 20})
	w.root.Resume(t, uuid)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for name, f := range map[string]func() error{
		"freeze": func() error { return w.Freeze(ctx, uuid, nil) }, "thaw": func() error { return w.Thaw(ctx, uuid) },
	} {
		if err := f(); !errors.Is(err, virt.ErrNoAgent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
