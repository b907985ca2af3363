package format

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// SameMapping says where two images of v3 files, which may be merged in different
// ways, differ: every extent of one must show the same part of the same chunk, with
// the same generation, sum and hashes, as the other, and where b names the file of
// a chunk, a has it there. No chunk is read.
func SameMapping(a, b *Image) error {
	if a.size != b.size {
		return fmt.Errorf("disk has %d bytes, expected %d", b.size, a.size)
	}
	var known [2]chunkID // compared last: a chunk is mostly shown by extents side by side
	for i, k, at := 0, 0, int64(0); at < a.size; {
		x, y := a.flat[i], b.flat[k]
		if x.Zero != y.Zero || x.Lost || y.Lost {
			return fmt.Errorf("at %d: found %v, expected %v", at, b.describe(y), a.describe(x))
		}
		if these := [2]chunkID{{x.Layer, x.Entry, true}, {y.Layer, y.Entry, true}}; x.Data() && these != known {
			if err := sameChunk(a, b, x, y); err != nil {
				return fmt.Errorf("at %d: %w", at, err)
			}
			known = these
		}
		at = min(x.End(), y.End())
		if x.End() == at {
			i++
		}
		if y.End() == at {
			k++
		}
	}
	return nil
}

func (m *Image) describe(x Extent) string {
	switch {
	case x.Lost:
		return "a lost range"
	case x.Zero:
		return "zeroes"
	}
	return fmt.Sprintf("data of %s", m.facts[x.Layer].name)
}

func sameChunk(a, b *Image, x, y Extent) error {
	e, f := a.entry(x), b.entry(y)
	if e.Offset != f.Offset || e.Length != f.Length || e.Stored != f.Stored || e.Sum != f.Sum || e.Codec != f.Codec || e.Generation != f.Generation {
		return fmt.Errorf("found chunk %+v, expected %+v", f, e)
	}
	var hashes [2][8 * MaxChunk / Grain]byte
	var places [2]string
	n := 8 * e.Grains()
	for i, s := range []struct {
		m *Image
		x Extent
	}{{a, x}, {b, y}} {
		file, ok := s.m.layers[s.x.Layer].(*File)
		if !ok {
			return fmt.Errorf("%s is no v3 file", s.m.facts[s.x.Layer].name)
		}
		own := s.m.entry(s.x)
		if err := readFull(file.r, hashes[i][:n], file.footer.hashes+8*own.firstHash); err != nil {
			return err
		}
		if f.Slot > 0 {
			places[i] = file.place(own)
		}
	}
	if !bytes.Equal(hashes[0][:n], hashes[1][:n]) {
		return fmt.Errorf("the chunk at %d has other hashes than it had", e.Offset)
	}
	if f.Slot > 0 && places[0] != places[1] { // it was not moved, so nobody reads it back
		return fmt.Errorf("the chunk at %d is looked for at %s, it is at %s", e.Offset, places[1], places[0])
	}
	return nil
}

// place says where a chunk lies: in which file, and where in it.
func (f *File) place(e Entry) string {
	holder := f.self().FooterHash
	if e.Slot > 0 {
		holder = f.slots[e.Slot-1].FooterHash
	}
	return fmt.Sprintf("%d of the file with footer hash %s", e.FileOffset, holder)
}

// CheckStored reads chunks of the file, on all cores, and compares the sums of
// what is stored. Nothing is decoded. The first that is wrong is the error.
func (f *File) CheckStored(ctx context.Context, entries []Entry) error {
	var next atomic.Int64
	var once sync.Once
	var failed error
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sideBySide(ctx, runtime.GOMAXPROCS(0), func(ctx context.Context) {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		for k := next.Add(1) - 1; k < int64(len(entries)) && ctx.Err() == nil; k = next.Add(1) - 1 {
			if err := f.readStored(entries[k], (*buf)[:entries[k].Stored]); err != nil {
				once.Do(func() { failed = f.chunkError(entries[k], err); cancel(failed) })
			}
		}
	})
	if failed != nil {
		return failed
	}
	return context.Cause(ctx)
}
