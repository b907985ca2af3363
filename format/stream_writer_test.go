package format

import (
	"bytes"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// written is a stream with these ranges of a disk; nil data is zeroes.
type written struct {
	offset, length int64
	data           []byte
}

func streamHeader(size, data int64, n int) StreamHeader {
	h := StreamHeader{Size: size, Data: data, Disk: "vda", Format: "qcow2", Date: time.Date(2026, 11, 22, 1, 30, 0, 123456000, time.UTC)}
	h.Checkpoint = fmt.Sprintf("c.%d", n)
	if n > 0 {
		h.Incremental, h.Parent = true, fmt.Sprintf("c.%d", n-1)
	}
	return h
}

// writeStream writes a stream from several goroutines.
func writeStream(t testing.TB, size int64, n int, o Options, ranges []written) ([]byte, StreamSummary) {
	t.Helper()
	var sum int64
	for _, r := range ranges {
		if r.data != nil || n > 0 {
			sum += r.length
		}
	}
	var out bytes.Buffer
	w, err := NewStreamWriter(&out, streamHeader(size, sum, n), o)
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(ranges))
	var all sync.WaitGroup
	for i, r := range ranges {
		all.Go(func() {
			if r.data == nil {
				errs[i] = w.Zero(r.offset, r.length)
			} else {
				errs[i] = w.Data(r.offset, r.data)
			}
		})
	}
	all.Wait()
	s, err := w.Close()
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), s
}

// TestStreamWriter: what is written reads as the disk it was, plain and lz4, in
// frames that virtnbdrestore takes; zeroes over data are zero.
func TestStreamWriter(t *testing.T) {
	const size = 5*MaxChunk + 777
	first := text(size-MaxChunk, "the guest wrote ")
	want := append(bytes.Clone(first), make([]byte, MaxChunk)...)
	for _, o := range []Options{{}, {Codec: LZ4}, {Codec: LZ4, Level: 4}, {Codec: LZ4, Level: 9}} {
		t.Run(fmt.Sprint(o), func(t *testing.T) {
			full, s := writeStream(t, size, 0, o, []written{{0, int64(len(first)), first}, {int64(len(first)), MaxChunk, nil}})
			wantDisk(t, streams(t, full), want)
			wantWhole(t, full, s)
			tiles(t, full)

			now := bytes.Clone(want)
			clear(now[MaxChunk-5 : 3*MaxChunk+9])
			copy(now[100:], "changed")
			inc, s := writeStream(t, size, 1, o, []written{{100, 7, []byte("changed")}, {MaxChunk - 5, 2*MaxChunk + 14, nil}})
			wantDisk(t, streams(t, full, inc), now)
			wantWhole(t, inc, s)
			for f, err := range openStream(t, inc).Frames() {
				if err != nil || f.Zero || f.Length > MaxChunk || len(f.Pieces) > 1 {
					t.Errorf("frame %+v, %v: virtnbdrestore wants data below 32 MiB", f, err)
				}
			}
		})
	}
}

func wantWhole(t *testing.T, b []byte, s StreamSummary) {
	t.Helper()
	problems, err := streamProblems(b)
	tail, tailErr := TailHash(bytes.NewReader(b), int64(len(b)))
	if err != nil || tailErr != nil || len(problems) > 0 {
		t.Fatalf("found %v, %v, %v", problems, err, tailErr)
	}
	h := openStream(t, b).Header()
	if s.FileSize != int64(len(b)) || s.Data != h.Data || s.Adler32 != adler32.Checksum(b) || s.TailHash != tail || s.Stored <= 0 {
		t.Errorf("summary %+v of %d bytes with Adler-32 %d and tail %x, header %+v", s, len(b), adler32.Checksum(b), tail, h)
	}
}

// tiles wants the frames of a full to cover the disk once.
func tiles(t *testing.T, b []byte) {
	t.Helper()
	sum := int64(0)
	s := openStream(t, b)
	for f := range s.Frames() {
		sum += f.Length
	}
	if sum != s.Header().Size {
		t.Errorf("frames have %d bytes, the disk %d", sum, s.Header().Size)
	}
}

// TestStreamWriterRefuses: a broken promise, a range twice, and what does not
// fit are errors, and no stream comes of them.
func TestStreamWriterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		write func(w *StreamWriter) error
		want  string
	}{
		"less": {func(w *StreamWriter) error { return w.Data(0, make([]byte, 5)) }, "5 bytes of data came, 10 were promised"},
		"twice": {func(w *StreamWriter) error {
			return errors.Join(w.Data(0, make([]byte, 6)), w.Data(5, make([]byte, 4)))
		}, "range at 5 was recorded twice"},
		"outside": {func(w *StreamWriter) error { return w.Data(95, make([]byte, 10)) }, "10 bytes at 95 are outside the disk of 100 bytes"},
		"before":  {func(w *StreamWriter) error { return w.Zero(-1, 10) }, "outside the disk"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := NewStreamWriter(io.Discard, streamHeader(100, 10, 0), Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = c.write(w)
			_, closed := w.Close()
			if closed == nil || !strings.Contains(errors.Join(err, closed).Error(), c.want) {
				t.Errorf("found %v, then %v, expected %q", err, closed, c.want)
			}
		})
	}
	h := streamHeader(100, 10, 0)
	h.Disk = "\xff"
	for _, c := range []struct {
		h StreamHeader
		o Options
	}{{h, Options{}}, {streamHeader(100, 10, 0), Options{Codec: Zstd}}, {streamHeader(-1, 10, 0), Options{}}, {streamHeader(1, 1, 0), Options{Codec: LZ4, Level: 10}}} {
		if _, err := NewStreamWriter(io.Discard, c.h, c.o); err == nil {
			t.Errorf("header %+v with %+v was taken", c.h, c.o)
		}
	}
}

// TestStreamWriterFails: an error of the file condemns the stream.
func TestStreamWriterFails(t *testing.T) {
	b, _ := writeStream(t, 1000, 0, Options{Codec: LZ4}, []written{{0, 500, text(500, "x")}})
	for n := range b {
		w, err := NewStreamWriter(&shortDisk{n}, streamHeader(1000, 500, 0), Options{Codec: LZ4})
		if err == nil {
			_ = w.Data(0, text(500, "x")) // Close says it again
			_, err = w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "disk is full") {
			t.Fatalf("file of %d bytes: %v", n, err)
		}
	}
}

// shortDisk has room for so many bytes.
type shortDisk struct{ left int }

func (d *shortDisk) Write(p []byte) (int, error) {
	n := min(d.left, len(p))
	d.left -= n
	if n < len(p) {
		return n, errors.New("disk is full")
	}
	return n, nil
}

// TestStreamHistory: whatever is written over whatever, every point reads as the
// disk was.
func TestStreamHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, 3*MaxChunk).Draw(r, "size")
		o := rapid.SampledFrom([]Options{{}, {Codec: LZ4}}).Draw(r, "options")
		disk := make([]byte, size)
		var files [][]byte
		for n := range rapid.IntRange(1, 4).Draw(r, "points") {
			var ranges []written
			for at := int64(0); at < size; {
				at = min(at+rapid.Int64Range(0, size).Draw(r, "gap"), size)
				x := written{offset: at, length: rapid.Int64Range(0, min(size-at, 2*MaxChunk)).Draw(r, "length")}
				if rapid.Bool().Draw(r, "data") {
					x.data = text(int(x.length), fmt.Sprint(n))
					copy(disk[at:], x.data)
				} else {
					clear(disk[at : at+x.length])
				}
				ranges = append(ranges, x)
				at += max(x.length, 1)
			}
			file, _ := writeStream(t, size, n, o, ranges)
			files = append(files, file)
			wantDisk(t, streams(t, files...), disk)
		}
	})
}

// FuzzStreamWriter writes what it is given, and reads it.
func FuzzStreamWriter(f *testing.F) {
	f.Add(int64(0), []byte("some bytes of a guest"), int64(2<<20), true, false)
	f.Add(int64(MaxChunk-3), text(3*Grain, "across "), int64(7), false, true)
	f.Fuzz(func(t *testing.T, offset int64, data []byte, zero int64, packed, increment bool) {
		const most = 5 << 19
		if offset < 0 || offset > most || zero < 0 || zero > most {
			return
		}
		o, n := Options{}, 0
		if packed {
			o.Codec = LZ4
		}
		size := offset + int64(len(data)) + zero
		want := append(append(make([]byte, offset), data...), make([]byte, zero)...)
		layers := [][]byte{}
		if increment {
			base, _ := writeStream(t, size, 0, o, []written{{0, size, bytes.Repeat([]byte{7}, int(size))}})
			for i := range offset {
				want[i] = 7
			}
			layers, n = append(layers, base), 1
		}
		file, _ := writeStream(t, size, n, o, []written{{offset, int64(len(data)), append([]byte{}, data...)}, {offset + int64(len(data)), zero, nil}})
		wantDisk(t, streams(t, append(layers, file)...), want)
		exerciseStream(t, file)
	})
}
