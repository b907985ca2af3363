package format

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sort"
)

// Image is a disk as the guest saw it at the newest point of a chain. It is
// safe for concurrent use.
type Image struct {
	layers []Layer
	facts  []facts  // of the layers
	flat   []Extent // tiles the disk
	size   int64
	cache  cache
}

// NewImage lays files of one disk over one another, oldest first: a base, and
// the increments that follow it without a gap. A base further up hides all that
// is below it. Files with damage are refused. (It has a type parameter so that a
// []*File can be passed as it is.)
func NewImage[L Layer](layers ...L) (*Image, error) {
	for _, l := range layers {
		if f := l.facts(); len(f.damage) > 0 {
			return nil, f.damage[0].refuse(f.name)
		}
	}
	return Salvage(layers...)
}

// Salvage is NewImage for files that are damaged: their lost ranges are extents
// of their own, and reading one is an error. What damage without a range means
// for the rest (File.Damage), the caller has to judge.
func Salvage[L Layer](layers ...L) (*Image, error) {
	m := &Image{}
	for _, l := range layers {
		m.layers = append(m.layers, l)
	}
	if err := follow(m.layers); err != nil {
		return nil, err
	}
	var longest int64
	for _, l := range layers {
		f := l.facts()
		m.facts, longest = append(m.facts, f), max(longest, f.longest)
	}
	m.size, m.cache = m.facts[len(layers)-1].size, newCache(longest)
	if m.size > 0 {
		m.flat = m.flatten()
	}
	return m, nil
}

// follow checks that layers are one disk's and follow one another.
func follow(layers []Layer) error {
	if len(layers) == 0 {
		return errors.New("image without layers")
	}
	if len(layers) > math.MaxInt32 {
		return fmt.Errorf("image of %d layers", len(layers))
	}
	if first := layers[0].facts(); !first.base {
		return fmt.Errorf("%s is no base: what it builds on is missing", first.name)
	}
	for i, l := range layers[1:] {
		if err := l.follows(layers[i]); err != nil {
			return err
		}
	}
	return nil
}

// flatten returns what is visible. At the bottom all is zero: a base's ranges
// without an entry, and what lies beyond an older layer's end. No layer shows
// more than the smallest disk from it to the top did.
func (m *Image) flatten() []Extent {
	lowest := len(m.facts) - 1
	for !m.facts[lowest].base {
		lowest--
	}
	limits := make([]int64, len(m.facts))
	limit := m.size
	for k := len(m.facts) - 1; k >= lowest; k-- {
		limit = min(limit, m.facts[k].size)
		limits[k] = limit
	}
	runs := [][]Extent{{{Length: m.size, Zero: true}}}
	for k := lowest; k < len(m.facts); k++ {
		runs = append(runs, m.facts[k].runs(int32(k), limits[k])...)
	}
	return join(flatten(runs))
}

// Size is the virtual size of the disk at the newest point, in bytes.
func (m *Image) Size() int64 { return m.size }

// Layers are the files of the image, oldest first. They must not be changed.
func (m *Image) Layers() []Layer { return m.layers }

// find returns the index of the extent that holds offset.
func (m *Image) find(offset int64) int {
	return sort.Search(len(m.flat), func(i int) bool { return m.flat[i].End() > offset })
}

// Extents yields what is visible in a range of the disk, in order and without
// gaps, cut to the range and to the disk.
func (m *Image) Extents(offset, length int64) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		from := min(max(offset, 0), m.size)
		to := from + min(max(length, 0), m.size-from)
		for i := m.find(from); from < to && i < len(m.flat) && m.flat[i].Offset < to; i++ {
			if !yield(m.flat[i].clip(from, to)) {
				return
			}
		}
	}
}

// ReadAt reads the disk as io.ReaderAt demands. Each chunk in the range is
// decoded once; one that is read in part is kept for the next call. A lost range
// and a chunk with a wrong sum are errors.
func (m *Image) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("read at negative offset %d", offset)
	}
	if offset >= m.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > m.size-offset {
		p, end = p[:m.size-offset], io.EOF
	}
	n := 0
	for i := m.find(offset); n < len(p); {
		batch := m.batch(i, offset+int64(len(p)))
		if err := m.fill(p, offset, batch); err != nil {
			return n, err
		}
		i += len(batch)
		n = int(min(batch[len(batch)-1].End()-offset, int64(len(p))))
	}
	return n, end
}

// batch returns the extents from i on that may show the same chunks and start
// before limit, at most 64.
func (m *Image) batch(i int, limit int64) []Extent {
	limit = min(limit, (m.flat[i].Offset/MaxChunk+1)*MaxChunk)
	k := i + 1
	for k < len(m.flat) && m.flat[k].Offset < limit && k-i < 64 {
		k++
	}
	return m.flat[i:k]
}

// fill reads extents into p, which holds the disk from offset on.
func (m *Image) fill(p []byte, offset int64, batch []Extent) error {
	var done uint64
	for i, x := range batch {
		switch dst, _ := part(p, offset, x); {
		case x.Lost:
			return fmt.Errorf("%d bytes at %d are lost: a page of the index is bad", x.Length, x.Offset)
		case x.Zero:
			clear(dst)
		case done&(1<<i) != 0:
		case int64(len(dst)) == m.entry(x).Length:
			if err := m.layers[x.Layer].ReadChunk(m.entry(x), dst); err != nil {
				return err
			}
		default:
			for k, y := range batch[i:] {
				if y.Data() && y.Layer == x.Layer && y.Entry == x.Entry {
					done |= 1 << (i + k)
				}
			}
			if err := m.scatter(p, offset, batch[i:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// scatter reads the chunk of the first extent into all extents that show it.
func (m *Image) scatter(p []byte, offset int64, batch []Extent) error {
	x := batch[0]
	s := m.cache.slot(x.Layer, x.Entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := m.entry(x)
	chunk, err := s.load(m.layers[x.Layer], x.Layer, x.Entry, e)
	if err != nil {
		return err
	}
	for _, y := range batch {
		if y.Data() && y.Layer == x.Layer && y.Entry == x.Entry {
			dst, at := part(p, offset, y)
			copy(dst, chunk[at-e.Offset:])
		}
	}
	return nil
}

func (m *Image) entry(x Extent) Entry { return m.facts[x.Layer].entries[x.Entry] }

// part returns what of p, the disk from offset on, x covers, and where on the
// disk that starts.
func part(p []byte, offset int64, x Extent) ([]byte, int64) {
	from := max(x.Offset, offset)
	to := max(min(x.End(), offset+int64(len(p))), from)
	if from-offset >= int64(len(p)) {
		return nil, from
	}
	return p[from-offset : to-offset], from
}

// Same says whether the image holds exactly these bytes, by their hash: without
// reading or decoding a chunk. p is one grain: it starts at a multiple of Grain
// and has Grain bytes, or ends with the disk. Where that cannot be told, because
// the range is lost, pieced together, or a stream's, which has no hashes, the
// answer is no.
func (m *Image) Same(offset int64, p []byte) (bool, error) {
	if offset < 0 || offset%Grain != 0 || offset >= m.size || int64(len(p)) != min(Grain, m.size-offset) {
		return false, fmt.Errorf("%d bytes at %d are no grain of a disk of %d bytes", len(p), offset, m.size)
	}
	x := m.flat[m.find(offset)]
	if x.Lost || x.End() < offset+int64(len(p)) {
		return false, nil
	}
	if x.Zero {
		return IsZero(p), nil
	}
	f, ok := m.layers[x.Layer].(*File)
	if !ok {
		return false, nil
	}
	e := m.entry(x)
	h, err := f.Hash(e, int((offset-e.Offset)/Grain))
	return err == nil && h == GrainHash(f.key, p), err
}
