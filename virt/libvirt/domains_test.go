//go:build cgo

package libvirt_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbk/virt"
	"vbk/virt/libvirt"
)

// A QEMU that does not answer costs its own survey, not that of the host.
func TestHungQEMU(t *testing.T) {
	w := newWorld(t)
	hung := w.Make(t, "hung", map[string]int64{"vda": mib})
	for _, uuid := range []string{hung, w.Make(t, "web", map[string]int64{"vda": mib})} {
		w.run(t, uuid, w.backup(t, "c1", "vda"))
	}
	want, err := w.Domains(t.Context())
	if err != nil || len(want) != 2 {
		t.Fatalf("survey found %+v: %v", want, err)
	}
	for i, d := range want {
		if c, _ := d.Checkpoints[0].Disk("vda"); d.Job != nil || d.Disks[0].Size != mib || c.Health != virt.Sound {
			t.Fatalf("survey found %+v", d)
		}
		if d.UUID == hung {
			d.Job = &virt.Job{Operation: "a call that does not end"}
			d.Disks[0].Size, d.Disks[0].Allocated, d.Disks[0].Image, d.Disks[0].Identity = 0, 0, virt.ImageOptions{}, ""
			d.Checkpoints[0].Disks[0].Health, d.Checkpoints[0].Disks[0].Dirty = virt.Unseen, 0
			want[i] = d
		}
	}
	pid := w.root.PID(hung)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := libvirt.Impatient(w.Host, 5*time.Second).Domains(ctx)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("survey beside a stopped QEMU: %v (-want +got):\n%s", err, diff)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if d, err := w.Domains(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("survey beyond its own deadline: %+v, %v", d, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = w.BeginBackup(ctx, hung, w.backup(t, "c2", "vda"))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "outcome unknown") {
		t.Errorf("begin on a stopped QEMU: %v", err)
	}
}

func TestLook(t *testing.T) {
	w := newWorld(t)
	uuid := w.Make(t, "web", map[string]int64{"vda": mib})
	listed := virt.Domain{Name: "listed", UUID: "refused", State: virt.Unknown, ProcessUID: -1, ProcessGID: -1}
	d, err := libvirt.Look(w.Host, t.Context(), listed)
	if err != nil || !strings.Contains(d.Error, "survey domain refused: ") {
		t.Errorf("look at what libvirt refuses: %+v, %v", d, err)
	}
	if d.Error = ""; !cmp.Equal(listed, d) {
		t.Errorf("an error changed what was known: %+v", d)
	}
	listed.UUID = "00000000-0000-4000-8000-000000000000"
	if d, err := libvirt.Look(w.Host, t.Context(), listed); !errors.Is(err, virt.ErrNoDomain) {
		t.Errorf("look at what is gone: %+v, %v", d, err)
	}
	listed.UUID = uuid
	if d, err := libvirt.Look(w.Host, t.Context(), listed); err != nil || d.Error != "" || d.Name != "web" {
		t.Errorf("look: %+v, %v", d, err)
	}
	// Without patience there is only the list.
	want := listed
	want.Job = &virt.Job{Operation: "a call that does not end"}
	if d, err := libvirt.Look(libvirt.Impatient(w.Host, 0), t.Context(), listed); err != nil || !cmp.Equal(want, d) {
		t.Errorf("look without patience: %+v, %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := libvirt.Look(w.Host, ctx, listed); !errors.Is(err, context.Canceled) {
		t.Errorf("look after the end: %+v, %v", d, err)
	}
}

func TestSideBySide(t *testing.T) {
	const n, limit = 9, 3
	var calls, now, most atomic.Int32
	others := make(chan struct{}, n)
	libvirt.SideBySide(n, limit, func(i int) {
		for k := now.Add(1); ; {
			if old := most.Load(); k <= old || most.CompareAndSwap(old, k) {
				break
			}
		}
		calls.Add(1)
		if i > 0 {
			others <- struct{}{}
		} else {
			for range n - 1 { // a hung one does not delay the others
				<-others
			}
		}
		now.Add(-1)
	})
	if calls.Load() != n || most.Load() > limit {
		t.Errorf("%d calls, at most %d at once; expected %d and %d", calls.Load(), most.Load(), n, limit)
	}
}

// A panic reaches the caller, with the stack of the goroutine that it comes from.
func TestPanicReachesCaller(t *testing.T) {
	for name, f := range map[string]func(){
		"call":         func() { _, _ = libvirt.Call(t.Context(), mistake) },
		"side by side": func() { libvirt.SideBySide(3, 2, func(int) { _, _ = mistake() }) },
	} {
		func() {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "a bug\n") || !strings.Contains(text, "libvirt_test.mistake(") {
					t.Errorf("%s: recovered %q", name, text)
				}
			}()
			f()
		}()
	}
}

func mistake() (struct{}, error) { panic("a bug") }
