package executor

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vbk/format"
	"vbk/nbd"
)

// fakeExport is a disk whose block status knows some of the zeroes, in pieces of
// any length.
type fakeExport struct {
	rand    *rand.Rand
	content []byte
	dirty   map[int64]bool // grains
}

func (e fakeExport) Size() int64                 { return int64(len(e.content)) }
func (e fakeExport) Prime(context.Context) error { return nil }
func (e fakeExport) Close() error                { return nil }

func (e fakeExport) Extents(_ context.Context, offset, length int64) ([]nbd.Extent, error) {
	var all []nbd.Extent
	for at, end := offset, offset+length; at < end; {
		n := min(end-at, []int64{512, 4096, format.Grain}[e.rand.IntN(3)])
		n = min(n, (at/format.Grain+1)*format.Grain-at) // one grain has one bit
		zero := format.IsZero(e.content[at:at+n]) && e.rand.IntN(4) > 0
		all = append(all, nbd.Extent{Offset: at, Length: n, Zero: zero, Dirty: e.dirty[at/format.Grain]})
		at += n
	}
	return all, nil
}

func (e fakeExport) ReadBatch(_ context.Context, reads []nbd.Read) error {
	for _, r := range reads {
		copy(r.Data, e.content[r.Offset:])
	}
	return nil
}

// guest is a disk with the chain of its points.
type guest struct {
	t       *rapid.T
	content []byte
	dirty   map[int64]bool
	layers  []*format.File
}

// live lets the guest write, and its disk grow and shrink.
func (g *guest) live() {
	size := rapid.SampledFrom([]int{len(g.content), len(g.content), 1, format.Grain, 3*format.Grain + 512, 40*format.Grain + 7}).Draw(g.t, "size")
	resized := make([]byte, size)
	copy(resized, g.content)
	g.content = resized
	for range rapid.IntRange(0, 4).Draw(g.t, "writes") {
		from := rapid.IntRange(0, size-1).Draw(g.t, "from")
		n := min(size-from, rapid.SampledFrom([]int{1, 512, format.Grain, 5 * format.Grain}).Draw(g.t, "length"))
		copy(g.content[from:from+n], bytes.Repeat([]byte{byte(rapid.IntRange(0, 2).Draw(g.t, "byte"))}, n))
		for at := from / format.Grain; at <= (from+n-1)/format.Grain; at++ {
			g.dirty[int64(at)] = true
		}
	}
}

// point adds a file to the chain.
func (g *guest) point(base bool, source func(Export) Source, filter func(Sink) Sink) *format.File {
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{
		StoreID: "0a1b2c3d", Chain: "20261122T013000Z-9f3c", Sequence: len(g.layers), Attempt: "5d21ab90",
		UUID: "4c1f9d2a-0000-4000-8000-000000000001", Disk: "vda", Disks: []string{"vda"}, HashKey: strings.Repeat("7a", 32),
		Base: base, Size: int64(len(g.content)),
	}, format.Options{Codec: format.None})
	if err != nil {
		g.t.Fatal(err)
	}
	if err := Copy(context.Background(), filter(w), source(fakeExport{rand.New(rand.NewPCG(rapid.Uint64().Draw(g.t, "status"), 0)), g.content, g.dirty}), func(int64) {}); err != nil {
		g.t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		g.t.Fatal(err)
	}
	file, err := format.Open(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		g.t.Fatal(err)
	}
	g.layers, g.dirty = append(g.layers, file), map[int64]bool{}
	if !bytes.Equal(g.restored(), g.content) {
		g.t.Fatalf("point %d differs from the disk", len(g.layers)-1)
	}
	return file
}

func (g *guest) image() *format.Image {
	image, err := format.NewImage(g.layers...)
	if err != nil {
		g.t.Fatal(err)
	}
	return image
}

func (g *guest) restored() []byte {
	image := g.image()
	content := make([]byte, image.Size())
	if _, err := image.ReadAt(content, 0); err != nil {
		g.t.Fatal(err)
	}
	return content
}

// TestResync: a disk is what it was, whatever happened to it since the last
// point, and no grain is stored that the chain has already.
func TestResync(t *testing.T) {
	for range 10 { // they are fast
		rapid.Check(t, resyncHistory)
	}
}

func resyncHistory(t *rapid.T) {
	g := &guest{t: t, content: make([]byte, 20*format.Grain+100), dirty: map[int64]bool{}}
	g.live()
	g.point(true, func(e Export) Source { return exportSource{e, holdsData} }, whole)
	for range rapid.IntRange(1, 6).Draw(t, "points") {
		size, before := len(g.content), g.restored()
		g.live()
		if size == len(g.content) && rapid.Bool().Draw(t, "increment") {
			g.point(false, func(e Export) Source { return exportSource{e, isDirty} }, whole)
			continue
		}
		known := g.image()
		file := g.point(false, func(e Export) Source { return resyncSource{exportSource{e, everything}, known} },
			func(s Sink) Sink { return resyncSink{s, known} })
		wantNews(t, file, before, g.content)
	}
}

// wantNews wants each grain in a file to differ from the one before, unless one
// of them is the disk's ragged end or beyond it.
func wantNews(t *rapid.T, f *format.File, before, after []byte) {
	grain := func(disk []byte, at int64) []byte {
		from := min(at, int64(len(disk)))
		return disk[from:min(at+format.Grain, int64(len(disk)))]
	}
	for _, e := range f.Entries() {
		for at := e.Offset; at < e.End(); at += format.Grain {
			if slices.Equal(grain(before, at), grain(after, at)) {
				t.Fatalf("the grain at %d is stored again: %+v; %d bytes were %d", at, e, len(after), len(before))
			}
		}
	}
}

// TestResyncOfZeroes: of what is zero before and after nothing is stored.
func TestResyncOfZeroes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &guest{t: t, content: make([]byte, 300*format.Grain), dirty: map[int64]bool{}}
		g.point(true, func(e Export) Source { return exportSource{e, holdsData} }, whole)
		known := g.image()
		file := g.point(false, func(e Export) Source { return resyncSource{exportSource{e, everything}, known} },
			func(s Sink) Sink { return resyncSink{s, known} })
		if n := len(file.Entries()); n > 0 {
			t.Fatalf("%d entries for a disk that is zero", n)
		}
	})
}
