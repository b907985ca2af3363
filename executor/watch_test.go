package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vbk/executor"
	"vbk/nbd"
	"vbk/plan"
)

// TestStall: a job ends when nothing moves any more, and not while anything does.
func TestStall(t *testing.T) {
	for name, silent := range map[string]func(executor.Export) executor.Export{
		"read":         stalled,
		"block status": func(e executor.Export) executor.Export { return mute{e} },
	} {
		scratch := t.TempDir()
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, scratch, 8)
				w.policy().Compression.Codec = "none" // the decoder's channel is outside of the bubble
				w.define(map[string]int64{"vda": 1 << 20, "vdb": 1 << 20})
				w.dial = slow
				w.succeed(plan.Options{})
				w.nextDay()
				w.dial = silent
				began := time.Now()
				r := w.apply(plan.Options{})
				if r.Failed != 1 || !strings.Contains(w.failure().Error(), "nothing was read or written for 10m") {
					t.Fatalf("%+v %v", r, w.failure())
				}
				if took := time.Since(began); took > 11*time.Minute {
					t.Errorf("it took %s", took)
				}
				if hint := w.events[len(w.events)-1].Hint; !strings.Contains(hint, "storage") {
					t.Errorf("hint is %q", hint)
				}
				w.clean()
				w.dial = nil
				w.succeed(plan.Options{})
				w.wantKinds("full inc")
			})
		})
	}
}

// mute is an export that does not answer to block status.
type mute struct{ executor.Export }

func (mute) Extents(ctx context.Context, _, _ int64) ([]nbd.Extent, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// slow is an export that takes nine minutes for an answer.
func slow(e executor.Export) executor.Export {
	return strange{Export: e, read: func(ctx context.Context, reads []nbd.Read) error {
		time.Sleep(9 * time.Minute) // in the bubble
		return e.ReadBatch(ctx, reads)
	}}
}

// TestHostMinFree: the host block may ask for more room for scratch files, and
// for less.
func TestHostMinFree(t *testing.T) {
	for _, c := range []struct {
		minFree, free int64
		want          string // "" for a success
	}{
		{0, 2<<30 - 1, "2.00 GiB free, less than 2.00 GiB"},
		{0, 2 << 30, ""},
		{1 << 30, 1 << 30, ""},
		{9 << 30, 8 << 30, "8.00 GiB free, less than 9.00 GiB"},
		{1 << 20, 63 << 20, "63.0 MiB free, less than 64.0 MiB"},
	} {
		w := newWorld(t, t.TempDir(), 9)
		w.define(map[string]int64{"vda": 1 << 20})
		w.config.Hosts[0].MinFree = c.minFree
		w.bind = func(b *executor.Bindings) {
			b.Space = func(string) (int64, int64, error) { return c.free, 1 << 40, nil }
		}
		if c.want == "" {
			w.succeed(plan.Options{})
			continue
		}
		if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), c.want) {
			t.Errorf("min_free %d: %+v %v", c.minFree, r, w.failure())
		}
		w.clean()
	}
}

// filling is a store with less and less room.
type filling struct {
	executor.Store
	free *[]int64 // what is told, in turn; the last for ever
}

func (s filling) Free() (int64, error) {
	if len(*s.free) == 0 {
		return 0, errInjected
	}
	n := (*s.free)[0]
	if len(*s.free) > 1 {
		*s.free = (*s.free)[1:]
	}
	return n, nil
}

// TestStoreMinFree: a run gives up before the store has less than min_free, and
// leaves nothing behind.
func TestStoreMinFree(t *testing.T) {
	const limit = 10 << 30
	for name, c := range map[string]struct {
		limit int64
		free  []int64
		want  string // "" for a success
	}{
		"plenty":          {limit, []int64{limit + 1<<30}, ""},
		"just enough":     {limit, []int64{limit + 2<<20}, ""},
		"too little":      {limit, []int64{limit + 100}, "10.0 GiB free, and min_free = 10.0 GiB is to stay"},
		"less than that":  {limit, []int64{1 << 30}, "1.00 GiB free, and min_free = 10.0 GiB is to stay"},
		"in the middle":   {limit, []int64{limit + 300<<10, limit + 100<<10, limit + 10}, "is to stay"},
		"no answer":       {limit, nil, "injected"},
		"nothing is said": {0, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 10)
			w.policy().Compression.Codec = "none"
			w.define(map[string]int64{"vda": 1 << 20})
			w.host.Write(uuid, "vda", 0, noise(1<<20))
			w.config.Stores[0].MinFree = c.limit
			w.bind = func(b *executor.Bindings) {
				b.Stores["store.local.main"] = filling{b.Stores["store.local.main"], &c.free}
			}
			if c.want == "" {
				w.succeed(plan.Options{})
				return
			}
			if r := w.apply(plan.Options{}); r.Failed != 1 || !strings.Contains(w.failure().Error(), c.want) {
				t.Fatalf("%+v %v", r, w.failure())
			}
			if hint := w.events[len(w.events)-1].Hint; !strings.Contains(hint, "min_free") && !errors.Is(w.failure(), errInjected) {
				t.Errorf("hint is %q", hint)
			}
			w.wantKinds("")
			w.clean()
			if d, err := w.store().Domains(w.ctx()); err != nil || len(d) != 1 || len(d[0].Leftovers) > 0 {
				t.Errorf("the store holds %+v: %v", d, err)
			}
			w.bind = nil
			w.succeed(plan.Options{})
		})
	}
}

// noise is n bytes, no grain of which is zero.
func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(1 + i%251)
	}
	return p
}
