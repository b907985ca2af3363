package format

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"
)

// RawWriter writes a raw image: a file that is the disk, byte for byte, with holes
// where it is zero. Data and Zero may be called from any number of goroutines.
type RawWriter struct {
	mu    sync.Mutex
	w     io.WriterAt
	size  int64
	parts []adlerPart
	tail  []byte // the last bytes of the disk
	data  int64
	err   error // the first failure, which condemns the file, or errClosed
}

// NewRawWriter makes w, an empty file, as long as a disk of this size in bytes. w
// is written by one goroutine at a time.
func NewRawWriter(w io.WriterAt, size int64) (*RawWriter, error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("write raw image: size %d is not in 0 to %d", size, int64(maxSize))
	}
	out := &RawWriter{w: w, size: size, tail: make([]byte, min(size, tailSize))}
	if size > 0 {
		if _, err := w.WriteAt([]byte{0}, size-1); err != nil {
			return nil, fmt.Errorf("write raw image: %w", err)
		}
	}
	return out, nil
}

// Data writes the guest's bytes p at an offset of the disk, and leaves a hole for
// each grain that is zero.
func (w *RawWriter) Data(offset int64, p []byte) error {
	if offset < 0 || offset > w.size || int64(len(p)) > w.size-offset {
		return fmt.Errorf("write raw image: %d bytes at %d are outside the disk of %d bytes", len(p), offset, w.size)
	}
	for len(p) > 0 {
		n := min(int64(len(p)), Grain-offset%Grain)
		for n < int64(len(p)) && IsZero(p[:n]) == IsZero(p[n:min(n+Grain, int64(len(p)))]) {
			n = min(n+Grain, int64(len(p)))
		}
		if !IsZero(p[:n]) {
			if err := w.write(offset, p[:n]); err != nil {
				return err
			}
		}
		offset, p = offset+n, p[n:]
	}
	return nil
}

// Zero has nothing to do: the file was made of zeroes.
func (w *RawWriter) Zero(int64, int64) error { return nil }

func (w *RawWriter) write(offset int64, p []byte) error {
	part := adlerPart{offset, int64(len(p)), adlerOf(p)}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if _, err := w.w.WriteAt(p, offset); err != nil {
		w.err = err // of the file, which says what and where
		return err
	}
	w.parts, w.data = append(w.parts, part), w.data+int64(len(p))
	if start := w.size - int64(len(w.tail)); offset+int64(len(p)) > start {
		copy(w.tail[max(0, offset-start):], p[max(0, start-offset):])
	}
	return nil
}

// Close says what was written; the file is complete, but not yet on the disk:
// fsync is the caller's. Ranges that overlap are an error, and so is whatever
// failed before. A RawWriter that is not closed needs no cleaning up.
func (w *RawWriter) Close() (StreamSummary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return StreamSummary{}, w.err
	}
	w.err = fmt.Errorf("write raw image: %w", errClosed)
	slices.SortFunc(w.parts, func(a, b adlerPart) int { return cmp.Compare(a.offset, b.offset) })
	sum, at := adler(1), int64(0)
	for _, p := range append(w.parts, adlerPart{w.size, 0, 1}) {
		if p.offset < at {
			w.err = fmt.Errorf("write raw image: range at %d was written twice: the one before ends at %d", p.offset, at)
			return StreamSummary{}, w.err
		}
		sum = sum.join(adlerOfZeroes(p.offset-at), p.offset-at).join(p.sum, p.length)
		at = p.offset + p.length
	}
	return StreamSummary{FileSize: w.size, Data: w.data, Stored: w.data, TailHash: xxh3.Hash(w.tail), Adler32: uint32(sum)}, nil
}
