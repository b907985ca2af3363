package format

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
)

// guest is data that compresses like files do, about to one half.
func guest(n int) []byte {
	b := text(n, "lines of text and numbers 0123456789 that repeat themselves ")
	for i := 0; i+64 <= n; i += 128 {
		copy(b[i:i+64], noise(64, uint64(i)))
	}
	return b
}

func BenchmarkData(b *testing.B) {
	const chunks = 64
	p := guest(MaxChunk)
	for _, codec := range []Codec{None, Zstd} {
		b.Run(codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(MaxChunk)
			var w *Writer
			for i := 0; b.Loop(); i++ {
				if i%chunks == 0 {
					var err error
					if w, err = NewWriter(io.Discard, header(0, chunks*MaxChunk, true), Options{Codec: codec}); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Data(int64(i%chunks)*MaxChunk, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	const size = 64 * MaxChunk
	disk := guest(size)
	p := make([]byte, MaxChunk)
	for _, codec := range []Codec{None, Zstd} {
		m := image(b, write(b, header(0, size, true), Options{Codec: codec}, data(0, disk)))
		b.Run("pieces/"+codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				for _, x := range pieces(m) {
					if _, err := m.ReadAt(p[:x.Length], x.Offset); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		b.Run("4KiB/"+codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(4096)
			for i := 0; b.Loop(); i++ {
				if _, err := m.ReadAt(p[:4096], int64(i)*4096%size); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("check/"+codec.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				if err := m.layers[0].(*File).Check(context.Background(), true, func(d Damage) { b.Error(d) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens a base of a million entries (1 TiB of data has as many)
// with 29 increments of 10 000, and lays them over one another: what stands
// before the first byte that serve can give.
func BenchmarkOpen(b *testing.B) {
	const entries, step = 1 << 20, 100
	files := [][]byte{}
	for k := range 30 {
		h := header(k, 2*entries*Grain, false)
		h.Base = k == 0
		files = append(files, write(b, h, Options{}, func(w *Writer) error {
			w.header.Base = false // or the zero entries would go
			for i := int64(0); i < entries; i++ {
				if k > 0 && i%step != 0 {
					continue
				}
				if err := w.Zero((2*i+int64(k%2))*Grain, Grain); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	b.ReportAllocs()
	for b.Loop() {
		layers := make([]*File, len(files))
		for k := range files {
			layers[k] = open(b, files[k])
		}
		if _, err := NewImage(layers...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClose(b *testing.B) {
	const entries = 1 << 20
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		w, err := NewWriter(io.Discard, header(1, 2*entries*Grain, false), Options{})
		if err != nil {
			b.Fatal(err)
		}
		for i := int64(0); i < entries; i++ {
			if err := w.Zero(2*(i*7919%entries)*Grain, Grain); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIsZero(b *testing.B) {
	p := bytes.Repeat([]byte{0}, Grain)
	b.SetBytes(Grain)
	for b.Loop() {
		if !IsZero(p) {
			b.Fatal("not zero")
		}
	}
}

// BenchmarkMerge merges a full of 64 MiB with an increment of a 16th of it. What
// is counted is the disk, most of which nobody touches.
func BenchmarkMerge(b *testing.B) {
	const size = 64 * MaxChunk
	disk := guest(size)
	base := write(b, header(0, size, true), Options{Codec: Zstd}, data(0, disk))
	inc := write(b, header(1, size, false), Options{Codec: Zstd}, func(w *Writer) error {
		for at := int64(0); at < size; at += MaxChunk {
			if err := w.Data(at, disk[:Grain]); err != nil {
				return err
			}
		}
		return nil
	})
	files := []Named{{"base", open(b, base)}, {"inc", open(b, inc)}}
	b.Run("slots", func(b *testing.B) { merging(b, files, size, MergeOptions{}) })
	b.Run("copied", func(b *testing.B) { // as where all is more than half dead
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			m := &merge{ctx: context.Background()}
			if err := m.take(files); err != nil {
				b.Fatal(err)
			}
			for _, s := range m.sources {
				s.to = maxSize
			}
			m.layout()
			if _, err := m.write(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMergeIndex merges a base of a million chunks (1 TiB) with an increment
// of 10 000, where neither has to be moved: how long a merge takes at least.
func BenchmarkMergeIndex(b *testing.B) {
	const chunks = 1 << 20
	files := []Named{{"base", fakeFile(b, 0, chunks, 1)}, {"inc", fakeFile(b, 1, chunks, 100)}}
	merging(b, files, chunks*MaxChunk, MergeOptions{Share: func(string, int64, int64) error { return nil }})
}

func merging(b *testing.B, files []Named, size int64, o MergeOptions) {
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Merge(context.Background(), io.Discard, files, o); err != nil {
			b.Fatal(err)
		}
	}
}

// fakeFile is a file with every step-th chunk of a disk: all is there but what is
// in the chunks.
func fakeFile(b *testing.B, sequence int, chunks, step int64) *File {
	var out bytes.Buffer
	w, err := NewWriter(&out, header(sequence, chunks*MaxChunk, sequence == 0), Options{})
	if err != nil {
		b.Fatal(err)
	}
	hashes := make([]uint64, MaxChunk/Grain)
	start := w.offset
	for at := int64(0); at < chunks; at += step {
		e := Entry{Offset: at * MaxChunk, Length: MaxChunk, Stored: MaxChunk, Generation: uint32(sequence), FileOffset: w.offset, firstHash: w.hashes.length}
		w.hashes.append(hashes)
		w.entries.append(e)
		w.foot.data, w.foot.stored = w.foot.data+MaxChunk, w.foot.stored+MaxChunk
		w.offset += MaxChunk
	}
	if _, err := w.Close(); err != nil {
		b.Fatal(err)
	}
	hole := w.foot.hashes - start
	f, err := Open(holed{out.Bytes(), start, hole}, int64(out.Len())+hole)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// holed is a file in which a range is not kept.
type holed struct {
	b        []byte
	at, hole int64
}

func (h holed) ReadAt(p []byte, off int64) (int, error) {
	if off >= h.at+h.hole {
		off -= h.hole
	}
	return copy(p, h.b[off:]), nil
}

// BenchmarkThirtyLayers reads a disk of 64 MiB of which each of 29 increments has
// written a part, in pieces as a restore does.
func BenchmarkThirtyLayers(b *testing.B) {
	const size = 64 * MaxChunk
	disk := guest(size)
	files := [][]byte{write(b, header(0, size, true), Options{Codec: Zstd}, data(0, disk))}
	for k := int64(1); k < 30; k++ {
		files = append(files, write(b, header(int(k), size, false), Options{Codec: Zstd}, func(w *Writer) error {
			for at := k * Grain; at < size; at += 37 * Grain {
				if err := w.Data(at, disk[at:at+Grain]); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	m := image(b, files...)
	p := make([]byte, MaxChunk)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, x := range pieces(m) {
			if _, err := m.ReadAt(p[:x.Length], x.Offset); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkStreamIndex reads the index of a stream of virtnbdbackup with 1.7
// million extents.
func BenchmarkStreamIndex(b *testing.B) {
	const extents = 1_700_000
	b.Run("v3", func(b *testing.B) {
		f := write(b, header(1, 2*extents*Grain, false), Options{}, func(w *Writer) error {
			for i := range int64(extents) {
				if err := w.Zero(2*i*Grain, Grain); err != nil {
					return err
				}
			}
			return nil
		})
		b.SetBytes(int64(len(f)))
		b.ReportAllocs()
		for b.Loop() {
			open(b, f)
		}
	})
	b.Run("v2", func(b *testing.B) {
		const length = 16
		head := `{"virtualSize": 1000000000, "dataSize": 27200000, "diskName": "vda", "streamVersion": 2, "incremental": false, "compressed": false, "checkpointName": "virtnbdbackup.0", "parentCheckpoint": ""}`
		var s bytes.Buffer
		fmt.Fprintf(&s, "meta %016x %016x\r\n%s\r\n", 0, len(head), head)
		for i := range extents {
			fmt.Fprintf(&s, "data %016x %016x\r\n%016x\r\n", i*512, length, i)
		}
		fmt.Fprintf(&s, "stop %016x %016x\r\n", 0, 0)
		b.SetBytes(int64(s.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := OpenStream(bytes.NewReader(s.Bytes()), int64(s.Len())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
