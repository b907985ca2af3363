package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"vbk/store"
	"vbk/virt"
)

// TestStartPausedMachine: a real machine that is shut off is started paused for its
// points and ended again, its bitmaps sound; vbk is killed in between; somebody
// resumes it meanwhile, pauses it again, starts it himself.
func TestStartPausedMachine(t *testing.T) {
	m := newMachine(t, "paused", "raw")
	m.quiet, m.config.Domains[0].Policy.Offline = true, "start_paused"
	apply := func(kinds string, state virt.State) store.Domain {
		t.Helper()
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.wantState(state)
		return m.settled(kinds)
	}
	m.write(8)
	apply("full", virt.Paused) // somebody has started it so
	if _, err := m.host.StartPaused(t.Context(), m.uuid); !errors.Is(err, virt.ErrRunning) {
		t.Errorf("started twice: %v", err)
	}
	m.write(3)
	m.root.Stop(t, m.uuid)
	apply("full resync", virt.ShutOff)
	if _, tracked := m.head().Disk("vdb"); !tracked || !strings.Contains(m.head().Reason, "it is started paused") {
		t.Errorf("%+v", m.head())
	}
	for _, dies := range []string{"StartPaused", "BeginBackup", "EndPaused"} {
		m.dies = dies // and all that would clean up
		if err := m.apply(); err == nil {
			t.Fatalf("no failure at %s", dies)
		}
		m.dies = ""
	}
	m.wantState(virt.Paused)
	apply("full resync resync", virt.ShutOff)

	m.killedAtTheEnd()
	m.root.Resume(t, m.uuid)
	apply("full resync resync resync resync", virt.Running)
	m.root.Stop(t, m.uuid)

	m.killedAtTheEnd()
	m.root.Resume(t, m.uuid)
	m.root.Pause(t, m.uuid)
	m.write(1)
	m.restored(apply("full resync resync resync resync resync resync", virt.Paused))
}

// killedAtTheEnd makes a point, and lives no longer than that.
func (m *machine) killedAtTheEnd() {
	m.Helper()
	before := m.head()
	m.dies = "EndPaused"
	err := m.apply()
	m.dies = ""
	if err == nil || m.head().Attempt == before.Attempt {
		m.Fatalf("no point was made, or nothing has failed: %v", err)
	}
	m.wantState(virt.Paused)
}

func (m *machine) wantState(want virt.State) {
	m.Helper()
	if d, err := m.host.Domain(m.Context(), m.uuid); err != nil || d.State != want {
		m.Fatalf("the domain is %s, want %s: %v", d.State, want, err)
	}
}

var errKilled = errors.New("vbk is killed here")

// dead says whether vbk is, at what it asks of libvirt or since: then nothing else
// happens, and the record of the attempt stays.
func (m *machine) dead(op string) bool {
	if m.dies == op {
		m.dies = "everything"
	}
	return m.dies == "everything"
}

func (h witness) StartPaused(ctx context.Context, uuid string) (int, error) {
	id, err := h.Host.StartPaused(ctx, uuid)
	if h.m.dead("StartPaused") {
		return 0, errKilled
	}
	return id, err
}

func (h witness) EndPaused(ctx context.Context, uuid string, id int) error {
	if h.m.dead("EndPaused") {
		return errKilled
	}
	return h.Host.EndPaused(ctx, uuid, id)
}

func (h witness) EndBackup(ctx context.Context, uuid, socket string) error {
	if h.m.dead("EndBackup") {
		return errKilled
	}
	return h.Host.EndBackup(ctx, uuid, socket)
}

func (h witness) Domain(ctx context.Context, uuid string) (virt.Domain, error) {
	if h.m.dead("Domain") {
		return virt.Domain{}, errKilled
	}
	return h.Host.Domain(ctx, uuid)
}
