package format

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"
)

var errClosed = errors.New("writer is closed")

// Close sorts the index and writes hashes, index and footer. The file is
// complete after it, but not yet on the disk: fsync is the caller's. Ranges that
// overlap are an error, and so is whatever failed before; then the file holds
// nothing. A Writer that is not closed needs no cleaning up.
func (w *Writer) Close() (Summary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Summary{}, w.err
	}
	err := w.seal()
	if err != nil {
		w.err = err
		return Summary{}, err
	}
	w.err = fmt.Errorf("write %s: %w", w.header.Disk, errClosed)
	return summarize(w.header, w.foot, w.entries), nil
}

func (w *Writer) seal() error {
	var err error
	if w.entries, err = arrange(w.entries, w.header.Base && w.header.Covers[0] == w.header.Covers[1]); err != nil {
		return fmt.Errorf("write %s: %w", w.header.Disk, err)
	}
	w.foot.hashes = w.offset
	if err := w.writeHashes(); err != nil {
		return err
	}
	w.foot.index = w.offset
	if err := w.writeIndex(); err != nil {
		return err
	}
	w.foot.fileSize = w.offset + footerSize
	return w.write(w.foot.encode())
}

// arrange sorts entries, refuses overlap within a generation, joins neighbouring
// zero entries, and leaves them out of a plain base, where nothing lies under them.
func arrange(entries []Entry, plainBase bool) ([]Entry, error) {
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Offset, b.Offset))
	})
	kept := entries[:0]
	var last Entry
	for i, e := range entries {
		same := i > 0 && e.Generation == last.Generation
		if same && e.Offset < last.End() {
			return nil, fmt.Errorf("range at %d was recorded twice: the one before ends at %d", e.Offset, last.End())
		}
		joins := same && e.Zero && last.Zero && e.Offset == last.End()
		last = e
		switch {
		case e.Zero && plainBase:
		case joins:
			kept[len(kept)-1].Length += e.Length
		default:
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// writeHashes writes the hashes in the order of the index and gives each entry
// the place of its own.
func (w *Writer) writeHashes() error {
	sum := xxh3.New128()
	buf := make([]byte, 0, pageSize)
	flush := func() error {
		_, _ = sum.Write(buf) // a hash takes everything
		err := w.write(buf)
		buf = buf[:0]
		return err
	}
	for i := range w.entries {
		e := &w.entries[i]
		if e.Zero {
			continue
		}
		from := e.firstHash
		e.firstHash = w.foot.hashCount
		for k := range int64(e.Grains()) {
			buf = binary.LittleEndian.AppendUint64(buf, w.hashes.at(from+k))
			if len(buf) == cap(buf) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		w.foot.hashCount += int64(e.Grains())
	}
	if err := flush(); err != nil {
		return err
	}
	w.foot.hashesSum = toSum(sum.Sum128())
	return w.writePadded(nil)
}

func (w *Writer) writeIndex() error {
	w.foot.entries = int64(len(w.entries))
	var sums []byte
	page := make([]byte, pageSize)
	number := int64(0)
	for entries := range slices.Chunk(w.entries, pageEntries) {
		sum := encodePage(page, number, entries)
		sums = append(sums, sum[:]...)
		if err := w.write(page); err != nil {
			return err
		}
		w.foot.indexSize += pageSize
		number++
	}
	w.foot.indexSum = hash128(sums)
	return nil
}

func summarize(h Header, f footer, entries []Entry) Summary {
	s := Summary{FileSize: f.fileSize, Data: f.data, Stored: f.stored, FooterHash: f.footerHash, Entries: len(entries)}
	if h.Base {
		s.Zero = max(h.Size-f.data, 0) // a merged base may hold data under data
		return s
	}
	for _, e := range entries {
		if e.Zero {
			s.Zero += e.Length
		}
	}
	return s
}
