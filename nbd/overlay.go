package nbd

import (
	"fmt"
	"io"
	"sync"
)

// overlayBlock is the unit in which an Overlay knows what was changed, bytes.
const overlayBlock = 64 << 10

// Overlay is a WritableDisk over one that is never changed: what clients write
// is kept in a file. It is safe for concurrent use.
type Overlay struct {
	base Disk
	file OverlayFile
	mu   sync.RWMutex
	kept map[int64]keptBlock // by number of block; what is in none of them is the base's
}

// OverlayFile holds the changes. It starts empty, and reads as zeroes where
// nothing was written.
type OverlayFile interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

type keptBlock bool

const (
	keptZero keptBlock = false // the block is zero, whatever the file holds
	keptData keptBlock = true
)

// NewOverlay lays an empty overlay over base.
func NewOverlay(base Disk, file OverlayFile) *Overlay {
	return &Overlay{base: base, file: file, kept: map[int64]keptBlock{}}
}

// Size is the base's.
func (o *Overlay) Size() int64 { return o.base.Size() }

// ReadAt reads as io.ReaderAt demands.
func (o *Overlay) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 || offset > o.Size() {
		return 0, fmt.Errorf("read at %d of a disk of %d bytes", offset, o.Size())
	}
	want := p[:min(int64(len(p)), o.Size()-offset)]
	o.mu.RLock()
	defer o.mu.RUnlock()
	for n := 0; n < len(want); {
		at := offset + int64(n)
		end := o.runEnd(at, offset+int64(len(want)))
		part := want[n : n+int(end-at)]
		if err := o.readRun(part, at); err != nil {
			return n, err
		}
		n += len(part)
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

// readRun reads blocks of one state.
func (o *Overlay) readRun(p []byte, offset int64) error {
	source := io.ReaderAt(o.base)
	if state, kept := o.kept[offset/overlayBlock]; kept {
		if state == keptZero {
			clear(p)
			return nil
		}
		source = o.file
	}
	n, err := source.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// runEnd is where the blocks from offset on stop being of one state, at most limit.
func (o *Overlay) runEnd(offset, limit int64) int64 {
	first, kept := o.kept[offset/overlayBlock]
	end := (offset/overlayBlock + 1) * overlayBlock
	for end < limit {
		state, also := o.kept[end/overlayBlock]
		if state != first || also != kept {
			return end
		}
		end += overlayBlock
	}
	return limit
}

// Extent implements Disk. What was changed to zeroes by Zero is zero, what was
// written is data.
func (o *Overlay) Extent(offset, length int64) Extent {
	o.mu.RLock()
	defer o.mu.RUnlock()
	x := Extent{Offset: offset, Length: length}
	if state, kept := o.kept[offset/overlayBlock]; kept {
		x.Zero = state == keptZero
	} else {
		x = o.base.Extent(offset, length)
	}
	x.Length = o.runEnd(offset, x.Offset+x.Length) - offset
	return x
}

// WriteAt keeps p in the file.
func (o *Overlay) WriteAt(p []byte, offset int64) (int, error) {
	if offset < 0 || int64(len(p)) > o.Size()-offset {
		return 0, fmt.Errorf("write of %d bytes at %d to a disk of %d bytes", len(p), offset, o.Size())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fillEdges(offset, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := o.file.WriteAt(p, offset)
	if err == nil {
		o.mark(offset, int64(len(p)), keptData)
	}
	return n, err
}

// Zero makes a range read as zeroes.
func (o *Overlay) Zero(offset, length int64) error {
	if offset < 0 || length < 0 || length > o.Size()-offset {
		return fmt.Errorf("zero %d bytes at %d of a disk of %d bytes", length, offset, o.Size())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for end := offset + length; offset < end; {
		next := min((offset/overlayBlock+1)*overlayBlock, end)
		if next-offset == o.blockLength(offset/overlayBlock) {
			o.kept[offset/overlayBlock] = keptZero
		} else if err := o.zeroPart(offset, next-offset); err != nil {
			return err
		}
		offset = next
	}
	return nil
}

func (o *Overlay) zeroPart(offset, length int64) error {
	if err := o.fillEdges(offset, length); err != nil {
		return err
	}
	if _, err := o.file.WriteAt(make([]byte, length), offset); err != nil {
		return err
	}
	o.mark(offset, length, keptData)
	return nil
}

// Flush makes the file durable.
func (o *Overlay) Flush() error { return o.file.Sync() }

func (o *Overlay) blockLength(number int64) int64 {
	return min(overlayBlock, o.Size()-number*overlayBlock)
}

func (o *Overlay) mark(offset, length int64, state keptBlock) {
	for number := offset / overlayBlock; number*overlayBlock < offset+length; number++ {
		o.kept[number] = state
	}
}

// fillEdges brings into the file what a range leaves of its first and of its
// last block.
func (o *Overlay) fillEdges(offset, length int64) error {
	if length == 0 {
		return nil
	}
	first, last := offset/overlayBlock, (offset+length-1)/overlayBlock
	if offset%overlayBlock != 0 {
		if err := o.fill(first); err != nil {
			return err
		}
	}
	if offset+length < last*overlayBlock+o.blockLength(last) {
		return o.fill(last)
	}
	return nil
}

// fill copies a block into the file.
func (o *Overlay) fill(number int64) error {
	if state, kept := o.kept[number]; kept && state == keptData {
		return nil
	}
	p := make([]byte, o.blockLength(number))
	if err := o.readRun(p, number*overlayBlock); err != nil {
		return err
	}
	if _, err := o.file.WriteAt(p, number*overlayBlock); err != nil {
		return err
	}
	o.kept[number] = keptData
	return nil
}
