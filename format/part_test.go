package format

import (
	"bytes"
	"testing"
)

// TestParts: the sections tile the file, and each is where its bytes are.
func TestParts(t *testing.T) {
	b := smallFile(t)
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	starts := map[string]string{"header": headerMagic, "index": pageMagic, "footer": footerMagic}
	var at int64
	for _, p := range f.Parts() {
		if p.Offset != at || p.Length < 0 || !bytes.HasPrefix(b[p.Offset:], []byte(starts[p.Name])) {
			t.Errorf("%+v, expected at %d, starting with %q", p, at, starts[p.Name])
		}
		at += p.Length
	}
	if at != int64(len(b)) || len(f.Parts()) != 5 {
		t.Errorf("parts end at %d, file at %d: %+v", at, len(b), f.Parts())
	}
	for _, e := range f.Entries() {
		if chunks := f.Parts()[1]; !e.Zero && (e.FileOffset < chunks.Offset || e.FileOffset >= chunks.Offset+chunks.Length) {
			t.Errorf("chunk at %d is not in %+v", e.FileOffset, chunks)
		}
	}
}

// TestReadHeader: the header of a file that was cut off is still there.
func TestReadHeader(t *testing.T) {
	b := smallFile(t)
	whole, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	cut := b[:len(b)-1]
	if _, err := Open(bytes.NewReader(cut), int64(len(cut))); err == nil {
		t.Fatal("a file without its last byte opens")
	}
	if h, err := ReadHeader(bytes.NewReader(cut), int64(len(cut))); err != nil || h.Disk != whole.Header().Disk || h.Size != whole.Header().Size {
		t.Errorf("%+v %v", h, err)
	}
	for _, n := range []int{0, 3, 100} {
		if _, err := ReadHeader(bytes.NewReader(b[:n]), int64(n)); err == nil {
			t.Errorf("%d bytes have a header", n)
		}
	}
}
