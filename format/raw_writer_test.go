package format

import (
	"bytes"
	"errors"
	"hash/adler32"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sparse is a file of which it is known what was written.
type sparse struct {
	content []byte
	written int
	left    int // effects until the disk is full; below 0: never
}

func (s *sparse) WriteAt(p []byte, offset int64) (int, error) {
	if s.left == 0 {
		return 0, errors.New("disk is full")
	}
	s.left--
	if grow := offset + int64(len(p)) - int64(len(s.content)); grow > 0 {
		s.content = append(s.content, make([]byte, grow)...)
	}
	s.written += len(p)
	return copy(s.content[offset:], p), nil
}

// TestRawWriter: in whatever order it comes, the file is the disk, and its sums
// are those of its bytes.
func TestRawWriter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(1, 5*Grain)).Draw(r, "size")
		file := &sparse{left: -1}
		w, err := NewRawWriter(file, size)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		var ranges []span
		for at := int64(0); at < size; {
			n := rapid.Int64Range(1, size-at).Draw(r, "length")
			ranges = append(ranges, span{at, n})
			at += n
		}
		for _, x := range rapid.Permutation(ranges).Draw(r, "order") {
			if rapid.Bool().Draw(r, "zero") {
				err = errors.Join(err, w.Zero(x.offset, x.length))
				continue
			}
			p := want[x.offset : x.offset+x.length]
			copy(p, text(len(p), rapid.SampledFrom([]string{"\x00", "some"}).Draw(r, "text")))
			err = errors.Join(err, w.Data(x.offset, p))
		}
		s, closed := w.Close()
		if err := errors.Join(err, closed); err != nil {
			t.Fatal(err)
		}
		tail, err := TailHash(bytes.NewReader(want), size)
		if err != nil || !bytes.Equal(file.content, want) || s.Adler32 != adler32.Checksum(want) || s.TailHash != tail || s.FileSize != size {
			t.Fatalf("file of %d bytes, disk of %d, summary %+v, %v", len(file.content), size, s, err)
		}
	})
}

func TestRawWriterIsSparse(t *testing.T) {
	file := &sparse{left: -1}
	w, err := NewRawWriter(file, 10*Grain)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4*Grain)
	p[2*Grain+5] = 1
	err = w.Data(3*Grain, p)
	if s, closed := w.Close(); err != nil || closed != nil || s.Data != Grain || file.written != Grain+1 {
		t.Errorf("wrote %d bytes, summary %+v, %v, %v", file.written, s, err, closed)
	}
}

func TestRawWriterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		left  int
		write func(w *RawWriter) error
		want  string
	}{
		"twice":   {-1, func(w *RawWriter) error { return errors.Join(w.Data(0, text(6, "x")), w.Data(5, text(4, "x"))) }, "written twice"},
		"outside": {-1, func(w *RawWriter) error { return w.Data(95, text(10, "x")) }, "10 bytes at 95 are outside the disk of 100 bytes"},
		"full":    {1, func(w *RawWriter) error { return w.Data(5, text(10, "x")) }, "disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := NewRawWriter(&sparse{left: c.left}, 100)
			if err != nil {
				t.Fatal(err)
			}
			err = c.write(w)
			_, closed := w.Close()
			if err = errors.Join(err, closed); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, expected %q", err, c.want)
			}
		})
	}
	if _, err := NewRawWriter(&sparse{}, 100); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("a file that cannot be made long: %v", err)
	}
}
