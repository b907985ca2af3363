package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// smallFile has every part: two chunks, one compressed, a gap behind each, a zero
// entry, hashes, a gap, an index page, a footer.
func smallFile(t testing.TB) []byte {
	const size = MaxChunk + 2*Grain + 77
	return write(t, header(1, size, false), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(MaxChunk-Grain, text(Grain, "some words ")), w.Zero(0, 2*Grain),
			w.Data(MaxChunk+2*Grain, noise(77, 1)))
	})
}

// problems opens a file and says what is wrong with it.
func problems(b []byte) (*File, []string, error) {
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, nil, err
	}
	var all []string
	err = f.Check(context.Background(), true, func(d Damage) { all = append(all, d.String()) })
	return f, all, err
}

// TestEveryByteIsCovered: whichever byte of a file is changed, its check finds it,
// and an image with it is refused, or reads as it did, or not at all.
func TestEveryByteIsCovered(t *testing.T) {
	b := smallFile(t)
	f, all, err := problems(b)
	if err != nil || len(all) > 0 {
		t.Fatalf("sound file: %v, %v", all, err)
	}
	base := open(t, write(t, header(0, f.Header().Size, true), Options{}, none))
	sound := readOver(base, f)
	const parts = 4
	for part := range parts {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			b := bytes.Clone(b)
			for i := part; i < len(b) && !t.Failed(); i += parts {
				change := byte(1 << (i / parts % 8))
				b[i] ^= change
				f, all, err := problems(b)
				if err == nil && len(all) == 0 {
					t.Errorf("byte %d of %d changed by 0x%02x and nobody noticed", i, len(b), change)
				}
				if err == nil {
					if disk := readOver(base, f); disk != nil && !bytes.Equal(disk, sound) {
						t.Errorf("byte %d of %d changed by 0x%02x and other bytes are read", i, len(b), change)
					}
				}
				b[i] ^= change
			}
		})
	}
}

// readOver reads the disk that a file shows over a base; nil if that is refused.
func readOver(base, f *File) []byte {
	m, err := NewImage(base, f)
	if err != nil {
		return nil
	}
	disk := make([]byte, m.Size())
	if _, err := m.ReadAt(disk, 0); err != nil {
		return nil
	}
	return disk
}

func TestTruncatedFilesHoldNothing(t *testing.T) {
	b := smallFile(t)
	for n := range b {
		if _, err := Open(bytes.NewReader(b[:n]), int64(n)); err == nil {
			t.Fatalf("the first %d of %d bytes open", n, len(b))
		}
		if _, err := Open(bytes.NewReader(b[:n]), int64(len(b))); err == nil {
			t.Fatalf("the first %d of %d bytes open as if all were there", n, len(b))
		}
	}
	longer := append(bytes.Clone(b), make([]byte, Align)...)
	if _, err := Open(bytes.NewReader(longer), int64(len(longer))); err == nil {
		t.Fatal("a file with bytes behind its footer opens")
	}
}

// manyPages is an increment over all of a disk whose index has three pages.
func manyPages(t testing.TB) []byte {
	const grains = 2*(2*pageEntries+100) - 1 // every second one is an entry
	return write(t, header(1, grains*Grain, false), Options{}, func(w *Writer) error {
		err := w.Data(0, noise(Grain, 1))
		for i := int64(2); i < grains && err == nil; i += 2 {
			err = w.Zero(i*Grain, Grain)
		}
		return err
	})
}

// TestBadPages damages pages of an index and looks for the ranges that are named.
func TestBadPages(t *testing.T) {
	sound := manyPages(t)
	f := open(t, sound)
	wantSound(t, f)
	size := f.Header().Size
	page := func(k int) Entry { return f.Entries()[k*pageEntries] }     // first of page k
	before := func(k int) Entry { return f.Entries()[k*pageEntries-1] } // last before page k
	for _, c := range []struct {
		pages    []int
		from, to int64
	}{
		{[]int{0}, 0, page(1).Offset},
		{[]int{1}, before(1).End(), page(2).Offset},
		{[]int{2}, before(2).End(), size},
		{[]int{0, 1}, 0, page(2).Offset},
		{[]int{0, 1, 2}, 0, size},
	} {
		for _, at := range []int{0, pageNumber, pageSum, pageHead + 8, pageSize - 1} {
			b := bytes.Clone(sound)
			for _, k := range c.pages {
				b[int(f.footer.index)+k*pageSize+at] ^= 0x10
			}
			bad := open(t, b)
			d := bad.Damage()
			if len(d) != 1 || d[0].Offset != c.from || d[0].Offset+d[0].Length != c.to {
				t.Errorf("pages %v, byte %d: found %v, expected %d to %d", c.pages, at, d, c.from, c.to)
				continue
			}
			wantSalvage(t, bad, size, c.from, c.to)
		}
	}
}

// wantSalvage checks that exactly [from, to) of the disk is lost.
func wantSalvage(t *testing.T, bad *File, size, from, to int64) {
	t.Helper()
	base := open(t, write(t, header(0, size, true), Options{}, none))
	if _, err := NewImage(base, bad); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a damaged file makes an image: %v", err)
	}
	m, err := Salvage(base, bad)
	if err != nil {
		t.Fatal(err)
	}
	for x := range m.Extents(0, size) {
		if inside := x.Offset >= from && x.End() <= to; x.Lost != inside {
			t.Errorf("extent %+v, lost is %d to %d", x, from, to)
		}
	}
	p := make([]byte, Grain)
	for off := int64(0); off < size; off += Grain {
		if _, err := m.ReadAt(p, off); (err != nil) != (off >= from && off < to) {
			t.Fatalf("grain at %d: %v, lost is %d to %d", off, err, from, to)
		}
	}
}

func TestBadPageBetweenGenerations(t *testing.T) {
	const grains, later = 2 * pageEntries, 100 // the newer generation starts further on
	h := header(1, grains*Grain, true)
	h.Covers = [2]int{0, 1}
	b := write(t, h, Options{}, func(w *Writer) error {
		var err error
		for i := int64(0); i < grains; i += 2 { // one page of the older, one of the newer
			w.header.Sequence = 0
			err = errors.Join(err, w.Zero(i*Grain, Grain))
			w.header.Sequence = 1
			if i >= later {
				err = errors.Join(err, w.Zero(i*Grain, Grain))
			}
		}
		return err
	})
	wantSound(t, open(t, b))
	b[open(t, b).footer.index] ^= 1
	bad := open(t, b)
	if d := bad.Damage(); len(d) == 0 || d[0].Offset != 0 || d[0].Length != h.Size {
		t.Errorf("found %v, expected all of the disk", d)
	}
	m, err := Salvage(bad)
	if err != nil {
		t.Fatal(err)
	}
	if x := slices.Collect(m.Extents(0, m.Size())); len(x) != 1 || !x[0].Lost {
		t.Errorf("found %d extents, the first %+v", len(x), x[0])
	}
}

func TestLostRangeIsCutLikeData(t *testing.T) {
	b := manyPages(t)
	f := open(t, b)
	size, from := f.Header().Size, f.Entries()[2*pageEntries-1].End() // the last page is lost from here on
	b[f.footer.index+2*pageSize] ^= 1
	stack := func(small int64) *Image {
		m, err := Salvage(open(t, write(t, header(0, size, true), Options{}, none)), open(t, b),
			open(t, write(t, header(2, small, false), Options{}, none)), open(t, write(t, header(3, size, false), Options{}, none)))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, small := range []int64{from - Grain, from, from + Grain, size} {
		var gone int64
		for x := range stack(small).Extents(0, size) {
			if x.Lost {
				gone += x.Length
			}
		}
		if want := max(small-from, 0); gone != want {
			t.Errorf("after a disk of %d bytes %d are lost, expected %d", small, gone, want)
		}
	}
}

func TestPageOfAnotherFile(t *testing.T) {
	ours, theirs := manyPages(t), manyPages(t)
	at := open(t, ours).footer.index
	theirs = reseal(theirs, func(_ *Header, _ *footer, pages []byte) {
		pages[pageHead+1*entrySize+8+2] = 2 // another length: 2 grains
	})
	wantSound(t, open(t, theirs))
	copy(ours[at:at+pageSize], theirs[at:])
	if d := open(t, ours).Damage(); len(d) != 1 || !strings.Contains(d[0].Detail, "not those that the footer was written for") {
		t.Errorf("found %v", d)
	}
}

// TestEveryViolationIsListed damages a file in many places at once.
func TestEveryViolationIsListed(t *testing.T) {
	b := write(t, header(0, 4*MaxChunk, true), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(0, noise(MaxChunk, 1)), w.Data(MaxChunk, text(MaxChunk, "abc")), w.Data(2*MaxChunk, noise(MaxChunk, 2)))
	})
	f := open(t, b)
	e := f.Entries()
	b[e[0].FileOffset] ^= 1
	b[e[1].FileOffset+int64(e[1].Stored)] ^= 1 // the gap
	b[e[2].FileOffset+100] ^= 1
	b[f.footer.hashes+8*20] ^= 1
	b[f.footer.index-1] ^= 1
	b[f.footer.headerEnd-1] ^= 1
	all := damages(t, open(t, b))
	slices.Sort(all)
	want := []string{"1048576 bytes at 0 are lost", "1048576 bytes at 2097152 are lost", "gap at", "gap at", "grain at 1310720", "hashes at", "header hashes to"}
	if len(all) != len(want) {
		t.Fatalf("found\n%s", strings.Join(all, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(all[i], want[i]) {
			t.Errorf("found %q, expected %q", all[i], want[i])
		}
	}
}

func TestCheckStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := open(t, smallFile(t))
	for _, readData := range []bool{false, true} {
		if err := f.Check(ctx, readData, func(Damage) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("found %v", err)
		}
	}
}

// unreadable fails beyond its first bytes.
type unreadable struct {
	*bytes.Reader
	from, to int64
}

var errMedium = errors.New("medium error")

func (u unreadable) ReadAt(p []byte, off int64) (int, error) {
	if off < u.to && off+int64(len(p)) > u.from {
		return 0, errMedium
	}
	return u.Reader.ReadAt(p, off)
}

func TestWhatCannotBeReadIsDamage(t *testing.T) {
	b := smallFile(t)
	f := open(t, b)
	r := unreadable{bytes.NewReader(b), f.footer.headerEnd, f.footer.index}
	f, err := Open(r, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(damages(t, f), "\n")
	if strings.Count(all, "medium error") < 3 {
		t.Errorf("found %s", all)
	}
	p := make([]byte, Grain)
	if err := f.ReadChunk(f.Entries()[1], p); !errors.Is(err, errMedium) {
		t.Errorf("found %v", err)
	}
	if _, err := f.Hash(f.Entries()[1], 0); !errors.Is(err, errMedium) {
		t.Errorf("found %v", err)
	}
	for _, r := range []unreadable{{bytes.NewReader(b), 0, Align}, {bytes.NewReader(b), f.footer.index, f.footer.index + 1}, {bytes.NewReader(b), int64(len(b)) - 1, int64(len(b))}} {
		if _, err := Open(r, int64(len(b))); !errors.Is(err, errMedium) {
			t.Errorf("open: found %v", err)
		}
	}
}

func TestFooterHash(t *testing.T) {
	b := smallFile(t)
	size := int64(len(b))
	if h, err := FooterHash(bytes.NewReader(b), size); err != nil || h != open(t, b).Summary().FooterHash {
		t.Errorf("found %016x, %v", h, err)
	}
	for n := range size {
		if n%Align == 0 || n < 10 || n > size-10 {
			if _, err := FooterHash(bytes.NewReader(b[:n]), n); err == nil {
				t.Errorf("the first %d of %d bytes have a footer", n, size)
			}
		}
	}
}

func TestForeignEntriesAreRefused(t *testing.T) {
	f := open(t, smallFile(t))
	e := f.Entries()[1]
	if err := f.ReadChunk(e, make([]byte, 5)); err == nil {
		t.Error("a destination of another length was accepted")
	}
	e.Stored = 1 << 30
	if err := f.ReadChunk(e, make([]byte, e.Length)); err == nil {
		t.Error("an entry of 1 GiB was read")
	}
	for _, i := range []int{-1, e.Grains()} {
		if _, err := f.Hash(e, i); err == nil {
			t.Errorf("hash %d was found", i)
		}
	}
}
