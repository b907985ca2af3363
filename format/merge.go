package format

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Named is a file with its name, by which others name the chunks in it.
type Named struct {
	Name string // in the folder of the chain
	*File
}

// MergeOptions say how a merge is written.
type MergeOptions struct {
	Version string // of the program, for the header

	// Share appends a range of the named file to the output without moving its
	// bytes (reflink); offset and length are multiples of Align. Nil where the file
	// system cannot: then chunks stay where they are, and are named by slot.
	Share func(name string, offset, length int64) error
}

// Merged is what Merge has written.
type Merged struct {
	Summary
	Slots  []Slot  // the files without which this one is nothing
	Probes []Entry // chunks to read back: all that were copied, and both ends of what was shared
}

// Merge writes one file that shows what neighbours of a chain show, laid over one
// another; oldest first, each covering the generations right after the one before.
// It has the header of the newest, and is a base if one of them is. No chunk is
// decoded: entries keep their generation, sum and hashes. The files are refused
// if they are damaged; what they read is checked by Check(ctx, false, ...), which
// is the caller's, and by the sum of each chunk that is copied.
func Merge(ctx context.Context, w io.Writer, files []Named, o MergeOptions) (Merged, error) {
	if len(files) == 0 {
		return Merged{}, errors.New("merge of nothing")
	}
	m := &merge{ctx: ctx, options: o}
	newest := files[len(files)-1].header
	if err := m.take(files); err != nil {
		return Merged{}, fmt.Errorf("merge %s up to point %d: %w", newest.Disk, newest.Sequence, err)
	}
	m.layout()
	out, err := m.write(w)
	if err != nil {
		return Merged{}, fmt.Errorf("merge %s up to point %d: %w", newest.Disk, newest.Sequence, err)
	}
	return out, nil
}

// merge is one run of Merge.
type merge struct {
	ctx     context.Context
	options MergeOptions
	files   []Named // from the last base on
	header  Header  // of the result
	entries []Entry // of the result
	tags    []tag   // of the entries
	sources []*source
	probes  []Entry
}

// tag says where an entry comes from.
type tag struct {
	file   int32 // of merge.files: has its hashes
	source int32 // of merge.sources: has its chunk; -1 for zeroes
}

// take decides what the result holds.
func (m *merge) take(files []Named) error {
	for i, f := range files {
		if d := f.Damage(); len(d) > 0 {
			return d[0].refuse(f.Name)
		}
		if i > 0 {
			if err := f.follows(files[i-1].File); err != nil {
				return err
			}
			if f.header.HashKey != files[0].header.HashKey {
				return fmt.Errorf("%s has another hash key than %s", f.Name, files[0].Name)
			}
		}
		if f.header.Base {
			m.files = nil // it hides all below
		}
		m.files = append(m.files, f)
	}
	m.header = files[len(files)-1].header
	m.header.Version, m.header.Files = m.options.Version, nil
	m.header.Base = m.files[0].header.Base
	m.header.Covers[0] = m.files[0].header.Covers[0]
	return m.candidates()
}

// candidates lists what the files have within the disk, by generation, then
// offset, and leaves out what can never be seen.
func (m *merge) candidates() error {
	limits, most := m.limits(), 0
	for _, f := range m.files {
		most += len(f.index.entries) + 1
	}
	m.entries, m.tags = make([]Entry, 0, most), make([]tag, 0, most)
	bySource := map[string]int32{}
	for i, f := range m.files {
		numbers := m.addSources(f, bySource)
		for _, e := range f.index.entries {
			if e.Offset >= limits[i] {
				continue
			}
			t := tag{int32(i), -1}
			if e.Zero {
				e.Length = min(e.Length, limits[i]-e.Offset)
			} else {
				t.source = numbers[e.Slot]
			}
			m.entries, m.tags = append(m.entries, e), append(m.tags, t)
		}
		// What a smaller disk cut stays cut, here and in the layers below.
		if size := f.header.Size; i+1 < len(m.files) && size < limits[i+1] {
			cut := Entry{Offset: size, Length: limits[i+1] - size, Zero: true, Generation: uint32(f.header.Covers[1])}
			m.entries, m.tags = append(m.entries, cut), append(m.tags, tag{int32(i), -1})
		}
	}
	if len(m.entries) > math.MaxInt32 {
		return fmt.Errorf("%d entries, at most %d are possible", len(m.entries), math.MaxInt32)
	}
	keep := visible(m.entries, m.header)
	n := 0
	for i := range m.entries {
		if keep[i] {
			m.entries[n], m.tags[n] = m.entries[i], m.tags[i]
			n++
		}
	}
	m.entries, m.tags = m.entries[:n], m.tags[:n]
	return nil
}

// limits is how much of the disk each file shows: the smallest disk from it on.
func (m *merge) limits() []int64 {
	limits := make([]int64, len(m.files))
	limit := int64(maxSize)
	for i, f := range slices.Backward(m.files) {
		limit = min(limit, f.header.Size)
		limits[i] = limit
	}
	return limits
}

// visible says of each entry whether the result needs it: data that shows, and
// zeroes that show and hide something. In a base that is only data of an older
// generation; otherwise it may be a layer below.
func visible(entries []Entry, h Header) []bool {
	f := facts{entries: entries, newest: uint32(h.Covers[1])}
	keep := make([]bool, len(entries))
	for _, x := range flatten(f.runs(0, h.Size)) {
		keep[x.Entry] = true
	}
	if !h.Base {
		return keep
	}
	var data []Entry
	for i, e := range entries {
		if keep[i] && !e.Zero {
			data = append(data, e)
		}
	}
	runs := facts{entries: data}.runs(0, h.Size)
	slices.Reverse(runs)
	oldest := flatten(runs)
	for i, e := range entries {
		keep[i] = keep[i] && (!e.Zero || hides(e, oldest, data))
	}
	return keep
}

// hides says whether a zero entry lies over older data. oldest shows at each
// place the data of the lowest generation.
func hides(e Entry, oldest []Extent, data []Entry) bool {
	from, _ := slices.BinarySearchFunc(oldest, e.Offset, func(x Extent, offset int64) int {
		if x.End() <= offset {
			return -1
		}
		return 1
	})
	for _, x := range oldest[from:] {
		if x.Offset >= e.End() {
			return false
		}
		if data[x.Entry].Generation < e.Generation {
			return true
		}
	}
	return false
}

// write writes the result.
func (m *merge) write(w io.Writer) (Merged, error) {
	out, err := NewWriter(w, m.header, Options{})
	if err != nil {
		return Merged{}, err
	}
	for _, s := range m.sources {
		if s.slot == 0 {
			if err := m.move(out, s); err != nil {
				return Merged{}, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	if err := m.hashes(out); err != nil {
		return Merged{}, err
	}
	out.entries = listOf(m.entries)
	s, err := out.Close()
	return Merged{Summary: s, Slots: m.header.Files, Probes: m.probes}, err
}

// hashes takes the hashes of the entries along.
func (m *merge) hashes(out *Writer) error {
	windows := make([]window, len(m.files))
	for i, f := range m.files {
		windows[i] = window{r: f.r, end: f.footer.hashes + 8*f.footer.hashCount}
	}
	for i := range m.entries {
		e := &m.entries[i]
		if e.Zero {
			continue
		}
		if i%pageEntries == 0 && m.ctx.Err() != nil {
			return context.Cause(m.ctx)
		}
		k := m.tags[i].file
		b, err := windows[k].read(m.files[k].footer.hashes+8*e.firstHash, 8*e.Grains())
		if err != nil {
			return fmt.Errorf("%s: hashes: %w", m.files[k].Name, err)
		}
		e.firstHash = out.hashes.length
		out.hashes.append(decodeHashes(b))
		out.foot.data, out.foot.stored = out.foot.data+e.Length, out.foot.stored+int64(e.Stored)
	}
	return nil
}
