package format

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/xxh3"
)

// Summary is what a file holds, in bytes unless said otherwise.
type Summary struct {
	FileSize   int64
	Data       int64  // of the disk, in data entries
	Zero       int64  // of the disk, recorded as zero; in a base that is all but the data
	Stored     int64  // of the chunks, as they are stored
	FooterHash uint64 // XXH3-64 of the footer, its last 8 bytes
	Entries    int    // in the index
}

// Writer writes one file, front to back. Data and Zero may be called from any
// number of goroutines: each hashes, compresses and, where the file is an
// io.WriterAt, writes in its own; only the place is given out one after another.
// Chunks lie in the order in which they came, the index sorts them.
type Writer struct {
	w       io.Writer
	at      io.WriterAt // w, if it is one
	header  Header
	key     Key
	encoder encoder // nil for Codec None

	mu      sync.Mutex
	foot    footer
	offset  int64     // bytes written
	entries entryList // in order of arrival, as are the hashes
	hashes  hashList
	err     error // the first failure, which condemns the file, or errClosed
}

// NewWriter writes the header to w, which is empty, and returns a Writer for the
// rest. It sets the header's FormatVersion, and Covers if it is zero.
func NewWriter(w io.Writer, h Header, o Options) (*Writer, error) {
	h.FormatVersion = Version
	if h.Covers == [2]int{} {
		h.Covers = [2]int{h.Sequence, h.Sequence}
	}
	if err := errors.Join(h.check(), o.check()); err != nil {
		return nil, fmt.Errorf("write %s: %w", h.Disk, err)
	}
	b, err := h.encode()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", h.Disk, err)
	}
	out := &Writer{w: w, header: h}
	out.at, _ = w.(io.WriterAt)
	out.key, _ = ParseKey(h.HashKey) // checked above
	if o.Codec == Zstd {
		if out.encoder, err = newEncoder(max(o.Level, 1)); err != nil {
			return nil, fmt.Errorf("write %s: %w", h.Disk, err)
		}
	}
	if err := out.write(b); err != nil {
		return nil, err
	}
	out.foot.headerEnd, out.foot.headerSum = out.offset, hash128(b)
	return out, nil
}

// Data records the guest's bytes p at an offset of the disk. The range starts
// on a multiple of Grain and ends on one, or at the disk's end. Grains that hold
// nothing but zeroes are recorded as zero. An error of the underlying writer
// condemns the file and comes back from every later call.
func (w *Writer) Data(offset int64, p []byte) error {
	if err := w.check("data", offset, int64(len(p))); err != nil {
		return err
	}
	for len(p) > 0 {
		n := min(int64(len(p)), MaxChunk-offset%MaxChunk)
		if err := w.split(offset, p[:n]); err != nil {
			return err
		}
		offset, p = offset+n, p[n:]
	}
	return nil
}

// Zero records that a range of the disk is zero. The same boundaries apply as to
// Data: what lies between a ragged end and the grain has to be read, because
// nobody else knows what it is. In a base, where what is not recorded is zero
// anyway, it costs nothing.
func (w *Writer) Zero(offset, length int64) error {
	if err := w.check("zero", offset, length); err != nil || length == 0 {
		return err
	}
	return w.record(Entry{Offset: offset, Length: length, Zero: true}, nil, nil)
}

func (w *Writer) check(what string, offset, length int64) error {
	fail := func(why string) error {
		return fmt.Errorf("write %s: %s of %d bytes at %d: %s", w.header.Disk, what, length, offset, why)
	}
	if offset < 0 || length < 0 || offset > w.header.Size || length > w.header.Size-offset {
		return fail(fmt.Sprintf("outside the disk of %d bytes", w.header.Size))
	}
	if offset%Grain != 0 {
		return fail(fmt.Sprintf("starts at no multiple of %d", Grain))
	}
	if end := offset + length; end%Grain != 0 && end != w.header.Size {
		return fail(fmt.Sprintf("ends neither at a multiple of %d nor at the disk's end %d", Grain, w.header.Size))
	}
	return nil
}

// split cuts a chunk into runs of grains that are zero and runs that are not.
func (w *Writer) split(offset int64, p []byte) error {
	for len(p) > 0 {
		zero := IsZero(p[:min(Grain, len(p))])
		n := min(Grain, len(p))
		for n < len(p) && IsZero(p[n:min(n+Grain, len(p))]) == zero {
			n = min(n+Grain, len(p))
		}
		var err error
		if zero {
			err = w.Zero(offset, int64(n))
		} else {
			err = w.chunk(offset, p[:n])
		}
		if err != nil {
			return err
		}
		offset, p = offset+int64(n), p[n:]
	}
	return nil
}

// chunk hashes, compresses and appends one chunk.
func (w *Writer) chunk(offset int64, p []byte) error {
	var room [MaxChunk / Grain]uint64
	hashes := AppendHashes(room[:0], w.key, p)
	e := Entry{Offset: offset, Length: int64(len(p)), Codec: None}
	stored := p
	if w.encoder != nil {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		if z := w.encoder.encode((*buf)[:0], p); pays(len(z), len(p)) {
			e.Codec, stored = Zstd, z
		}
	}
	e.Stored, e.Sum = int32(len(stored)), xxh3.Hash(stored)
	if e.Codec == Zstd { // our buffer has room for the padding: one write instead of two
		gap := int(padded(int64(len(stored)))) - len(stored)
		stored = stored[:len(stored)+gap]
		clear(stored[len(stored)-gap:])
	}
	return w.record(e, stored, hashes)
}

// record appends an entry with what it stores.
func (w *Writer) record(e Entry, stored []byte, hashes []uint64) error {
	place, err := w.reserve(e, stored, hashes)
	if err != nil || w.at == nil || e.Zero {
		return err
	}
	if err := w.put(stored, place); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.err = cmp.Or(w.err, err)
		return w.err
	}
	return nil
}

// reserve gives an entry its place in the index, and in the file. Where the file
// can only be appended to, it is written here.
func (w *Writer) reserve(e Entry, stored []byte, hashes []uint64) (place int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	e.Generation = uint32(w.header.Sequence)
	place = w.offset
	if !e.Zero {
		e.FileOffset, e.firstHash = place, w.hashes.length
		if w.at != nil {
			w.offset += padded(int64(len(stored)))
		} else if err := w.writePadded(stored); err != nil {
			return 0, err
		}
		w.hashes.append(hashes)
		w.foot.data, w.foot.stored = w.foot.data+e.Length, w.foot.stored+int64(e.Stored)
	} else if last := w.entries.last(); last != nil && last.Zero && last.End() == e.Offset {
		last.Length += e.Length
		return 0, nil
	}
	w.entries.append(e)
	return place, nil
}

// put writes b, and NUL up to the next multiple of Align, at a place of the file.
func (w *Writer) put(b []byte, place int64) error {
	for {
		n, err := w.at.WriteAt(b, place)
		if err == nil && n < len(b) {
			err = fmt.Errorf("write %s: %w", w.header.Disk, io.ErrShortWrite)
		}
		if err != nil {
			return err // of the file, which says what and where
		}
		place += int64(n)
		if padded(place) == place {
			return nil
		}
		b = make([]byte, padded(place)-place)
	}
}

// write appends b to the file.
func (w *Writer) write(b []byte) error {
	if w.err != nil {
		return w.err
	}
	write := w.w.Write
	if w.at != nil {
		write = func(b []byte) (int, error) { return w.at.WriteAt(b, w.offset) }
	}
	n, err := write(b)
	if err == nil && n < len(b) {
		err = fmt.Errorf("write %s: %w", w.header.Disk, io.ErrShortWrite)
	}
	if err != nil {
		w.err = err
		return err
	}
	w.offset += int64(n)
	return nil
}

// writePadded appends b and NUL up to the next multiple of Align.
func (w *Writer) writePadded(b []byte) error {
	if err := w.write(b); err != nil {
		return err
	}
	if gap := padded(w.offset) - w.offset; gap > 0 {
		return w.write(make([]byte, gap))
	}
	return nil
}

// hashList keeps hashes in blocks, because a slice that grows to 128 MiB would
// need three times that on the way.
type hashList struct {
	blocks [][]uint64
	length int64
}

const hashBlock = 8 << 10

func (l *hashList) append(hashes []uint64) {
	for _, h := range hashes {
		if l.length%hashBlock == 0 {
			l.blocks = append(l.blocks, make([]uint64, 0, hashBlock))
		}
		last := &l.blocks[len(l.blocks)-1]
		*last = append(*last, h)
		l.length++
	}
}

func (l *hashList) at(i int64) uint64 { return l.blocks[i/hashBlock][i%hashBlock] }
