package format

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
)

const (
	pageSize    = 64 << 10
	pageHead    = 64
	pageEntries = (pageSize - pageHead) / entrySize
	pageMagic   = "VBK3PAGE"
)

// Offsets in a page's head.
const (
	pageNumber   = 8
	pageCount    = 12
	pageFirst    = 16
	pageReserved = 24
	pageSum      = 48
)

// encodePage fills the page b with at most pageEntries entries and returns its sum.
func encodePage(b []byte, number int64, entries []Entry) sum128 {
	clear(b)
	copy(b, pageMagic)
	binary.LittleEndian.PutUint32(b[pageNumber:], uint32(number))
	binary.LittleEndian.PutUint32(b[pageCount:], uint32(len(entries)))
	binary.LittleEndian.PutUint64(b[pageFirst:], uint64(entries[0].Offset))
	for i, e := range entries {
		e.put(b[pageHead+i*entrySize:])
	}
	sum := hash128(b) // over the page with NUL in place of the sum
	copy(b[pageSum:], sum[:])
	return sum
}

// lost is a range that a bad page of the index may have described.
type lost struct {
	offset, length int64
	generation     uint32
}

// index is what a file's index pages say.
type index struct {
	entries []Entry // by generation, then offset
	lost    []lost
	damage  []Damage
}

func (x *index) each() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := range x.entries {
			if !yield(&x.entries[i]) {
				return
			}
		}
	}
}

// indexReader takes pages one by one and keeps what they must agree on.
type indexReader struct {
	header Header
	footer footer
	slots  []slotFile
	index  index

	generation uint32 // of the last good entry
	end        int64  // where the last good entry ends
	hash       int64  // first hash that no good entry has
	guess      bool   // a page before was bad: hash is only a lower bound
	bad        int    // pages since the last good one
	detail     string // of the first of them

	found, computed []byte // page sums as they stand in the heads, and as they should
}

// maxReserve bounds what is allocated on the word of a footer alone, in entries.
const maxReserve = 1 << 20

// readIndex reads all pages. It fails only if they cannot be read; what is wrong
// with them is damage.
func readIndex(r io.ReaderAt, h Header, f footer, slots []slotFile) (index, error) {
	x := &indexReader{header: h, footer: f, slots: slots, generation: uint32(h.Covers[0])}
	x.index.entries = make([]Entry, 0, min(f.entries, maxReserve))
	const batch = 16
	buf := make([]byte, min(f.indexSize, batch*pageSize))
	for at := int64(0); at < f.indexSize; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), f.indexSize-at)]
		if err := readFull(r, buf, f.index+at); err != nil {
			return index{}, fmt.Errorf("index: %w", err)
		}
		for i := 0; i < len(buf); i += pageSize {
			x.page(buf[i:i+pageSize], (at+int64(i))/pageSize)
		}
	}
	x.finish()
	return x.index, nil
}

// page takes in one page: all its entries, or none of them.
func (x *indexReader) page(b []byte, number int64) {
	keep := *x
	err := x.parse(b, number)
	if err == nil {
		return
	}
	keep.found, keep.computed = x.found, x.computed
	*x = keep // entries appended behind the old length are forgotten
	if x.bad == 0 {
		x.detail = fmt.Sprintf("index page %d: %v", number, err)
	}
	x.bad++
	x.guess = true
}

func (x *indexReader) parse(b []byte, number int64) error {
	found := sum128(b[pageSum:pageHead])
	clear(b[pageSum:pageHead])
	computed := hash128(b)
	x.found, x.computed = append(x.found, found[:]...), append(x.computed, computed[:]...)
	if found != computed {
		return fmt.Errorf("hashes to %x, expected %x", computed, found)
	}
	le := binary.LittleEndian
	count := int(min(x.footer.entries-number*pageEntries, pageEntries))
	used := pageHead + count*entrySize
	switch {
	case string(b[:len(pageMagic)]) != pageMagic:
		return fmt.Errorf("starts with %q, expected %q", b[:len(pageMagic)], pageMagic)
	case int64(le.Uint32(b[pageNumber:])) != number:
		return fmt.Errorf("calls itself page %d", le.Uint32(b[pageNumber:]))
	case int(le.Uint32(b[pageCount:])) != count:
		return fmt.Errorf("has %d entries, expected %d", le.Uint32(b[pageCount:]), count)
	case le.Uint64(b[pageFirst:]) != le.Uint64(b[pageHead:]):
		return fmt.Errorf("first offset is %d, expected that of its first entry, %d", le.Uint64(b[pageFirst:]), le.Uint64(b[pageHead:]))
	case !IsZero(b[pageReserved:pageSum]) || !IsZero(b[used:]):
		return fmt.Errorf("has reserved bytes that are not zero")
	}
	for i := range count {
		e, err := parseEntry(b[pageHead+i*entrySize:])
		if err == nil {
			err = x.add(e)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return nil
}

// add appends an entry if it follows the one before.
func (x *indexReader) add(e Entry) error {
	if err := e.fits(x.header, x.footer, x.slots); err != nil {
		return err
	}
	if e.Generation < x.generation || e.Generation == x.generation && e.Offset < x.end {
		return fmt.Errorf("range at %d of generation %d is not behind the one before, which ends at %d of generation %d",
			e.Offset, e.Generation, x.end, x.generation)
	}
	if !e.Zero {
		if e.firstHash < x.hash || e.firstHash > x.hash && !x.guess {
			return fmt.Errorf("first hash is %d, expected %d", e.firstHash, x.hash)
		}
		x.hash, x.guess = e.firstHash+int64(e.Grains()), false
	}
	if x.bad > 0 {
		x.lose(e.Generation, e.Offset)
	}
	x.generation, x.end = e.Generation, e.End()
	x.index.entries = append(x.index.entries, e)
	return nil
}

// lose records what the bad pages before (generation, offset) may have
// described: the range between their good neighbours, or all of the disk where
// these are of different generations.
func (x *indexReader) lose(generation uint32, offset int64) {
	l := lost{offset: x.end, length: offset - x.end, generation: generation}
	if generation != x.generation || l.length <= 0 {
		l = lost{length: x.header.Size, generation: uint32(x.header.Covers[1])}
	}
	x.index.lost = append(x.index.lost, l)
	detail := x.detail
	if x.bad > 1 {
		detail = fmt.Sprintf("%s (and %d pages behind it)", detail, x.bad-1)
	}
	x.damage(l.offset, l.length, detail)
	x.bad = 0
}

func (x *indexReader) damage(offset, length int64, detail string) {
	x.index.damage = append(x.index.damage, Damage{Offset: offset, Length: length, Detail: detail})
}

// finish checks what only the whole index can show.
func (x *indexReader) finish() {
	whole := len(x.index.lost) == 0 && x.bad == 0
	if x.bad > 0 {
		x.lose(uint32(x.header.Covers[1]), x.header.Size)
	}
	// The footer vouches for the pages by their sums. Where a page is bad, the sum
	// in its head or the one computed from it may still be the one it was written with.
	if hash128(x.found) != x.footer.indexSum && hash128(x.computed) != x.footer.indexSum {
		x.damage(0, 0, "index pages are not those that the footer was written for")
	}
	if !whole {
		return
	}
	if x.hash != x.footer.hashCount {
		x.damage(0, 0, fmt.Sprintf("index uses %d hashes, footer says %d", x.hash, x.footer.hashCount))
	}
	var data, stored int64
	for _, e := range x.index.entries {
		if !e.Zero {
			data, stored = data+e.Length, stored+int64(e.Stored)
		}
	}
	if data != x.footer.data || stored != x.footer.stored {
		x.damage(0, 0, fmt.Sprintf("index has %d bytes of data in %d stored, footer says %d in %d",
			data, stored, x.footer.data, x.footer.stored))
	}
}
