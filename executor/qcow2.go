package executor

import (
	"context"
	"fmt"

	"vbk/virt/qcow2"
)

// qcow2Medium is a qcow2 file of which everything but the guest's bytes is written.
type qcow2Medium struct {
	fileMedium
	layout *qcow2.Layout
}

// newQcow2Medium makes of a file an image that reads as zeroes where nothing was
// written, if it was empty.
func newQcow2Medium(m fileMedium, image *DiskImage) (qcow2Medium, error) {
	extents, err := imageSource{image.Image}.Extents(context.Background(), 0, image.Size())
	if err != nil {
		return qcow2Medium{}, err
	}
	data := make([]qcow2.Range, len(extents))
	for n, e := range extents {
		data[n] = qcow2.Range{Offset: e.Offset, Length: e.Length}
	}
	l, err := qcow2.NewLayout(image.Size(), data, image.Options, m.whole)
	if err == nil {
		err = m.resize(l.FileSize())
	}
	if err == nil {
		err = l.WriteMetadata(m.file)
	}
	return qcow2Medium{m, l}, err
}

// each calls do with the pieces of a range that have a place in the file.
func (m qcow2Medium) each(offset, length int64, do func(offset, at, length int64) error) error {
	for end := offset + length; offset < end; {
		at, n, ok := m.layout.Place(offset)
		n = min(n, end-offset)
		if ok {
			if err := do(offset, at, n); err != nil {
				return err
			}
		}
		offset += n
	}
	return nil
}

func (m qcow2Medium) Data(offset int64, data []byte) error {
	var written int64
	err := m.each(offset, int64(len(data)), func(from, at, n int64) error {
		written += n
		return m.fileMedium.Data(at, data[from-offset:][:n])
	})
	if err == nil && written < int64(len(data)) {
		err = fmt.Errorf("%d bytes at %d have no place in the image: the disk changed while it was restored", len(data), offset)
	}
	return err
}

func (m qcow2Medium) Zero(offset, length int64) error {
	return m.each(offset, length, func(_, at, n int64) error { return m.fileMedium.Zero(at, n) })
}

// ReadAt reads what has a place in the file; the rest is zero.
func (m qcow2Medium) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	return len(p), m.each(offset, int64(len(p)), func(from, at, n int64) error {
		_, err := m.fileMedium.ReadAt(p[from-offset:][:n], at)
		return err
	})
}
