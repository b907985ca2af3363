package executor_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"vbk/executor"
	"vbk/plan"
)

// TestTwoAppliesAtOnce: of two runs of the same plan one makes the point, each
// of twenty times; the other says who is at work, or that it is done (S20).
func TestTwoAppliesAtOnce(t *testing.T) {
	w := newWorld(t, t.TempDir(), 20)
	w.policy().Compression.Codec = "none"
	w.policy().Retention.KeepLast = nil
	w.define(map[string]int64{"vda": 200 << 10, "vdb": 70 << 10})
	for round := range 20 {
		p := w.plan(plan.Options{})
		var results [2]executor.Result
		var both sync.WaitGroup
		start := make(chan struct{})
		for n := range results {
			both.Go(func() {
				<-start
				results[n] = w.run(context.Background(), p)
			})
		}
		close(start)
		both.Wait()
		a, b := results[0], results[1]
		if a.Done+b.Done != 1 || a.Failed+a.Skipped+b.Failed+b.Skipped != 1 {
			t.Fatalf("round %d: %+v %+v: %v", round, a, b, w.failure())
		}
		if got := len(w.points()); got != round+1 {
			t.Fatalf("round %d: %d points", round, got)
		}
		w.nextDay()
	}
	w.succeed(plan.Options{})
}

// TestPausedHolder: a run stops in the middle for so long that its lock is another's
// (S21): on another host, after a suspend. When it goes on it can neither commit nor delete, and
// takes nothing from the other, whether that one is done or at work.
func TestPausedHolder(t *testing.T) {
	for name, working := range map[string]bool{"the other is done": false, "the other is at work": true} {
		t.Run(name, func(t *testing.T) {
			w := scenarios["increment"].prepare(t)
			first := w.plan(plan.Options{})
			var second executor.Result
			var other sync.WaitGroup
			goOn, reached := make(chan struct{}), make(chan struct{})
			w.begun = func() {
				w.begun = func() {
					close(reached)
					if working {
						<-goOn
					}
				}
				w.disk.KillProcess() // as the kernel sees it
				other.Go(func() {
					second = w.run(context.Background(), w.plan(plan.Options{}))
				})
				if !working {
					other.Wait()
					return
				}
				<-reached
			}
			result := w.run(context.Background(), first)
			if working {
				close(goOn)
				other.Wait()
			}
			w.begun = nil
			if result.Done > 0 || result.Failed == 0 {
				t.Errorf("the paused one did %+v", result)
			}
			if second.Failed > 0 || second.Done == 0 {
				t.Errorf("the other did %+v", second)
			}
			w.wantKinds("full inc")
			if head := w.head(); !w.hasCheckpoint(head.Checkpoint) {
				t.Error("the other's checkpoint is gone")
			}
			w.exact()
			w.now = w.now.Add(25 * time.Hour)
			w.succeed(plan.Options{})
			w.wantKinds("full inc inc")
		})
	}
}
