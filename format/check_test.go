package format

import (
	"context"
	"strings"
	"testing"
)

// TestPanicOfAWorker has a report that panics in a worker: the caller must get
// it, with the worker's stack, and the other workers must not wait for it.
func TestPanicOfAWorker(t *testing.T) {
	b := layer(t, 0, 8*MaxChunk, true, data(0, noise(8*MaxChunk, 1)))
	f := open(t, b)
	p := noise(8*1000, 1)
	c := stream(t, v2(8*1000, keys{"compressed": 2}), []block{{0, p, 1000}})
	s := openStream(t, c)
	for _, e := range f.Entries() {
		b[e.FileOffset]++
	}
	for _, e := range s.Entries() {
		c[e.FileOffset+int64(e.Stored)-1]++
	}
	for name, check := range map[string]func(context.Context, func(Damage)) error{
		"file":   func(ctx context.Context, report func(Damage)) error { return f.Check(ctx, true, report) },
		"stream": s.Check,
	} {
		func() {
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "a bug\n") || !strings.Contains(text, "format.mistake(") {
					t.Errorf("%s: recovered %q", name, text)
				}
			}()
			t.Errorf("%s: check returned %v", name, check(t.Context(), mistake))
		}()
	}
}

func mistake(Damage) { panic("a bug") }
