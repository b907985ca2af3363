package format

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

// File reads one file. It is safe for concurrent use if its io.ReaderAt is.
type File struct {
	r      io.ReaderAt
	header Header
	key    Key
	footer footer
	slots  []slotFile // of header.Files, in order
	index  index
}

// Damage is one thing that is wrong with a file, or that could not be found out.
type Damage struct {
	Offset, Length int64 // range of the disk that is lost; 0, 0: no range, something of the structure
	Detail         string
	Unread         error // why the file could not be read there (see IsUnread), so that nothing is known of it; nil: it was
}

// String names the range, if there is one, and the detail.
func (d Damage) String() string {
	if d.Length == 0 || d.Unread != nil {
		return d.Detail
	}
	return fmt.Sprintf("%d bytes at %d are lost: %s", d.Length, d.Offset, d.Detail)
}

// refuse says why a file that has damage is not taken.
func (d Damage) refuse(name string) error {
	if d.Unread != nil {
		return fmt.Errorf("%s: %w", name, d.Unread)
	}
	return fmt.Errorf("%s is damaged: %v", name, d)
}

// DamageOf is what an error tells of a file: damage, or that it could not be read.
func DamageOf(err error) Damage { return newDamage(0, 0, "", err) }

func newDamage(offset, length int64, where string, err error) Damage {
	d := Damage{Offset: offset, Length: length, Detail: where + err.Error()}
	if IsUnread(err) {
		d.Unread = err
	}
	return d
}

// Open reads footer, header and index of a file with this size in bytes. It
// fails if the footer is not valid or the header cannot be read: then the file
// holds nothing. Everything less than that is in Damage. Chunks that lie in other
// files cannot be read, which is damage: OpenWith opens those too.
func Open(r io.ReaderAt, size int64) (*File, error) { return OpenWith(r, size, nil) }

// OpenWith is Open with the files that the header names. One that is missing, or
// another, is damage.
func OpenWith(r io.ReaderAt, size int64, open Opener) (*File, error) {
	f, err := openFile(r, size, open)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	for _, s := range f.slots {
		if s.err != nil {
			f.index.damage = append(f.index.damage, newDamage(0, 0, "file "+s.Name+", in which chunks lie: ", s.err))
		}
	}
	return f, nil
}

func openFile(r io.ReaderAt, size int64, open Opener) (*File, error) {
	if size < Align+footerSize || size%Align != 0 {
		return nil, fmt.Errorf("file of %d bytes is not complete", size)
	}
	foot, err := readFooter(r, size)
	if err != nil {
		return nil, err
	}
	h, b, err := readHeader(r, foot.headerEnd)
	if err != nil {
		return nil, err
	}
	f := &File{r: r, header: h, footer: foot, slots: openSlots(h, open)}
	f.key, _ = ParseKey(h.HashKey) // checked with the header
	if f.index, err = readIndex(r, h, foot, f.slots); err != nil {
		return nil, err
	}
	if int64(len(b)) != foot.headerEnd {
		f.structural("header has %d bytes, footer says %d", len(b), foot.headerEnd)
	} else if sum := hash128(b); sum != foot.headerSum {
		f.structural("header hashes to %x, expected %x", sum, foot.headerSum)
	}
	return f, nil
}

func (f *File) structural(message string, args ...any) {
	f.index.damage = append(f.index.damage, Damage{Detail: fmt.Sprintf(message, args...)})
}

// Header returns the file's header.
func (f *File) Header() Header { return f.header }

// Key returns the key of the file's grain hashes.
func (f *File) Key() Key { return f.key }

// Entries returns the index, by generation, then offset. It must not be changed.
func (f *File) Entries() []Entry { return f.index.entries }

// Summary returns what Close returned when the file was written.
func (f *File) Summary() Summary {
	return summarize(f.header, f.footer, len(f.index.entries), f.index.each())
}

// Damage lists what Open found wrong. A file with damage must not be restored
// from as if it were whole: NewImage refuses it, Salvage does not.
func (f *File) Damage() []Damage { return f.index.damage }

// ReadChunk reads the data of an entry of this file into dst, which has exactly
// e.Length bytes. The stored bytes are checked before they are decoded. On an
// error dst holds nothing of use.
func (f *File) ReadChunk(e Entry, dst []byte) error {
	if int64(len(dst)) != e.Length {
		return fmt.Errorf("chunk at %d has %d bytes, destination %d", e.Offset, e.Length, len(dst))
	}
	if e.Zero {
		clear(dst)
		return nil
	}
	if e.Stored < 0 || e.Stored > MaxChunk {
		return f.chunkError(e, fmt.Errorf("stored in %d bytes, at most %d are possible", e.Stored, MaxChunk))
	}
	stored := dst
	if e.Codec != None {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		stored = (*buf)[:e.Stored]
	}
	err := f.readStored(e, stored)
	if err == nil {
		err = e.decode(dst, stored)
	}
	if err != nil {
		return f.chunkError(e, err)
	}
	return nil
}

// readStored reads the chunk of an entry as it is stored, and checks its sum.
func (f *File) readStored(e Entry, stored []byte) error {
	if e.Slot == 0 {
		return e.readFrom(f.r, stored)
	}
	s := f.slots[e.Slot-1]
	err := s.err
	if err == nil {
		err = e.readFrom(s.r, stored)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// readFrom reads the chunk of an entry as it is stored from the file that holds
// it, and checks its sum.
func (e Entry) readFrom(r io.ReaderAt, stored []byte) error {
	if err := readFull(r, stored, e.FileOffset); err != nil {
		return err
	}
	if sum := xxh3.Hash(stored); sum != e.Sum {
		return fmt.Errorf("%d bytes at %d of the file hash to %016x, expected %016x", e.Stored, e.FileOffset, sum, e.Sum)
	}
	return nil
}

func (f *File) chunkError(e Entry, err error) error {
	return fmt.Errorf("%s of point %d: chunk of %d bytes at %d: %w", f.header.Disk, e.Generation, e.Length, e.Offset, err)
}

// decode fills dst from the stored bytes.
func (e Entry) decode(dst, stored []byte) error {
	if e.Codec == Zstd {
		return decompress(dst, stored)
	}
	copy(dst, stored) // nothing to do where they are the same
	return nil
}

// Hash returns the hash of the i-th grain of a data entry of this file. It is
// read from the file at each call.
func (f *File) Hash(e Entry, i int) (uint64, error) {
	if i < 0 || i >= e.Grains() {
		return 0, fmt.Errorf("entry at %d has %d hashes, not one of number %d", e.Offset, e.Grains(), i)
	}
	var b [8]byte
	if err := readFull(f.r, b[:], f.footer.hashes+8*(e.firstHash+int64(i))); err != nil {
		return 0, fmt.Errorf("%s of point %d: hash of %d: %w", f.header.Disk, e.Generation, e.Offset, err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
