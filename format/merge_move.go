package format

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"slices"
)

const (
	mostSlots  = 512     // files that a merge leaves chunks in: their names fit into a header, and a reader can open them all
	shareLimit = 1 << 30 // bytes that one call of Share is given
)

// source is a file that holds chunks of the result.
type source struct {
	slotFile
	slot    uint16  // in the result; 0: its chunks go into the result's own file
	live    int64   // bytes of chunks that the result needs
	entries []int32 // that name them
}

// addSources adds the file, and those that it names, where they are not known
// yet. The answer maps its slots to m.sources.
func (m *merge) addSources(f Named, known map[string]int32) []int32 {
	self := f.self()
	self.Name = f.Name
	var numbers []int32
	for _, s := range append([]slotFile{self}, f.slots...) {
		k, ok := known[s.Name]
		if !ok {
			k = int32(len(m.sources))
			known[s.Name] = k
			m.sources = append(m.sources, &source{slotFile: s})
		}
		numbers = append(numbers, k)
	}
	return numbers
}

// layout decides which files are named by slot, and gives their entries the slot.
func (m *merge) layout() {
	for i, e := range m.entries {
		if !e.Zero {
			s := m.sources[m.tags[i].source]
			s.entries, s.live = append(s.entries, int32(i)), s.live+e.span().Length
		}
	}
	for _, s := range m.named() {
		m.header.Files = append(m.header.Files, s.Slot)
		s.slot = uint16(len(m.header.Files))
	}
	for i := range m.entries {
		if e := &m.entries[i]; !e.Zero {
			e.Slot = m.sources[m.tags[i].source].slot
		}
	}
}

// named is the files to name by slot, those with most live bytes first. One that
// is more than half dead is copied: so what is dead never exceeds what lives.
func (m *merge) named() []*source {
	if m.options.Share != nil {
		return nil
	}
	var all []*source
	for _, s := range m.sources {
		if s.live > 0 && s.live >= s.to-s.from-s.live {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b *source) int { return cmp.Compare(b.live, a.live) })
	return all[:min(len(all), mostSlots)]
}

// move brings the chunks of a source into the result's own file.
func (m *merge) move(out *Writer, s *source) error {
	slices.SortFunc(s.entries, func(a, b int32) int {
		return cmp.Compare(m.entries[a].FileOffset, m.entries[b].FileOffset)
	})
	for rest := s.entries; len(rest) > 0; {
		if err := context.Cause(m.ctx); err != nil {
			return err
		}
		n, err := 1, error(nil)
		if m.options.Share != nil {
			n = m.stretch(rest)
			err = m.share(out, s, rest[:n])
		} else {
			err = m.copy(out, s, rest[0])
		}
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// stretch is how many chunks, from the first on, lie side by side.
func (m *merge) stretch(entries []int32) int {
	from := m.entries[entries[0]].FileOffset
	at, n := from, 0
	for _, i := range entries {
		x := m.entries[i].span()
		if x.Offset != at || at+x.Length-from > shareLimit {
			break
		}
		at, n = at+x.Length, n+1
	}
	return n
}

// share takes chunks that lie side by side over without moving them.
func (m *merge) share(out *Writer, s *source, entries []int32) error {
	first, last := &m.entries[entries[0]], &m.entries[entries[len(entries)-1]]
	from := first.FileOffset
	length := last.span().Offset + last.span().Length - from
	if err := m.options.Share(s.Name, from, length); err != nil {
		return err
	}
	for _, i := range entries {
		m.entries[i].FileOffset += out.offset - from
	}
	out.offset += length
	m.probes = append(m.probes, *first)
	if len(entries) > 1 {
		m.probes = append(m.probes, *last)
	}
	return nil
}

// copy takes one chunk over as it is stored.
func (m *merge) copy(out *Writer, s *source, entry int32) error {
	e := &m.entries[entry]
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	stored := (*buf)[:e.Stored]
	if err := e.readFrom(s.r, stored); err != nil {
		return err
	}
	e.FileOffset = out.offset
	m.probes = append(m.probes, *e)
	return out.writePadded(stored)
}

// window reads pieces of a file that mostly follow one another.
type window struct {
	r   io.ReaderAt
	end int64 // of what may be read
	at  int64 // of buf
	buf []byte
}

func (w *window) read(at int64, n int) ([]byte, error) {
	if at < w.at || at+int64(n) > w.at+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, Grain)
		}
		w.at, w.buf = at, w.buf[:min(int64(cap(w.buf)), w.end-at)]
		if err := readFull(w.r, w.buf, at); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	return w.buf[at-w.at:][:n], nil
}

func decodeHashes(b []byte) []uint64 {
	hashes := make([]uint64, 0, MaxChunk/Grain)
	for ; len(b) > 0; b = b[8:] {
		hashes = append(hashes, binary.LittleEndian.Uint64(b))
	}
	return hashes
}
