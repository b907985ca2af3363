package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/plan"
	"vbk/store"
)

// diary notes what a run does, in order; what repeats is noted once.
type diary struct{ notes []string }

func (d *diary) note(what string) {
	if n := len(d.notes); n == 0 || d.notes[n-1] != what {
		d.notes = append(d.notes, what)
	}
}

type diaryStore struct {
	executor.Store
	d *diary
}

func (s diaryStore) Lock(ctx context.Context, folder string, a store.Attempt) (executor.Folder, error) {
	f, err := s.Store.Lock(ctx, folder, a)
	return diaryFolder{f, s.d}, err
}

type diaryFolder struct {
	executor.Folder
	d *diary
}

func (f diaryFolder) Record(a store.Attempt) error {
	f.d.note("record " + map[bool]string{true: "nothing", false: "attempt"}[a.Checkpoint == ""])
	return f.Folder.Record(a)
}

func (f diaryFolder) Create(chain, name string) (executor.NewFile, error) {
	w, err := f.Folder.Create(chain, name)
	return diaryFile{w, f.d}, err
}

func (f diaryFolder) Commit(ctx context.Context, m store.Manifest) error {
	f.d.note("commit")
	return f.Folder.Commit(ctx, m)
}

func (f diaryFolder) Unlock() error {
	f.d.note("unlock")
	return f.Folder.Unlock()
}

type diaryFile struct {
	executor.NewFile
	d *diary
}

func (w diaryFile) Write(p []byte) (int, error) {
	w.d.note("write")
	return w.NewFile.Write(p)
}

func (w diaryFile) WriteAt(p []byte, offset int64) (int, error) {
	w.d.note("write")
	return w.NewFile.WriteAt(p, offset)
}

func (w diaryFile) Close() error {
	w.d.note("sync")
	return w.NewFile.Close()
}

// TestOrder is the order of docs/format.md, "Commit".
func TestOrder(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	d := &diary{}
	w.bind = func(b *executor.Bindings) {
		b.Stores["store.local.main"] = diaryStore{b.Stores["store.local.main"], d}
	}
	w.step = func(op string) error {
		if slices.Contains([]string{"BeginBackup", "EndBackup", "DeleteCheckpoint"}, op) {
			d.note(op)
		}
		return nil
	}
	w.succeed(plan.Options{})
	want := "record attempt, BeginBackup, write, EndBackup, sync, commit, DeleteCheckpoint, record nothing, unlock"
	if got := strings.Join(d.notes, ", "); got != want {
		t.Errorf("the order is\n%s\nwant\n%s", got, want)
	}
}

// TestStalePlan: what nobody has reviewed is not done, and what is already so
// is a success.
func TestStalePlan(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	p := w.plan(plan.Options{})
	w.host.Resize(uuid, "vda", 1<<20)
	var stale *executor.StaleError
	if r := w.run(t.Context(), p); r.Failed != 1 || !errors.As(w.failure(), &stale) {
		t.Errorf("%+v %v", r, w.failure())
	}
	if hint := w.events[len(w.events)-1].Hint; !strings.Contains(hint, "vbk plan") {
		t.Errorf("hint is %q", hint)
	}
	w.wantKinds("full")
	w.clean()
	w.succeed(plan.Options{})
	if r := w.run(t.Context(), p); r.Skipped != 1 || r.Done+r.Failed > 0 {
		t.Errorf("%+v %v", r, w.failure())
	}
	w.wantKinds("full resync")
	w.settled()
}

// TestUnknownPeers: a plan for what is not open fails, and says so.
func TestUnknownPeers(t *testing.T) {
	w := scenarios["increment"].prepare(t)
	for _, forget := range []func(*executor.Bindings){
		func(b *executor.Bindings) { b.Hosts = nil },
		func(b *executor.Bindings) { b.Stores = nil },
	} {
		w.bind = forget
		if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), "is not open") {
			t.Errorf("%+v %v", r, w.failure())
		}
	}
}
