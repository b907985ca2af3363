package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"vbk/executor"
	"vbk/nbd"
	"vbk/plan"
)

// TestStuckReader: when the reading does not stop as it is told, as with a store
// that hangs in the kernel, the job ends all the same; the reading fails then.
func TestStuckReader(t *testing.T) {
	scratch := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scratch, 6)
		w.policy().Compression.Codec = "none"
		w.define(map[string]int64{"vda": 1 << 20})
		w.bind = func(b *executor.Bindings) {
			begun := false
			b.Space = func(string) (int64, int64, error) {
				if !begun {
					begun = true
					return 1 << 40, 1 << 40, nil
				}
				return 0, 1 << 40, nil
			}
		}
		ended := make(chan struct{})
		w.host.Before = func(op, _ string) error {
			if op == "EndBackup" {
				select {
				case <-ended:
				default:
					close(ended)
				}
			}
			return nil
		}
		w.dial = func(e executor.Export) executor.Export {
			return strange{Export: e, read: func(context.Context, []nbd.Read) error {
				<-ended // whatever became of the context
				return errors.New("the job is gone")
			}}
		}
		if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), "free, less than") {
			t.Fatalf("%+v %v", r, w.failure())
		}
		w.clean()
		w.bind, w.dial, w.host.Before = nil, nil, nil
		w.succeed(plan.Options{})
		w.wantKinds("full")
	})
}
