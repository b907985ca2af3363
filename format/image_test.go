package format

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var _ io.ReaderAt = (*Image)(nil)

// wantDisk reads an image in every way there is and compares.
func wantDisk(t rapid.TB, m *Image, disk []byte) {
	t.Helper()
	if m.Size() != int64(len(disk)) {
		t.Fatalf("image has %d bytes, expected %d", m.Size(), len(disk))
	}
	whole := make([]byte, len(disk))
	if n, err := m.ReadAt(whole, 0); n != len(disk) || err != nil && (err != io.EOF || len(disk) > 0) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	wantBytes(t, "ReadAt", whole, disk)

	wantBytes(t, "pieces", restore(t, m), disk)

	at := int64(0)
	for x := range m.Extents(0, m.Size()) {
		if x.Offset != at || x.Length <= 0 || x.Lost {
			t.Fatalf("extent %+v, expected one at %d", x, at)
		}
		if x.Zero && !IsZero(disk[x.Offset:x.End()]) {
			t.Fatalf("extent %+v is not zero", x)
		}
		at = x.End()
	}
	if at != m.Size() {
		t.Fatalf("extents end at %d of %d", at, m.Size())
	}
}

// pieces cuts a disk as a restore does: data that touches is one, up to the
// next multiple of MaxChunk.
func pieces(m *Image) []Extent {
	var all []Extent
	for x := range m.Extents(0, m.Size()) {
		for at := x.Offset; !x.Zero && at < x.End(); {
			p := x.clip(at, (at/MaxChunk+1)*MaxChunk)
			if n := len(all); n > 0 && at%MaxChunk != 0 && all[n-1].End() == at {
				all[n-1].Length += p.Length
			} else {
				all = append(all, p)
			}
			at = p.End()
		}
	}
	return all
}

// restore reads the pieces of a disk; the rest of it stays zero.
func restore(t rapid.TB, m *Image) []byte {
	t.Helper()
	disk := make([]byte, m.Size())
	for _, p := range pieces(m) {
		if n, err := m.ReadAt(disk[p.Offset:p.End()], p.Offset); n != int(p.Length) || err != nil {
			t.Fatalf("piece of %d bytes at %d: read %d, %v", p.Length, p.Offset, n, err)
		}
	}
	return disk
}

func wantBytes(t rapid.TB, how string, found, expected []byte) {
	t.Helper()
	if bytes.Equal(found, expected) {
		return
	}
	for i := range expected {
		if found[i] != expected[i] {
			t.Fatalf("%s: byte %d is 0x%02x, expected 0x%02x", how, i, found[i], expected[i])
		}
	}
}

func layer(t testing.TB, sequence int, size int64, base bool, fill func(*Writer) error) []byte {
	t.Helper()
	return write(t, header(sequence, size, base), Options{Codec: Codec(sequence % 2)}, fill)
}

func none(*Writer) error { return nil }

func data(offset int64, p []byte) func(*Writer) error {
	return func(w *Writer) error { return w.Data(offset, p) }
}

func TestDirtyAndZeroHidesOlderData(t *testing.T) {
	old := noise(4*Grain, 1)
	base := layer(t, 0, 4*Grain, true, data(0, old))
	want := bytes.Clone(old)
	clear(want[Grain : 2*Grain])
	asZero := layer(t, 1, 4*Grain, false, func(w *Writer) error { return w.Zero(Grain, Grain) })
	asData := layer(t, 1, 4*Grain, false, data(Grain, make([]byte, Grain)))
	wantDisk(t, image(t, base, asZero), want)
	wantDisk(t, image(t, base, asData), want)
}

func TestSizes(t *testing.T) {
	const small, large = Grain + 100, 3*Grain + 513
	a, b := noise(large, 1), noise(large, 2)
	pad := func(p []byte, size int) []byte { return append(bytes.Clone(p), make([]byte, size-len(p))...) }
	for _, c := range []struct {
		name   string
		layers [][]byte
		want   []byte
	}{
		{"a base without entries is zero", [][]byte{layer(t, 0, small, true, none)}, make([]byte, small)},
		{"an empty disk", [][]byte{layer(t, 0, 0, true, none)}, nil},
		{"an odd size", [][]byte{layer(t, 0, small, true, data(0, a[:small]))}, a[:small]},
		{"an increment without entries", [][]byte{layer(t, 0, small, true, data(0, a[:small])), layer(t, 1, small, false, none)}, a[:small]},
		{"beyond an older end is zero", [][]byte{layer(t, 0, small, true, data(0, a[:small])), layer(t, 1, large, false, none)}, pad(a[:small], large)},
		{"a shrunk disk is cut", [][]byte{layer(t, 0, large, true, data(0, a)), layer(t, 1, small, false, none)}, a[:small]},
		{"what was cut stays cut", [][]byte{layer(t, 0, large, true, data(0, a)), layer(t, 1, small, false, none), layer(t, 2, large, false, none)}, pad(a[:small], large)},
		{"data into what was cut", [][]byte{layer(t, 0, large, true, data(0, a)), layer(t, 1, 0, false, none), layer(t, 2, large, false, data(Grain, b[Grain:2*Grain]))},
			append(make([]byte, Grain), pad(b[Grain:2*Grain], large-Grain)...)},
		{"a base hides all below", [][]byte{layer(t, 0, large, true, data(0, a)), layer(t, 1, large, true, data(0, b[:Grain]))}, pad(b[:Grain], large)},
		{"a larger base hides all below", [][]byte{layer(t, 0, small, true, data(0, a[:small])), layer(t, 5, large, true, none), layer(t, 6, large, false, none)}, make([]byte, large)},
	} {
		t.Run(c.name, func(t *testing.T) { wantDisk(t, image(t, c.layers...), c.want) })
	}
}

func TestChainRules(t *testing.T) {
	change := func(sequence int, base bool, edit func(*Header)) *File {
		h := header(sequence, Grain, base)
		edit(&h)
		return open(t, write(t, h, Options{}, none))
	}
	plain := func(sequence int, base bool) *File { return change(sequence, base, func(*Header) {}) }
	for _, c := range []struct {
		want   string
		layers []*File
	}{
		{"without layers", nil},
		{"is no base", []*File{plain(0, false)}},
		{"not newer than", []*File{plain(1, true), plain(1, false)}},
		{"not newer than", []*File{plain(1, true), plain(0, true)}},
		{"one is missing", []*File{plain(0, true), plain(2, false)}},
		{"", []*File{plain(0, true), plain(2, true), plain(3, false)}},
		{"", []*File{plain(0, true), change(3, false, func(h *Header) { h.Covers = [2]int{1, 3} }), plain(4, false)}},
		{"does not belong", []*File{plain(0, true), change(1, false, func(h *Header) { h.Disk = "vdb" })}},
		{"does not belong", []*File{plain(0, true), change(1, false, func(h *Header) { h.Chain = "x" })}},
		{"does not belong", []*File{plain(0, true), change(1, false, func(h *Header) { h.UUID = "x" })}},
		{"does not belong", []*File{plain(0, true), change(1, true, func(h *Header) { h.StoreID = "x" })}},
	} {
		_, err := NewImage(c.layers...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("expected %q, found %v", c.want, err)
		}
	}
}

// merged is one file with the generations of two.
func merged(t testing.TB, base bool) []byte {
	h := header(1, 4*Grain, base)
	h.Covers = [2]int{0, 1}
	return write(t, h, Options{}, func(w *Writer) error {
		w.header.Sequence = 0
		err := w.Data(0, noise(3*Grain, 1))
		w.header.Sequence = 1
		return errors.Join(err, w.Zero(0, Grain), w.Data(2*Grain, noise(Grain, 2)))
	})
}

func TestHigherGenerationWins(t *testing.T) {
	want := append(noise(3*Grain, 1), make([]byte, Grain)...)
	clear(want[:Grain])
	copy(want[2*Grain:], noise(Grain, 2))
	m := image(t, merged(t, true))
	wantDisk(t, m, want)
	if entries := m.layers[0].Entries(); len(entries) != 3 || entries[0].Generation != 0 || !entries[1].Zero || entries[1].Generation != 1 {
		t.Errorf("entries %+v", entries)
	}
}

func TestZeroesOfTwoGenerationsAreNotJoined(t *testing.T) {
	h := header(1, 4*Grain, false)
	h.Covers = [2]int{0, 1}
	f := open(t, write(t, h, Options{}, func(w *Writer) error {
		w.header.Sequence = 0
		err := errors.Join(w.Zero(Grain, Grain), w.Zero(0, Grain))
		w.header.Sequence = 1
		return errors.Join(err, w.Zero(2*Grain, Grain))
	}))
	wantSound(t, f)
	if e := f.Entries(); len(e) != 2 || e[0].Length != 2*Grain || e[1].Generation != 1 {
		t.Errorf("entries %+v", e)
	}
}

func TestCacheForgetsWhatAFailedReadSpoiled(t *testing.T) {
	disk := text(2*MaxChunk, "cached words ")
	b := write(t, header(0, 2*MaxChunk, true), Options{Codec: Zstd}, data(0, disk))
	f := open(t, b)
	good, bad := f.Entries()[0], f.Entries()[1]
	bad.Length, bad.Stored, bad.Sum = good.Length, good.Stored, good.Sum // decodes, to the wrong place
	b[bad.FileOffset] ^= 1
	var s slot
	for range 2 {
		if p, err := s.load(f, 0, 0, good); err != nil || !bytes.Equal(p, disk[:MaxChunk]) {
			t.Fatalf("found other bytes, %v", err)
		}
		if _, err := s.load(f, 0, 1, bad); err == nil {
			t.Fatal("a damaged chunk was read")
		}
		clear(s.chunk) // as a decoder that fails half-way may leave it
	}
}

// counting notes how often each place of a file is read.
type counting struct {
	*bytes.Reader
	mu    sync.Mutex
	reads map[int64]int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	c.reads[off]++
	c.mu.Unlock()
	return c.Reader.ReadAt(p, off)
}

func TestEachVisibleChunkIsReadOnce(t *testing.T) {
	const size = 3 * MaxChunk
	old, new := noise(size, 1), noise(size, 2)
	want := bytes.Clone(old)
	copy(want[2*Grain:], new[2*Grain:4*Grain])
	clear(want[6*Grain : 7*Grain])
	copy(want[10*Grain:], new[10*Grain:11*Grain])
	copy(want[MaxChunk:], new[MaxChunk:2*MaxChunk])
	files := [][]byte{
		layer(t, 0, size, true, data(0, old)),
		layer(t, 1, size, false, func(w *Writer) error { // holes in the first chunk, all of the second
			return errors.Join(w.Data(2*Grain, new[2*Grain:4*Grain]), w.Zero(6*Grain, Grain),
				w.Data(10*Grain, new[10*Grain:11*Grain]), w.Data(MaxChunk, new[MaxChunk:2*MaxChunk]))
		}),
	}
	var layers []*File
	var counters []*counting
	for _, b := range files {
		c := &counting{Reader: bytes.NewReader(b), reads: map[int64]int{}}
		f, err := Open(c, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		clear(c.reads)
		layers, counters = append(layers, f), append(counters, c)
	}
	m, err := NewImage(layers...)
	if err != nil {
		t.Fatal(err)
	}
	wantBytes(t, "pieces", restore(t, m), want)
	if m.cache.clock != 2 { // four extents show it, on two sides of zeroes
		t.Errorf("the one chunk with holes was asked for %d times, expected once for each piece", m.cache.clock)
	}
	for k, f := range layers {
		for _, e := range f.Entries() {
			if e.Zero {
				continue
			}
			want := 1
			if k == 0 && e.Offset == MaxChunk {
				want = 0 // superseded
			}
			if n := counters[k].reads[e.FileOffset]; n != want {
				t.Errorf("layer %d, chunk at %d: read %d times, expected %d", k, e.Offset, n, want)
			}
		}
	}
	clear(counters[1].reads)
	small := make([]byte, 4096)
	for off := int64(MaxChunk); off < 2*MaxChunk; off += int64(len(small)) {
		if _, err := m.ReadAt(small, off); err != nil {
			t.Fatal(err)
		}
	}
	for off, n := range counters[1].reads {
		if n != 1 {
			t.Errorf("small reads read the chunk at %d %d times", off, n)
		}
	}
}

func TestConcurrentReaders(t *testing.T) {
	disk := append(text(5*MaxChunk, "many words "), noise(3*MaxChunk+99, 1)...)
	size := int64(len(disk))
	over := noise(Grain, 7)
	base := layer(t, 1, size, true, data(0, disk))
	copy(disk[3*Grain:], over)
	m := image(t, base, layer(t, 2, size, false, data(3*Grain, over)))
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			p := make([]byte, 10_000+g*1000)
			for i := range 300 {
				off := int64(g*31+i*i*7919) % size
				n, err := m.ReadAt(p, off)
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], disk[off:off+int64(n)]) || err == nil && n < len(p) {
					t.Errorf("%d bytes at %d: read %d, %v", len(p), off, n, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestReadAtEnds(t *testing.T) {
	disk := noise(Grain+7, 1)
	m := image(t, layer(t, 0, int64(len(disk)), true, data(0, disk)))
	p := make([]byte, 10)
	if n, err := m.ReadAt(p, Grain); n != 7 || err != io.EOF || !bytes.Equal(p[:7], disk[Grain:]) {
		t.Errorf("across the end: %d, %v", n, err)
	}
	if n, err := m.ReadAt(p, Grain+7); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if _, err := m.ReadAt(p, -1); err == nil || err == io.EOF {
		t.Errorf("negative: %v", err)
	}
	if n, err := m.ReadAt(nil, 3); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	for range m.Extents(Grain+7, 100) {
		t.Error("extent behind the end")
	}
	for range m.Extents(5, 0) {
		t.Error("extent in nothing")
	}
}

func TestSame(t *testing.T) {
	const size = 4*Grain + 9
	disk := noise(size, 1)
	clear(disk[Grain : 2*Grain])
	for _, m := range []*Image{
		image(t, layer(t, 0, size, true, data(0, disk))),
		image(t, layer(t, 0, size, true, data(0, noise(size, 5))), layer(t, 1, size, false, data(0, disk))),
	} {
		for off := int64(0); off < size; off += Grain {
			grain := bytes.Clone(disk[off:min(off+Grain, size)])
			if same, err := m.Same(off, grain); !same || err != nil {
				t.Errorf("grain at %d: %v, %v", off, same, err)
			}
			grain[len(grain)-1] ^= 1
			if same, err := m.Same(off, grain); same || err != nil {
				t.Errorf("changed grain at %d: %v, %v", off, same, err)
			}
		}
		for _, off := range []int64{-Grain, 1, 5 * Grain, 4 * Grain} {
			if _, err := m.Same(off, make([]byte, Grain)); err == nil {
				t.Errorf("no grain at %d, but no error", off)
			}
		}
	}
	// A grain of which a smaller disk cut off the end is not what its hash says.
	full := noise(2*Grain, 3)
	cut := image(t, layer(t, 0, 2*Grain, true, data(0, full)), layer(t, 1, Grain+100, false, none), layer(t, 2, 2*Grain, false, none))
	if same, err := cut.Same(Grain, full[Grain:]); same || err != nil {
		t.Errorf("cut: %v, %v", same, err)
	}
	short := image(t, layer(t, 0, 2*Grain, true, data(0, full)), layer(t, 1, Grain+100, false, none))
	if same, err := short.Same(Grain, full[Grain:Grain+100]); same || err != nil {
		t.Errorf("short: %v, %v", same, err)
	}
	// The tail of the smaller disk and the zeroes behind it share a grain.
	grown := image(t, layer(t, 0, size, true, data(0, disk)), layer(t, 1, 6*Grain, false, none))
	if same, err := grown.Same(4*Grain, append(bytes.Clone(disk[4*Grain:]), make([]byte, Grain-9)...)); same || err != nil {
		t.Errorf("pieced together: %v, %v", same, err)
	}
}

// TestHistories compares random chains with a slice of bytes.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var disk []byte
		var layers []*File
		for k := range rapid.IntRange(1, 6).Draw(r, "layers") {
			base := k == 0 || rapid.IntRange(0, 5).Draw(r, "base") == 0
			size := len(disk)
			if k == 0 || rapid.IntRange(0, 2).Draw(r, "resize") == 0 {
				size = rapid.IntRange(0, 40).Draw(r, "grains")*Grain + rapid.SampledFrom([]int{0, 0, 1, 511, 512, Grain - 1}).Draw(r, "odd")
			}
			if base {
				disk = nil
			}
			disk = append(disk, make([]byte, max(size-len(disk), 0))...)[:size]
			var b bytes.Buffer
			w, err := NewWriter(&b, header(k, int64(size), base), Options{Codec: Codec(rapid.IntRange(0, 1).Draw(r, "codec"))})
			if err != nil {
				r.Fatal(err)
			}
			for at := 0; at < size; {
				n := min(rapid.IntRange(1, 20).Draw(r, "run")*Grain, size-at)
				var err error
				switch rapid.IntRange(0, 3).Draw(r, "what") {
				case 0:
					err = w.Zero(int64(at), int64(n))
					clear(disk[at : at+n])
				case 1:
					copy(disk[at:at+n], noise(n, uint64(at+k)))
					clear(disk[at : at+min(n, Grain)*(k%2)]) // some zeroes within the data
					err = w.Data(int64(at), disk[at:at+n])
				case 2:
					copy(disk[at:at+n], text(n, "word"))
					err = w.Data(int64(at), disk[at:at+n])
				}
				if err != nil {
					r.Fatal(err)
				}
				at += n
			}
			if _, err := w.Close(); err != nil {
				r.Fatal(err)
			}
			f, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				r.Fatal(err)
			}
			layers = append(layers, f)
		}
		m, err := NewImage(layers...)
		if err != nil {
			r.Fatal(err)
		}
		wantDisk(r, m, disk)
		if len(disk) > 0 {
			off := rapid.IntRange(0, len(disk)-1).Draw(r, "offset")
			p := make([]byte, rapid.IntRange(0, len(disk)-off).Draw(r, "length"))
			if n, err := m.ReadAt(p, int64(off)); n != len(p) || err != nil {
				r.Fatalf("read %d bytes, %v", n, err)
			}
			wantBytes(r, "part", p, disk[off:off+len(p)])
		}
	})
}
