package executor_test

import (
	"os"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
)

// depart lets a month pass after nobody claims the domain any more.
func (w *world) depart() {
	w.policy().Retention.Departed = config.Duration(30 * 24 * time.Hour)
	w.config.Domains[0].Match = []string{"another"}
	w.now = w.now.Add(31 * 24 * time.Hour)
}

// TestRelease: the chains of a departed domain go, and for that no host is
// needed.
func TestRelease(t *testing.T) {
	w := newWorld(t, t.TempDir(), 15)
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	w.nextDay()
	w.succeed(plan.Options{Full: []string{"domain.all"}})
	w.nextDay()
	w.succeed(plan.Options{})
	w.wantKinds("full full inc")
	w.depart()
	w.host.Undefine(uuid)
	w.bind = func(b *executor.Bindings) { b.Hosts = nil }
	if r := w.apply(plan.Options{AllowPrune: []string{"domain.all"}}); r.Done != 2 || r.Failed > 0 {
		t.Fatalf("%+v %v", r, w.failure())
	}
	w.wantKinds("")
	if p := w.plan(plan.Options{}); !p.Empty() || p.Failed() || len(p.Departed) > 0 {
		t.Errorf("the next plan is %+v", p)
	}
	w.exact()
}

// TestReleaseLeavesTheHostAlone: what an interrupted run had begun on a host that
// is not asked now stays there, and is recorded until somebody sees it.
func TestReleaseLeavesTheHostAlone(t *testing.T) {
	w := newWorld(t, t.TempDir(), 16)
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	w.nextDay()
	gone := false
	w.step = func(op string) error {
		gone = gone || op == "ReadBatch"
		return errorOf(gone)
	}
	if r := w.apply(plan.Options{}); r.Failed != 1 {
		t.Fatalf("%+v", r)
	}
	w.step = nil
	before := w.traces()
	if before.job == "" || before.checkpoints != 2 || before.runFolders != 1 || before.record == "" {
		t.Fatalf("the interrupted run left %+v", before)
	}

	w.depart()
	if r := w.apply(plan.Options{AllowPrune: []string{"domain.all"}}); r.Done != 2 || r.Failed > 0 { // the chain, and the files of the attempt
		t.Fatalf("%+v %v", r, w.failure())
	}
	w.wantKinds("")
	if after := w.traces(); after != before {
		t.Errorf("what was left became %+v, was %+v", after, before)
	}

	w.config.Domains[0].Match = []string{"*"} // somebody claims it again
	w.succeed(plan.Options{})
	w.wantKinds("full")
	if after := w.traces(); after != (traces{checkpoints: 1}) {
		t.Errorf("left is %+v", after)
	}
}

// traces are what a run leaves while it works, or when it is interrupted.
type traces struct {
	job         string // socket
	checkpoints int
	runFolders  int
	record      string // the attempt that it names
}

func (w *world) traces() (found traces) {
	w.t.Helper()
	d, err := w.host.Domain(w.ctx(), uuid)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	if d.Job != nil {
		found.job = d.Job.Socket
	}
	found.checkpoints = len(d.Checkpoints)
	folders, err := os.ReadDir(w.scratch)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	found.runFolders = len(folders)
	all, err := w.store().Domains(w.ctx())
	if err != nil || len(all) != 1 {
		w.t.Fatalf("the store holds %+v: %v", all, err)
	}
	if all[0].Attempt != nil {
		found.record = all[0].Attempt.ID
	}
	return found
}
