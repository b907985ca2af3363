package executor_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/nbd"
	"vbk/plan"
)

// TestLimits: a full takes as long as the rates say, whatever hosts and stores
// could do, on a clock that moves when all wait.
func TestLimits(t *testing.T) {
	const size, rate = 24 << 20, 2 << 20
	for name, limit := range map[string]func(*config.Config){
		"none":  func(*config.Config) {},
		"read":  func(c *config.Config) { c.Hosts[0].ReadLimit = rate },
		"write": func(c *config.Config) { c.Stores[0].WriteLimit = rate },
	} {
		t.Run(name, func(t *testing.T) {
			scratch := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, scratch, 5)
				w.policy().Compression.Codec = "none"
				limit(w.config)
				w.define(map[string]int64{"vda": size})
				w.host.Write(uuid, "vda", 0, bytes.Repeat([]byte("vbk"), size/3))
				start := time.Now()
				if r := w.apply(plan.Options{}); r.Failed > 0 {
					t.Fatal(w.failure())
				}
				took, want := time.Since(start), time.Duration(size/rate)*time.Second
				switch {
				case name == "none" && took > time.Second:
					t.Errorf("it took %v without a limit", took)
				case name != "none" && (took < want*95/100 || took > want*105/100):
					t.Errorf("%d bytes at %d a second took %v, want %v", size, rate, took, want)
				}
			})
		})
	}
}

// TestLimitIsLeft when the run is interrupted.
func TestLimitIsLeft(t *testing.T) {
	scratch := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scratch, 5)
		w.config.Hosts[0].ReadLimit = 1 << 10
		w.define(map[string]int64{"vda": 8 << 20})
		w.host.Write(uuid, "vda", 0, bytes.Repeat([]byte("vbk"), 2<<20))
		ctx, cancel := context.WithCancel(t.Context())
		w.dial = func(e executor.Export) executor.Export { return cancelling{e, cancel} }
		start := time.Now()
		w.run(ctx, w.plan(plan.Options{}))
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it went on for %v", took)
		}
	})
}

// cancelling interrupts the run when block status is asked for.
type cancelling struct {
	executor.Export
	cancel func()
}

func (e cancelling) Extents(ctx context.Context, offset, length int64) ([]nbd.Extent, error) {
	defer time.AfterFunc(time.Second, e.cancel)
	return e.Export.Extents(ctx, offset, length)
}
