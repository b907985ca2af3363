package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
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
	return summarize(w.header, w.foot, len(w.entries.order), w.entries.kept()), nil
}

func (w *Writer) seal() error {
	if err := w.entries.arrange(w.header.Base && w.header.Covers[0] == w.header.Covers[1]); err != nil {
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
	for e := range w.entries.kept() {
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
	w.foot.entries = int64(len(w.entries.order))
	var sums []byte
	page := make([]byte, pageSize)
	entries := make([]Entry, 0, pageEntries)
	number := int64(0)
	for part := range slices.Chunk(w.entries.order, pageEntries) {
		entries = entries[:0]
		for _, i := range part {
			entries = append(entries, *w.entries.at(i))
		}
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

func summarize(h Header, f footer, count int, entries iter.Seq[*Entry]) Summary {
	s := Summary{FileSize: f.fileSize, Data: f.data, Stored: f.stored, FooterHash: f.footerHash, Entries: count}
	if h.Base {
		s.Zero = max(h.Size-f.data, 0) // a merged base may hold data under data
		return s
	}
	for e := range entries {
		if e.Zero {
			s.Zero += e.Length
		}
	}
	return s
}
