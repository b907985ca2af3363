package executor_test

import (
	"errors"
	"strings"
	"testing"

	"vbk/executor"
	"vbk/plan"
	"vbk/virt"
)

// What a policy wants of the guest agent, and what becomes of the point.
func TestQuiesce(t *testing.T) {
	late := errors.New("the agent has not answered in time")
	none := func(*world) {}
	for name, c := range map[string]struct {
		mode     string
		prepare  func(*world)
		quiesced bool
		why      string // of the point that is not, or of the failure
		fails    bool
	}{
		"try, with an agent":         {mode: "try", prepare: func(w *world) { w.host.GiveAgent(uuid, nil) }, quiesced: true},
		"require, with an agent":     {mode: "require", prepare: func(w *world) { w.host.GiveAgent(uuid, nil) }, quiesced: true},
		"off, with an agent":         {mode: "off", prepare: func(w *world) { w.host.GiveAgent(uuid, nil) }, why: "quiesce is off"},
		"try, without":               {mode: "try", prepare: none, why: "no guest agent"},
		"require, without":           {mode: "require", prepare: none, why: "no guest agent", fails: true},
		"try, an agent that is late": {mode: "try", prepare: func(w *world) { w.host.GiveAgent(uuid, late) }, why: late.Error()},
		"require, one that is late":  {mode: "require", prepare: func(w *world) { w.host.GiveAgent(uuid, late) }, why: late.Error(), fails: true},
		"try, paused": {mode: "try", why: "the domain is paused", prepare: func(w *world) {
			w.host.GiveAgent(uuid, nil)
			w.host.SetState(uuid, virt.Paused)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 8)
			w.define(map[string]int64{"vda": 100 << 10})
			w.policy().Quiesce.Mode = c.mode
			c.prepare(w)
			asked := 0
			w.host.Before = func(op, _ string) error {
				if op == "Freeze" {
					asked++
				}
				if op == "BeginBackup" && w.host.Frozen(uuid) != c.quiesced {
					t.Errorf("the job begins on a guest that is frozen: %v", !c.quiesced)
				}
				return nil
			}
			r := w.apply(plan.Options{})
			if c.fails {
				if r.Failed != 1 || !strings.Contains(w.failure().Error(), c.why) {
					t.Fatalf("%+v %v", r, w.failure())
				}
				w.clean()
				return
			}
			if r.Failed != 0 {
				t.Fatal(w.failure())
			}
			if p := w.head(); p.Quiesced != c.quiesced || !strings.Contains(p.QuiesceWhy, c.why) {
				t.Errorf("the point is quiesced: %v, because %q", p.Quiesced, p.QuiesceWhy)
			}
			if c.mode == "off" && asked > 0 {
				t.Error("the agent was asked though quiesce is off")
			}
			w.settled()
		})
	}
}

// A guard stands by from before the freeze until after the thaw, and goes then.
func TestGuard(t *testing.T) {
	w := newWorld(t, t.TempDir(), 9)
	w.define(map[string]int64{"vda": 100 << 10})
	w.host.GiveAgent(uuid, nil)
	guards, most := 0, 0
	w.bind = func(b *executor.Bindings) {
		b.Guard = func(uri, id string) (func() error, error) {
			if uri != "twin" || id != uuid || w.host.Frozen(uuid) {
				t.Errorf("guard of %s on %s, frozen: %v", id, uri, w.host.Frozen(uuid))
			}
			guards++
			most = max(most, guards)
			return func() error {
				if w.host.Frozen(uuid) {
					t.Error("the guard goes while the guest is frozen")
				}
				guards--
				return nil
			}, nil
		}
	}
	w.host.Before = func(op, _ string) error {
		if op == "Freeze" && guards != 1 {
			t.Errorf("%d guards stand by", guards)
		}
		return nil
	}
	w.succeed(plan.Options{})
	if guards != 0 || most != 1 {
		t.Errorf("%d guards are left, %d were there", guards, most)
	}
}
