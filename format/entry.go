package format

import (
	"encoding/binary"
	"fmt"
)

// Entry says where a range of the disk is stored, or that it is zero.
type Entry struct {
	Offset     int64 // on the disk, bytes, a multiple of Grain but in zero entries of older generations
	Length     int64 // bytes; data: at most MaxChunk
	FileOffset int64 // of the stored bytes in the file of Slot; 0 for a zero entry, as are all fields below but Generation
	Sum        uint64
	Stored     int32  // bytes stored
	Generation uint32 // sequence of the point that wrote it; the higher wins
	Slot       uint16 // 0: the chunk is in this file; n: in the n-th of Header.Files
	Codec      Codec
	Zero       bool

	firstHash int64 // position of the first grain's hash in the hashes section
}

// End is the offset behind the entry's last byte.
func (e Entry) End() int64 { return e.Offset + e.Length }

// Grains is the number of hashes that the entry has.
func (e Entry) Grains() int {
	if e.Zero {
		return 0
	}
	return int((e.Length + Grain - 1) / Grain)
}

const (
	entrySize = 64
	kindData  = 1
	kindZero  = 2
)

func (e Entry) put(b []byte) {
	le := binary.LittleEndian
	clear(b[:entrySize])
	le.PutUint64(b[0:], uint64(e.Offset))
	le.PutUint64(b[8:], uint64(e.Length))
	le.PutUint32(b[28:], e.Generation)
	if e.Zero {
		b[36] = kindZero
		return
	}
	le.PutUint64(b[16:], uint64(e.FileOffset))
	le.PutUint32(b[24:], uint32(e.Stored))
	le.PutUint16(b[34:], e.Slot)
	b[36], b[37] = kindData, byte(e.Codec)
	le.PutUint64(b[48:], e.Sum)
	le.PutUint64(b[56:], uint64(e.firstHash))
}

// parseEntry reads an entry and checks all that can be told from it alone.
func parseEntry(b []byte) (Entry, error) {
	le := binary.LittleEndian
	offset, length := le.Uint64(b[0:]), le.Uint64(b[8:])
	e := Entry{Offset: int64(offset), Length: int64(length), Generation: le.Uint32(b[28:])}
	if offset > maxSize || length > maxSize || length == 0 {
		return e, fmt.Errorf("range of %d bytes at %d is impossible", length, offset)
	}
	if key := le.Uint16(b[32:]); key != 0 {
		return e, fmt.Errorf("entry names key slot %d, which this version cannot read", key)
	}
	if !IsZero(b[38:48]) {
		return e, fmt.Errorf("entry has reserved bytes that are not zero")
	}
	switch b[36] {
	case kindZero:
		e.Zero = true
		if !IsZero(b[16:28]) || !IsZero(b[34:36]) || b[37] != 0 || !IsZero(b[48:64]) {
			return e, fmt.Errorf("zero entry has fields of data")
		}
		return e, nil
	case kindData:
		return e, e.parseData(b)
	}
	return e, fmt.Errorf("entry is of kind %d, expected data (%d) or zero (%d)", b[36], kindData, kindZero)
}

func (e *Entry) parseData(b []byte) error {
	le := binary.LittleEndian
	place, stored, first := le.Uint64(b[16:]), int64(le.Uint32(b[24:])), le.Uint64(b[56:])
	e.Codec, e.Sum, e.Slot = Codec(b[37]), le.Uint64(b[48:]), le.Uint16(b[34:])
	if e.Length > MaxChunk || e.Offset/MaxChunk != (e.End()-1)/MaxChunk {
		return fmt.Errorf("chunk of %d bytes at %d crosses a multiple of %d", e.Length, e.Offset, MaxChunk)
	}
	if place > maxSize || place%Align != 0 || first > maxSize {
		return fmt.Errorf("chunk at %d of the file with hash %d is impossible", place, first)
	}
	switch {
	case e.Codec > Zstd:
		return fmt.Errorf("chunk has unknown codec %d", e.Codec)
	case e.Codec == None && stored != e.Length:
		return fmt.Errorf("chunk of %d bytes is stored in %d without a codec", e.Length, stored)
	case e.Codec == Zstd && (stored == 0 || stored >= e.Length):
		return fmt.Errorf("chunk of %d bytes is stored in %d with %v", e.Length, stored, e.Codec)
	}
	e.FileOffset, e.Stored, e.firstHash = int64(place), int32(stored), int64(first)
	return nil
}

// fits checks an entry against the file that holds it, and the files that this
// one names.
func (e Entry) fits(h Header, f footer, slots []slotFile) error {
	if err := e.fitsDisk(h); err != nil || e.Zero {
		return err
	}
	if e.firstHash+int64(e.Grains()) > f.hashCount {
		return fmt.Errorf("hashes %d to %d do not exist: there are %d", e.firstHash, e.firstHash+int64(e.Grains()), f.hashCount)
	}
	if int(e.Slot) > len(slots) {
		return fmt.Errorf("file slot %d does not exist: there are %d", e.Slot, len(slots))
	}
	from, to, where := f.headerEnd, f.hashes, "the file"
	if e.Slot > 0 {
		s := slots[e.Slot-1]
		if s.err != nil {
			return nil // nobody can tell; that is damage of its own
		}
		from, to, where = s.from, s.to, s.Name
	}
	if e.FileOffset < from || e.FileOffset+int64(e.Stored) > to {
		return fmt.Errorf("chunk of %d bytes at %d of %s is outside %d to %d", e.Stored, e.FileOffset, where, from, to)
	}
	return nil
}

// fitsDisk checks an entry against the disk. That of an older generation, merged
// into this file, may have been smaller or larger: so a range may end anywhere, a
// chunk may reach beyond the end, which cuts it, and zeroes, which keep cut what
// a smaller disk cut, may start anywhere.
func (e Entry) fitsDisk(h Header) error {
	if int64(e.Generation) < int64(h.Covers[0]) || int64(e.Generation) > int64(h.Covers[1]) {
		return fmt.Errorf("generation %d is not in %d to %d", e.Generation, h.Covers[0], h.Covers[1])
	}
	older := int64(e.Generation) < int64(h.Covers[1])
	switch {
	case e.Offset%Grain != 0 && !(older && e.Zero):
		return fmt.Errorf("range starts at %d, which is no multiple of %d", e.Offset, Grain)
	case e.Offset >= h.Size, e.End() > h.Size && !(older && !e.Zero):
		return fmt.Errorf("range %d to %d is outside the disk of %d bytes", e.Offset, e.End(), h.Size)
	case e.End()%Grain != 0 && e.End() != h.Size && !older:
		return fmt.Errorf("range ends at %d, neither a multiple of %d nor the disk's end %d", e.End(), Grain, h.Size)
	}
	return nil
}
