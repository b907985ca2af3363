package format

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/xxh3"
)

// footer is the last 4096 bytes of a file and seals everything before it.
type footer struct {
	fileSize   int64 // bytes, the footer included
	headerEnd  int64 // where the chunks start
	hashes     int64 // offset of the hashes
	hashCount  int64
	index      int64 // offset of the index
	indexSize  int64 // bytes, a multiple of pageSize
	entries    int64
	data       int64 // sum of the lengths of the data entries
	stored     int64 // sum of their stored lengths
	headerSum  sum128
	hashesSum  sum128
	indexSum   sum128 // of the list of page sums
	footerHash uint64
}

const (
	footerSize  = Align
	footerMagic = "VBK3FOOT"
)

// Offsets of the footer's fields.
const (
	footVersion    = 8
	footNumbers    = 16
	footHeaderSum  = 88
	footHashesSum  = 104
	footIndexSum   = 120
	footReserved   = 136
	footFooterHash = footerSize - 8
)

// numbers lists the integers of a footer in their order in the file.
func (f *footer) numbers() [9]*int64 {
	return [...]*int64{&f.fileSize, &f.headerEnd, &f.hashes, &f.hashCount, &f.index, &f.indexSize,
		&f.entries, &f.data, &f.stored}
}

// encode returns the footer and records its hash in f.
func (f *footer) encode() []byte {
	b := make([]byte, footerSize)
	copy(b, footerMagic)
	binary.LittleEndian.PutUint32(b[footVersion:], Version)
	for i, n := range f.numbers() {
		binary.LittleEndian.PutUint64(b[footNumbers+8*i:], uint64(*n))
	}
	copy(b[footHeaderSum:], f.headerSum[:])
	copy(b[footHashesSum:], f.hashesSum[:])
	copy(b[footIndexSum:], f.indexSum[:])
	f.footerHash = xxh3.Hash(b[:footFooterHash])
	binary.LittleEndian.PutUint64(b[footFooterHash:], f.footerHash)
	return b
}

// parseFooter reads the footer of a file with this size and checks that the
// parts it names tile the file.
func parseFooter(b []byte, size int64) (footer, error) {
	var f footer
	if string(b[:len(footerMagic)]) != footerMagic {
		return f, fmt.Errorf("footer starts with %q, expected %q: the file was not completed", b[:len(footerMagic)], footerMagic)
	}
	f.footerHash = binary.LittleEndian.Uint64(b[footFooterHash:])
	if found := xxh3.Hash(b[:footFooterHash]); found != f.footerHash {
		return f, fmt.Errorf("footer hashes to %016x, expected %016x", found, f.footerHash)
	}
	if v := binary.LittleEndian.Uint32(b[footVersion:]); v != Version {
		return f, fmt.Errorf("footer has format version %d, expected %d", v, Version)
	}
	if !IsZero(b[footVersion+4:footNumbers]) || !IsZero(b[footReserved:footFooterHash]) {
		return f, fmt.Errorf("footer has reserved bytes that are not zero")
	}
	for i, n := range f.numbers() {
		v := binary.LittleEndian.Uint64(b[footNumbers+8*i:])
		if v > maxSize {
			return f, fmt.Errorf("footer has %d in field %d, at most %d is possible", v, i, int64(maxSize))
		}
		*n = int64(v)
	}
	copy(f.headerSum[:], b[footHeaderSum:])
	copy(f.hashesSum[:], b[footHashesSum:])
	copy(f.indexSum[:], b[footIndexSum:])
	return f, f.check(size)
}

func (f *footer) check(size int64) error {
	if f.fileSize != size {
		return fmt.Errorf("file has %d bytes, its footer says %d", size, f.fileSize)
	}
	// Each is at most maxSize, so no sum below overflows.
	for _, rule := range []struct {
		what            string
		found, expected int64
	}{
		{"remainder of the header's length", f.headerEnd % Align, 0},
		{"remainder of the hashes' offset", f.hashes % Align, 0},
		{"remainder of the index' length", f.indexSize % pageSize, 0},
		{"number of index pages", f.indexSize / pageSize, (f.entries + pageEntries - 1) / pageEntries},
		{"end of the index", f.index + f.indexSize, size - footerSize},
	} {
		if rule.found != rule.expected {
			return fmt.Errorf("footer: %s is %d, expected %d", rule.what, rule.found, rule.expected)
		}
	}
	if f.headerEnd < Align || f.headerEnd > maxHeader || f.headerEnd > f.hashes || f.hashes > f.index {
		return fmt.Errorf("footer: parts at 0, %d, %d and %d do not follow one another", f.headerEnd, f.hashes, f.index)
	}
	if f.entries > math.MaxInt32 {
		return fmt.Errorf("footer: %d entries, at most %d are possible", f.entries, math.MaxInt32)
	}
	if f.hashCount > size/8 || padded(f.hashes+8*f.hashCount) != f.index {
		return fmt.Errorf("footer: %d hashes at %d do not end at the index at %d", f.hashCount, f.hashes, f.index)
	}
	return nil
}

// FooterHash reads the footer of a file with this size, in bytes, and returns
// its hash: XXH3-64, its last 8 bytes. Nothing else of the file is read, so it
// tells cheaply whether a file is the one that was written and whole.
func FooterHash(r io.ReaderAt, size int64) (uint64, error) {
	f, err := readFooter(r, size)
	return f.footerHash, err
}

func readFooter(r io.ReaderAt, size int64) (footer, error) {
	if size < footerSize {
		return footer{}, fmt.Errorf("file has %d bytes, too few for a footer", size)
	}
	b := make([]byte, footerSize)
	if err := readFull(r, b, size-footerSize); err != nil {
		return footer{}, fmt.Errorf("footer: %w", err)
	}
	return parseFooter(b, size)
}
