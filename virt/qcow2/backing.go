package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ReadBacking reads from the header of a qcow2 file what it lies on, "" if it
// stands alone. A QEMU may have the file open.
func ReadBacking(r io.ReaderAt) (string, error) {
	h := make([]byte, 20)
	if _, err := r.ReadAt(h, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read qcow2 image: %w", err)
	}
	if string(h[:4]) != "QFI\xfb" {
		return "", ErrNot
	}
	offset, length := binary.BigEndian.Uint64(h[8:]), binary.BigEndian.Uint32(h[16:])
	if offset == 0 {
		return "", nil
	}
	if length > 1023 || offset > 1<<21 { // it lies in the first cluster
		return "", fmt.Errorf("read qcow2 image: a backing file of %d bytes at %d", length, offset)
	}
	name := make([]byte, length)
	if _, err := r.ReadAt(name, int64(offset)); err != nil {
		return "", fmt.Errorf("read qcow2 image: %w", err)
	}
	return string(name), nil
}
