package main

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"vbk/executor"
	"vbk/plan"
)

// streamInterval is how often a stream tells how far an instance is.
const streamInterval = time.Second

// runStream tells the events of a run to the streams, point by point: an action
// that deletes three points begins three deletions.
type runStream struct {
	env       *environment
	mu        sync.Mutex
	instances map[string]plan.Instance
	running   map[string]*runningAction // by address
	done      sums
}

// runningAction is what an instance is doing.
type runningAction struct {
	changes []change
	begun   time.Time
	told    time.Time // of the last progress, zero before the first
}

func newRunStream(env *environment, p plan.Plan) *runStream {
	s := &runStream{env: env, instances: map[string]plan.Instance{}, running: map[string]*runningAction{}}
	for _, i := range p.Instances {
		s.instances[i.Want.Address] = i
	}
	return s
}

func (s *runStream) event(e executor.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case executor.Started:
		s.start(e)
	case executor.Progress:
		s.progress(e)
	case executor.Done:
		s.complete(e)
	case executor.Skipped:
		s.env.tell(line{"info", "log", fmt.Sprintf("%s: nothing to do: %s", e.Address, e.Why), nil})
	case executor.Warned:
		s.env.tell(line{"warn", "log", fmt.Sprintf("%s: %v", e.Address, e.Err), nil})
	case executor.Failed:
		s.fail(e)
	}
}

func (s *runStream) start(e executor.Event) {
	a := &runningAction{changes: changesOf(s.instances[e.Address], *e.Action), begun: s.env.now()}
	s.running[e.Address] = a
	for _, c := range a.changes {
		s.tell(a, "apply_start", c, c.doing()+"...", nil)
	}
}

func (s *runStream) progress(e executor.Event) {
	a, now := s.running[e.Address], s.env.now()
	if a == nil || now.Sub(a.told) < streamInterval {
		return
	}
	a.told = now
	rate := int64(float64(e.Done) / max(now.Sub(a.begun).Seconds(), 0.001))
	for _, c := range a.changes {
		s.tell(a, "apply_progress", c, fmt.Sprintf("still %s... [%s of ~%s]", c.doing(), plan.Bytes(e.Done), plan.Bytes(max(e.Total, e.Done))),
			map[string]any{"disk": e.Disk, "bytes_done": e.Done, "bytes_total": max(e.Total, e.Done), "rate_bps": rate})
	}
}

func (s *runStream) complete(e executor.Event) {
	a := s.running[e.Address]
	if a == nil { // a cleanup is told when it is done
		s.start(e)
		a = s.running[e.Address]
	}
	delete(s.running, e.Address)
	var fields map[string]any
	if e.Point != nil {
		fields = map[string]any{"id_key": "point", "id_value": fmt.Sprintf("%s.%d", e.Chain, e.Point.Sequence),
			"bytes_read": readBytes(*e.Point), "bytes_stored": e.Point.Stored()}
		if e.Point.Quiesced {
			fields["frozen_seconds"] = float64(e.Point.FrozenMS) / 1000
		}
	}
	for _, c := range a.changes {
		s.done.count(c)
		s.tell(a, "apply_complete", c, c.doing()+" complete", fields)
	}
	if e.Why != "" {
		s.env.tellProblem("warning", e.Address+": "+e.Why, "")
	}
}

func (s *runStream) fail(e executor.Event) {
	a := s.running[e.Address]
	if a == nil {
		return
	}
	delete(s.running, e.Address)
	for _, c := range a.changes {
		s.tell(a, "apply_errored", c, c.doing()+" failed", nil)
	}
}

// tell writes one line about a change.
func (s *runStream) tell(a *runningAction, kind string, c change, message string, fields map[string]any) {
	level, hook := "info", map[string]any{"resource": c.resource(), "action": c.verb()}
	switch kind {
	case "apply_errored":
		level = "error"
		fallthrough
	case "apply_progress", "apply_complete":
		hook["elapsed_seconds"] = int(s.env.now().Sub(a.begun).Seconds())
	}
	maps.Copy(hook, fields)
	s.env.tell(line{level, kind, c.Address + ": " + message, map[string]any{"hook": hook}})
}

// doing says what happens to the point while it happens.
func (c change) doing() string {
	switch c.verb() {
	case verbCreate:
		return "creating"
	case verbDelete:
		return "deleting"
	case verbRead:
		return "reading"
	}
	return "changing"
}

// close tells the sum of what was done.
func (s *runStream) close() {
	s.env.tell(line{"info", "change_summary",
		fmt.Sprintf("Apply: %d added, %d changed, %d destroyed.", s.done.Add, s.done.Change, s.done.Destroy), s.done.fields("apply")})
}
