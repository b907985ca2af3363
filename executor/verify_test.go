package executor_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
	"vbk/store"
)

// verifies lists the points that a plan reads.
func verifies(p plan.Plan) (all []int) {
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			if a.Verify != nil {
				all = append(all, a.Verify.Sequences()...)
			}
		}
	}
	return all
}

// TestVerifySpreads: what falls due at once is read in as many nights as the policy
// gives, each file once in that time, and a plan right after an apply is empty.
func TestVerifySpreads(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 1 << 20})
	for range 6 {
		w.succeed(plan.Options{})
		w.nextDay()
	}
	w.policy().Verify.Every = config.Duration(3 * 24 * time.Hour)
	times := map[int]int{}
	for night := range 9 {
		p := w.plan(plan.Options{})
		due := verifies(p)
		for _, n := range due {
			times[n]++
		}
		if night == 0 && (len(due) == 0 || len(due) > 3) {
			t.Errorf("the first night reads %d points of 6", len(due))
		}
		w.succeed(plan.Options{}) // wants an empty plan afterwards
		w.nextDay()
	}
	w.clean()
	for n := range 6 {
		if times[n] < 2 || times[n] > 3 {
			t.Errorf("point %d was read %d times in nine nights with every = 3d", n, times[n])
		}
	}
}

// TestVerifyFromFuture: a clock that was ahead for a night does not end the reading.
func TestVerifyFromFuture(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 1 << 20})
	w.succeed(plan.Options{})
	first := w.head()
	w.nextDay()
	w.succeed(plan.Options{})
	ahead := store.Verified{Sequence: first.Sequence, Attempt: first.Attempt, Read: w.now.AddDate(10, 0, 0)}
	d, err := w.store().Domains(w.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store().RecordVerified(w.ctx(), d[0].Folder, d[0].Chains[0].Name, "", []store.Verified{ahead}); err != nil {
		t.Fatal(err)
	}
	w.policy().Verify.Every = config.Duration(3 * 24 * time.Hour)
	var read []int
	for range 6 {
		read = append(read, verifies(w.plan(plan.Options{}))...)
		w.succeed(plan.Options{})
		w.nextDay()
	}
	for _, p := range []int{0, 1} {
		if !slices.Contains(read, p) {
			t.Errorf("point %d is not read: %v", p, read)
		}
	}
}

// TestVerifyFindsDamage: apply says which point and range are damaged and fails; it is
// remembered; the next one closes the chain and says why; and the damaged point holds
// no place of a sound one.
func TestVerifyFindsDamage(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": 1 << 20})
	for range 3 {
		w.succeed(plan.Options{})
		w.nextDay()
	}
	l := w.points()[1]
	d := l.point.Disks[0]
	if err := w.disk.Flip(l.folder+"/"+l.chain+"/"+d.File, 4096+9); err != nil {
		t.Fatal(err)
	}
	w.policy().Verify.Every = config.Duration(24 * time.Hour)
	p := w.plan(plan.Options{})
	for _, i := range p.Instances {
		if a := i.Actions[len(i.Actions)-1]; a.Kind != plan.KindVerify || !strings.Contains(a.Reason, `verify { every = "24h" }`) {
			t.Errorf("last comes %+v", a)
		}
	}
	if r := w.run(w.ctx(), p); r.Failed != 1 || !executor.IsDamage(w.failure()) || !strings.Contains(w.failure().Error(), "bytes at ") || !strings.Contains(w.failure().Error(), d.File) {
		t.Fatalf("%+v: %v", r, w.failure())
	}
	chain := w.folder().Chains[0]
	for n, sound := range []bool{true, false, false, false} {
		if chain.Sound(n) != sound {
			t.Errorf("point %d is sound: %v", n, !sound)
		}
	}
	w.nextDay()
	p = w.plan(plan.Options{})
	b := p.Instances[0].Backup()
	if b == nil || b.Kind != store.Full || b.Closes != l.chain {
		t.Fatalf("planned is %+v", p.Instances[0].Actions)
	}
	reason := ""
	for _, a := range p.Instances[0].Actions {
		if a.Kind == plan.KindBackup {
			reason = a.Reason
		}
	}
	if !strings.Contains(reason, "the open chain is damaged: "+d.File) || !strings.Contains(reason, "as read on") {
		t.Errorf("the reason is %q", reason)
	}
	last := 2
	w.policy().Retention.KeepLast = &last
	for _, k := range w.plan(plan.Options{}).Instances[0].Kept {
		if k.Sequence == 0 && !strings.Contains(strings.Join(k.Rules, ","), "keep_last") {
			t.Errorf("the only sound point is held by %v", k.Rules)
		}
	}
}

// TestVerifyAcrossMerges: a base into which a point is merged every day keeps the age
// of its oldest data, so it is read in its time and not every night, and not never.
func TestVerifyAcrossMerges(t *testing.T) {
	w := newWorld(t, t.TempDir(), 8)
	keep, never := 3, config.Duration(0)
	w.policy().Retention.KeepLast, w.policy().Retention.Prune = &keep, "merge"
	w.policy().Chain.FullEvery = never
	w.policy().Verify.Every = config.Duration(5 * 24 * time.Hour)
	w.define(map[string]int64{"vda": 1 << 20})
	read := 0
	for range 20 {
		due := verifies(w.plan(plan.Options{}))
		w.succeed(plan.Options{})
		for _, l := range w.points() {
			if l.point.Parent < 0 && slices.Contains(due, l.point.Sequence) {
				read++
			}
		}
		w.nextDay()
	}
	w.clean()
	if read < 2 || read > 5 {
		t.Errorf("the base was read %d times in 20 days with every = 5d", read)
	}
}

// folder is what a survey sees.
func (w *world) folder() store.Domain {
	all, err := w.store().Domains(w.ctx())
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%d folders: %v", len(all), err)
	}
	return all[0]
}
