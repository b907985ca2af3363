//go:build !race

package format

import (
	"io"
	"testing"
)

// TestNothingIsAllocatedPerChunk: what is done for each chunk of a disk, and each
// read of one, takes its memory from pools. (The race detector empties those.)
func TestNothingIsAllocatedPerChunk(t *testing.T) {
	const chunks = 1 << 10
	p := guest(MaxChunk)
	for _, codec := range []Codec{None, Zstd} {
		w, err := NewWriter(io.Discard, header(0, chunks*MaxChunk, true), Options{Codec: codec})
		if err != nil {
			t.Fatal(err)
		}
		w.entries = make([]Entry, 0, chunks) // the index grows, of course
		at := int64(0)
		wantNoAllocs(t, "Writer.Data, "+codec.String(), func() error {
			at += MaxChunk
			return w.Data(at-MaxChunk, p)
		})
		m := image(t, write(t, header(0, 8*MaxChunk, true), Options{Codec: codec}, data(0, guest(8*MaxChunk))))
		at = 0
		wantNoAllocs(t, "Image.ReadAt, "+codec.String(), func() error {
			at = (at + MaxChunk + 4096) % (6 * MaxChunk)
			_, err := m.ReadAt(p[:4096], at)
			return err
		})
	}
	wantNoAllocs(t, "IsZero", func() error { IsZero(p); return nil })
}

func wantNoAllocs(t *testing.T, what string, do func() error) {
	t.Helper()
	n := testing.AllocsPerRun(256, func() {
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	})
	if n != 0 {
		t.Errorf("%s allocates %v times", what, n)
	}
}
