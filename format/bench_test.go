package format

import (
	"bytes"
	"context"
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
