package format

import "fmt"

// Layer is one file of a chain as an Image sees it: a *File (v3), or a *Stream
// (v1, v2, raw).
type Layer interface {
	// Entries is the layer's index; where entries overlap, the later one counts.
	// It must not be changed.
	Entries() []Entry

	// ReadChunk reads the data of one of these entries into dst, which has
	// exactly e.Length bytes. What is stored is checked as far as it can be. It is
	// safe for concurrent use.
	ReadChunk(e Entry, dst []byte) error

	facts() facts
	follows(below Layer) error // it has to lie on this one, or hide it
}

// facts is what an Image asks a layer once.
type facts struct {
	name    string // disk and point, for messages
	size    int64  // of the disk, bytes
	base    bool   // ranges without an entry are zero, not the older layers'
	entries []Entry
	longest int64  // no entry of data has more bytes
	newest  uint32 // generation of the layer's own point
	lost    []lost
	damage  []Damage
}

func (f *File) facts() facts {
	h := f.header
	return facts{
		name: fmt.Sprintf("%s of point %d", h.Disk, h.Sequence), size: h.Size, base: h.Base,
		entries: f.index.entries, longest: MaxChunk, newest: uint32(h.Covers[1]), lost: f.index.lost, damage: f.index.damage,
	}
}

func (f *File) follows(below Layer) error {
	file, ok := below.(*File)
	if !ok {
		return fmt.Errorf("%s is a v3 file, found %s, a stream, below it", f.facts().name, below.facts().name)
	}
	h, first := f.header, file.header
	if h.StoreID != first.StoreID || h.Chain != first.Chain || h.UUID != first.UUID || h.Disk != first.Disk {
		return fmt.Errorf("%s of %s, chain %s/%s, does not belong to %s of %s, chain %s/%s",
			h.Disk, h.UUID, h.StoreID, h.Chain, first.Disk, first.UUID, first.StoreID, first.Chain)
	}
	if h.Covers[0] <= first.Covers[1] {
		return fmt.Errorf("%s: point %d is not newer than point %d below it", h.Disk, h.Covers[0], first.Covers[1])
	}
	if !h.Base && h.Covers[0] != first.Covers[1]+1 {
		return fmt.Errorf("%s: point %d builds on point %d, found point %d below it: one is missing",
			h.Disk, h.Covers[0], h.Covers[0]-1, first.Covers[1])
	}
	return nil
}

// runs returns the layer's extents within the first limit bytes of the disk, as
// runs that do not overlap themselves, each over the ones before. Data is cut at
// multiples of MaxChunk. A range that an index lost is a run of its own, above
// the older generations and below the newer ones.
func (f facts) runs(layer int32, limit int64) [][]Extent {
	var all [][]Extent
	gone := f.lost
	loseBefore := func(generation int64) {
		for len(gone) > 0 && int64(gone[0].generation) < generation {
			if x := (Extent{Offset: gone[0].offset, Length: gone[0].length, Lost: true}); x.Offset < limit {
				all = append(all, []Extent{x.clip(0, limit)})
			}
			gone = gone[1:]
		}
	}
	var run []Extent
	for i, e := range f.entries {
		if i == 0 || !inOrder(f.entries[i-1], e) {
			if len(run) > 0 {
				all = append(all, run)
			}
			loseBefore(int64(e.Generation))
			run = make([]Extent, 0, f.count(i))
		}
		run = e.appendTo(run, Extent{Layer: layer, Entry: int32(i), Zero: e.Zero}, limit)
	}
	if len(run) > 0 {
		all = append(all, run)
	}
	loseBefore(int64(f.newest) + 1)
	return all
}

// inOrder says whether b may follow a in a run.
func inOrder(a, b Entry) bool { return a.Generation == b.Generation && a.End() <= b.Offset }

// count is the number of entries of the run that starts at i.
func (f facts) count(i int) int {
	n := i + 1
	for n < len(f.entries) && inOrder(f.entries[n-1], f.entries[n]) {
		n++
	}
	return n - i
}

// appendTo appends what of the entry lies below limit, as extents like x.
func (e Entry) appendTo(run []Extent, x Extent, limit int64) []Extent {
	limit = min(limit, e.End())
	for at := e.Offset; at < limit; at = x.End() {
		x.Offset, x.Length = at, limit-at
		if !e.Zero {
			x.Length = min(x.Length, (at/MaxChunk+1)*MaxChunk-at)
		}
		run = append(run, x)
	}
	return run
}
