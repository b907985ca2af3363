package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Overwriting says which disk of a point goes into what exists: a block device, or
// an image of this format.
type Overwriting struct {
	Disk   string
	Path   string
	Format string // "raw" or "qcow2"; of a device "raw"
}

// Overwritten tells what has become of it.
type Overwritten struct {
	Size       int64 // of the disk
	Behind     int64 // bytes of a device behind the disk's end
	Partitions bool  // the kernel has read the device's partition table anew
	Stale      error // why it has not, and goes on with the old one
}

// RestoreTo writes a disk of a point over what is at a path. It reads first, and
// writes only what differs, zeroes included; what lies behind the disk's end stays.
// It refuses what is smaller than the disk, and what is in use. Until it has ended
// without an error, Path holds neither what it held nor the disk.
func RestoreTo(ctx context.Context, p RestorePoint, o Overwriting, progress func(done, total int64)) (result Overwritten, err error) {
	image, err := p.OpenDisk(ctx, o.Disk)
	if err != nil {
		return result, err
	}
	defer image.Close()
	result.Size = image.Size()
	t, err := o.open(ctx, image.Size(), &result)
	if err != nil {
		return result, fmt.Errorf("restore disk %s to %s: %w", o.Disk, o.Path, err)
	}
	if err := fill(ctx, t, image.Image, progress); err != nil {
		return result, fmt.Errorf("restore disk %s to %s, which is now neither: %w", o.Disk, o.Path, err)
	}
	return result, nil
}

func (o Overwriting) open(ctx context.Context, size int64, result *Overwritten) (target, error) {
	info, err := os.Stat(o.Path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode().IsRegular():
		t, err := openImage(ctx, o.Path, o.Format, size)
		return overwriting{t}, err
	case info.Mode()&os.ModeType != os.ModeDevice:
		return nil, errors.New("it is neither a block device nor a file")
	case o.Format != "raw":
		return nil, errors.New("a block device is raw")
	}
	m, err := openDevice(o.Path, size, result)
	return overwriting{m}, err
}

// medium is what may hold something already.
type medium interface {
	io.ReaderAt
	target
}

// overwriting leaves alone what is equal already. It is to be given all of a disk.
type overwriting struct{ medium }

func (o overwriting) Data(offset int64, data []byte) error {
	found := make([]byte, len(data))
	if _, err := o.ReadAt(found, offset); err != nil && err != io.EOF {
		return err
	}
	if bytes.Equal(found, data) {
		return nil
	}
	return o.medium.Data(offset, data)
}

// fileMedium is a raw file or a block device.
type fileMedium struct {
	file  *os.File
	whole bool // it has all its space, and zeroes keep it
}

// resize gives the file its size, and all its space if it is to have that.
func (m fileMedium) resize(size int64) error {
	if m.whole && size > 0 {
		if err := unix.Fallocate(int(m.file.Fd()), 0, 0, size); err != nil {
			return &fs.PathError{Op: "preallocate", Path: m.file.Name(), Err: err}
		}
	}
	return m.file.Truncate(size)
}

func (m fileMedium) ReadAt(p []byte, offset int64) (int, error) { return m.file.ReadAt(p, offset) }

func (m fileMedium) Data(offset int64, data []byte) error {
	_, err := m.file.WriteAt(data, offset)
	return err
}

// Zero gives the space back where that makes zeroes, and writes them elsewhere.
func (m fileMedium) Zero(offset, length int64) error {
	mode := uint32(unix.FALLOC_FL_PUNCH_HOLE)
	if m.whole {
		mode = unix.FALLOC_FL_ZERO_RANGE
	}
	if unix.Fallocate(int(m.file.Fd()), mode|unix.FALLOC_FL_KEEP_SIZE, offset, length) == nil {
		return nil
	}
	zeroes := make([]byte, min(length, chunkSize))
	for at, end := offset, offset+length; at < end; at += chunkSize {
		if err := (overwriting{m}).Data(at, zeroes[:min(chunkSize, end-at)]); err != nil {
			return err
		}
	}
	return nil
}

func (m fileMedium) finish() error { return m.file.Sync() }
func (m fileMedium) abandon()      {}
