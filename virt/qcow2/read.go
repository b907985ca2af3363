package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"vbk/virt"
)

// Image is what the header of a qcow2 file tells, with its bitmaps. See QEMU's
// docs/interop/qcow2.txt.
type Image struct {
	Version   int
	Size      int64  // virtual, bytes
	DataFile  bool   // the guest's data is in another file, which others can write
	DataPath  string // of that file, as the header has it; "" if it has none
	Backing   string // the image below, as the header has it
	L1        int64  // where the table of tables lies: it moves only when the disk grows
	Encrypted bool
	Snapshots int // in the file itself
	Options   virt.ImageOptions
	Bitmaps   []Bitmap
}

// Bitmap is a bitmap in a file that no QEMU has open. Broken: it was in use
// when a QEMU ended without saving it, or it records nothing.
type Bitmap struct {
	Name   string
	Health virt.Health // Sound or Broken
	Dirty  int64       // bytes, where it is Sound
}

// Bitmap returns the bitmap of this name; one that is not there is Broken.
func (i Image) Bitmap(name string) (b Bitmap, there bool) {
	for _, b := range i.Bitmaps {
		if b.Name == name {
			return b, true
		}
	}
	return Bitmap{Name: name, Health: virt.Broken}, false
}

// ErrNot: the file is no qcow2 image.
var ErrNot = errors.New("not a qcow2 image")

// The header: where the fields of version 3 are, and their flags.
const (
	magic         = "QFI\xfb"
	headerLength  = 112
	headerLength2 = 72 // of version 2

	fieldIncompatible    = 72
	fieldCompatible      = 80
	fieldAutoclear       = 88
	fieldRefcountOrder   = 96
	fieldHeaderLength    = 100
	fieldCompressionType = 104 // if the header is longer

	dataFile          = 1 << 2 // incompatible
	compressionType   = 1 << 3
	extendedL2        = 1 << 4
	lazyRefcounts     = 1 << 0 // compatible
	bitmapsAreCurrent = 1 << 0 // autoclear

	zstdCompression = 1
)

// Limits of QEMU.
const (
	maxDirectory = 65535 * 1088 // bytes
	maxTable     = 1 << 27      // bytes of a bitmap's clusters
)

// Read reads the header and the bitmaps of a qcow2 file.
func Read(r io.ReaderAt) (Image, error) {
	i, err := readHeader(r)
	if err != nil && !errors.Is(err, ErrNot) {
		err = fmt.Errorf("read qcow2 image: %w", err)
	}
	return i, err
}

func readHeader(r io.ReaderAt) (Image, error) {
	h := make([]byte, headerLength)
	if _, err := r.ReadAt(h, 0); err != nil && !errors.Is(err, io.EOF) {
		return Image{}, err
	}
	if string(h[:4]) != magic {
		return Image{}, ErrNot
	}
	be := binary.BigEndian
	clusterBits, size := be.Uint32(h[20:]), be.Uint64(h[24:])
	i := Image{Version: int(be.Uint32(h[4:])), Size: int64(size), Encrypted: be.Uint32(h[32:]) != 0, Snapshots: int(be.Uint32(h[60:]))}
	if clusterBits < 9 || clusterBits > 21 || i.Size < 0 {
		return Image{}, fmt.Errorf("clusters of 2^%d bytes, %d in all", clusterBits, size)
	}
	i.Options = virt.ImageOptions{ClusterSize: 1 << clusterBits, Compat: "0.10", RefcountBits: 16, CompressionType: "zlib"}
	i.L1 = int64(be.Uint64(h[40:]))
	var err error
	if i.Backing, err = readName(r, int64(be.Uint64(h[8:])), be.Uint32(h[16:])); err != nil {
		return Image{}, err
	}
	if i.Version < 3 {
		return i, nil
	}
	i.Options = options(h, clusterBits)
	i.DataFile = be.Uint64(h[fieldIncompatible:])&dataFile != 0
	extensions, err := readExtensions(r, int64(be.Uint32(h[fieldHeaderLength:])), 1<<clusterBits)
	if err != nil {
		return i, err
	}
	i.DataPath = string(extensions[extensionDataFile])
	bitmaps := extensions[extensionBitmaps]
	if len(bitmaps) != 24 || be.Uint64(h[fieldAutoclear:])&bitmapsAreCurrent == 0 { // somebody who knows nothing of bitmaps has written
		return i, nil
	}
	i.Bitmaps, err = readDirectory(r, bitmaps, i.Size, 1<<clusterBits)
	return i, err
}

// options are those of version 3.
func options(h []byte, clusterBits uint32) virt.ImageOptions {
	be := binary.BigEndian
	incompatible := be.Uint64(h[fieldIncompatible:])
	o := virt.ImageOptions{
		ClusterSize: 1 << clusterBits, Compat: "1.1", CompressionType: "zlib",
		ExtendedL2: incompatible&extendedL2 != 0, LazyRefcounts: be.Uint64(h[fieldCompatible:])&lazyRefcounts != 0,
		RefcountBits: 1 << min(be.Uint32(h[fieldRefcountOrder:]), 6),
	}
	if incompatible&compressionType != 0 && be.Uint32(h[fieldHeaderLength:]) > fieldCompressionType && h[fieldCompressionType] == zstdCompression {
		o.CompressionType = "zstd"
	}
	return o
}

// readName reads the name of another file, "" if the header has none.
func readName(r io.ReaderAt, at int64, length uint32) (string, error) {
	const longest = 1023
	if at == 0 || length == 0 {
		return "", nil
	}
	if length > longest {
		return "", fmt.Errorf("a name of %d bytes", length)
	}
	name := make([]byte, length)
	_, err := r.ReadAt(name, at)
	return string(name), err
}

// Header extensions that are read.
const (
	extensionBitmaps  = 0x23852875
	extensionDataFile = 0x44415441
)

// readExtensions returns the header extensions that are known here. They end with
// the first cluster.
func readExtensions(r io.ReaderAt, at, cluster int64) (map[uint32][]byte, error) {
	found := map[uint32][]byte{}
	head := make([]byte, 8)
	for at+8 <= cluster {
		if _, err := r.ReadAt(head, at); err != nil {
			return nil, err
		}
		kind, length := binary.BigEndian.Uint32(head), int64(binary.BigEndian.Uint32(head[4:]))
		if kind == 0 || at+8+length > cluster {
			break
		}
		if kind == extensionBitmaps || kind == extensionDataFile {
			found[kind] = make([]byte, length)
			if _, err := r.ReadAt(found[kind], at+8); err != nil {
				return nil, err
			}
		}
		at += 8 + (length+7)/8*8
	}
	return found, nil
}

func readDirectory(r io.ReaderAt, extension []byte, size, cluster int64) ([]Bitmap, error) {
	be := binary.BigEndian
	count, length, at := be.Uint32(extension), be.Uint64(extension[8:]), be.Uint64(extension[16:])
	if length > maxDirectory {
		return nil, fmt.Errorf("a bitmap directory of %d bytes", length)
	}
	d := make([]byte, length)
	if _, err := r.ReadAt(d, int64(at)); err != nil {
		return nil, err
	}
	var all []Bitmap
	for range count {
		const fixed = 24
		if len(d) < fixed {
			return nil, errors.New("the bitmap directory is cut off")
		}
		name, extra := int(be.Uint16(d[18:])), int(be.Uint32(d[20:]))
		whole := (fixed + extra + name + 7) / 8 * 8
		if extra > len(d) || whole > len(d) {
			return nil, errors.New("the bitmap directory is cut off")
		}
		b, err := readBitmap(r, d, size, cluster)
		if err != nil {
			return nil, err
		}
		b.Name = string(d[fixed+extra : fixed+extra+name])
		all, d = append(all, b), d[whole:]
	}
	return all, nil
}

// readBitmap counts what is dirty in the bitmap of a directory entry.
func readBitmap(r io.ReaderAt, entry []byte, size, cluster int64) (Bitmap, error) {
	be := binary.BigEndian
	at, length, flags, grainBits := be.Uint64(entry), int64(be.Uint32(entry[8:])), be.Uint32(entry[12:]), entry[17]
	const inUse, records, extraIsKnown, dirtyTracking = 1 << 0, 1 << 1, 1 << 2, 1
	if flags&inUse != 0 || flags&records == 0 || flags&^(inUse|records|extraIsKnown) != 0 || entry[16] != dirtyTracking {
		return Bitmap{Health: virt.Broken}, nil
	}
	if grainBits < 9 || grainBits > 31 {
		return Bitmap{}, fmt.Errorf("a bitmap of grains of 2^%d bytes", grainBits)
	}
	grains := (size + 1<<grainBits - 1) >> grainBits
	if bytes := (grains + 7) / 8; length != (bytes+cluster-1)/cluster || length*cluster > maxTable {
		return Bitmap{}, fmt.Errorf("a bitmap of %d grains in %d clusters", grains, length)
	}
	table := make([]byte, length*8)
	if _, err := r.ReadAt(table, int64(at)); err != nil {
		return Bitmap{}, err
	}
	var dirty int64
	content := make([]byte, cluster)
	for n := range length {
		here := min(grains-n*cluster*8, cluster*8)
		switch e := be.Uint64(table[n*8:]); e {
		case 0: // nothing is dirty
		case 1:
			dirty += here
		default:
			if _, err := r.ReadAt(content, int64(e)); err != nil {
				return Bitmap{}, err
			}
			dirty += ones(content, here)
		}
	}
	return Bitmap{Health: virt.Sound, Dirty: min(dirty<<grainBits, size)}, nil
}

// ones counts among the first n bits.
func ones(p []byte, n int64) (count int64) {
	for _, b := range p[:n/8] {
		count += int64(bits.OnesCount8(b))
	}
	if n%8 != 0 {
		count += int64(bits.OnesCount8(p[n/8] & (1<<(n%8) - 1)))
	}
	return count
}
