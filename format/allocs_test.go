//go:build !race

package format

import (
	"io"
	"runtime"
	"testing"
	"unsafe"
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
		w.entries.append(Entry{}) // the index grows, of course: in blocks
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

// TestIndexInBlocks: while an index grows and is sorted, little more is allocated than
// it holds: here that of 1 TiB of data, which came from its end.
func TestIndexInBlocks(t *testing.T) {
	const chunks = 1 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var l entryList
	for i := range int64(chunks) {
		l.append(Entry{Offset: (chunks - 1 - i) * MaxChunk, Length: MaxChunk, Stored: MaxChunk})
	}
	if err := l.arrange(true); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	holds := uint64(chunks * (unsafe.Sizeof(Entry{}) + 4))
	if took := after.TotalAlloc - before.TotalAlloc; took > holds+holds/20 {
		t.Errorf("%d bytes were allocated for an index of %d", took, holds)
	}
	at := int64(0)
	for e := range l.kept() {
		if e.Offset != at {
			t.Fatalf("found %d, expected %d", e.Offset, at)
		}
		at += MaxChunk
	}
	if at != chunks*MaxChunk {
		t.Errorf("%d entries are left", at/MaxChunk)
	}
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
