package formattest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

const (
	align     = 4096
	grain     = 64 << 10
	mostChunk = 1 << 20
	pageSize  = 64 << 10
	pageHolds = 1023
	most      = 1 << 62
)

// header has the fields of the section "Header".
type header struct {
	FormatVersion int       `json:"format_version"`
	StoreID       string    `json:"store_id"`
	Chain         string    `json:"chain"`
	Sequence      int64     `json:"sequence"`
	Attempt       string    `json:"attempt"`
	Domain        string    `json:"domain"`
	UUID          string    `json:"uuid"`
	Disk          string    `json:"disk"`
	Source        string    `json:"source"`
	Size          int64     `json:"size"`
	Base          bool      `json:"base"`
	Covers        [2]int64  `json:"covers"`
	Disks         []string  `json:"disks"`
	HashKey       string    `json:"hash_key"`
	Files         []lender  `json:"files"`
	WrappedKeys   []string  `json:"wrapped_keys"`
	Time          time.Time `json:"time"`
	Version       string    `json:"vbk_version"`
}

type lender struct {
	Name       string `json:"name"`
	Size       int64  `json:"size"`
	FooterHash string `json:"footer_hash"`
}

type entry struct {
	offset, length, at int64
	stored, generation uint32
	slot               uint16
	zero, zstd         bool
	sum                uint64
}

// file is one file, whole.
type file struct {
	bytes                    []byte
	header                   header
	chunks, hashes           int64 // where they start; the chunks end where the hashes start
	countHashes, index       int64
	indexLength, countOfThem int64 // of the index: bytes, entries
	footerHash               string
	entries                  []entry
}

var little = binary.LittleEndian

// sum is an XXH3-128 as a file holds it.
func sum(b []byte) []byte {
	h := xxh3.Hash128(b)
	return little.AppendUint64(little.AppendUint64(nil, h.Lo), h.Hi)
}

// up rounds to the next multiple of 4096.
func up(n int64) int64 { return (n + align - 1) / align * align }

// outer reads footer and header.
func outer(b []byte) (*file, error) {
	if len(b) < 2*align || len(b)%align != 0 {
		return nil, fmt.Errorf("%d bytes are no file", len(b))
	}
	foot := b[len(b)-align:]
	number := func(at int) int64 { return int64(min(little.Uint64(foot[at:]), most)) }
	if string(foot[:8]) != "VBK3FOOT" || little.Uint32(foot[8:]) != 3 || number(16) != int64(len(b)) || xxh3.Hash(foot[:4088]) != little.Uint64(foot[4088:]) {
		return nil, fmt.Errorf("footer is not valid")
	}
	if !zeroes(foot[12:16]) || !zeroes(foot[136:4088]) {
		return nil, fmt.Errorf("reserved bytes of the footer are used")
	}
	f := &file{
		bytes: b, chunks: number(24), hashes: number(32), countHashes: number(40), index: number(48), indexLength: number(56), countOfThem: number(64),
		footerHash: fmt.Sprintf("%016x", little.Uint64(foot[4088:])),
	}
	pages := (f.countOfThem + pageHolds - 1) / pageHolds
	if f.chunks < align || f.chunks > f.hashes || f.hashes > int64(len(b)) || f.countHashes > int64(len(b))/8 ||
		up(f.hashes+8*f.countHashes) != f.index || f.indexLength != pages*pageSize || f.index+f.indexLength+align != int64(len(b)) || f.hashes%align != 0 {
		return nil, fmt.Errorf("the parts do not follow one another")
	}
	if !bytes.Equal(sum(b[:f.chunks]), foot[88:104]) || !bytes.Equal(sum(b[f.hashes:f.hashes+8*f.countHashes]), foot[104:120]) {
		return nil, fmt.Errorf("sum of header or hashes")
	}
	return f, f.readHeader(b[:f.chunks])
}

func (f *file) readHeader(b []byte) error {
	first, rest, ok := bytes.Cut(b, []byte("\n"))
	digits, isOurs := bytes.CutPrefix(first, []byte("VBK3 "))
	length, err := strconv.Atoi(string(digits))
	if !ok || !isOurs || err != nil || length < 0 || length >= len(rest) || len(digits) > 7 || strconv.Itoa(length) != string(digits) {
		return fmt.Errorf("header begins with %q", first)
	}
	end := len(first) + 1 + length + 1
	if rest[length] != '\n' || !zeroes(b[end:]) || up(int64(end)) != f.chunks || f.chunks > 1<<20 {
		return fmt.Errorf("header does not end where it should")
	}
	d := json.NewDecoder(bytes.NewReader(rest[:length]))
	d.DisallowUnknownFields()
	if err := d.Decode(&f.header); err != nil {
		return err
	}
	h := f.header
	if h.FormatVersion != 3 || len(h.WrappedKeys) > 0 || h.Covers[1] != h.Sequence || h.Covers[0] > h.Covers[1] || h.Size < 0 || h.Size > most {
		return fmt.Errorf("header breaks a rule")
	}
	return nil
}

// open reads a file with its index.
func open(b []byte) (*file, error) {
	f, err := outer(b)
	if err != nil {
		return nil, err
	}
	foot := b[len(b)-align:]
	var sums []byte
	for at := f.index; at < f.index+f.indexLength; at += pageSize {
		page := slices.Clone(b[at : at+pageSize])
		sums = append(sums, page[48:64]...)
		count := int64(little.Uint32(page[12:]))
		if left := f.countOfThem - int64(len(f.entries)); count != min(left, pageHolds) || string(page[:8]) != "VBK3PAGE" || int64(little.Uint32(page[8:])) != (at-f.index)/pageSize {
			return nil, fmt.Errorf("page at %d is another one", at)
		}
		clear(page[48:64])
		if !bytes.Equal(sum(page), sums[len(sums)-16:]) || little.Uint64(page[16:]) != little.Uint64(page[64:]) || !zeroes(page[24:48]) || !zeroes(page[64*(1+count):]) {
			return nil, fmt.Errorf("page at %d is bad", at)
		}
		for i := range count {
			e, err := readEntry(page[64*(1+i):64*(2+i)], f)
			if err != nil {
				return nil, fmt.Errorf("page at %d, entry %d: %w", at, i, err)
			}
			f.entries = append(f.entries, e)
		}
	}
	if !bytes.Equal(sum(sums), foot[120:136]) {
		return nil, fmt.Errorf("sum of the pages")
	}
	return f, f.check(int64(little.Uint64(foot[72:])), int64(little.Uint64(foot[80:])))
}

func readEntry(b []byte, f *file) (entry, error) {
	e := entry{
		offset: int64(little.Uint64(b)), length: int64(little.Uint64(b[8:])), at: int64(little.Uint64(b[16:])), stored: little.Uint32(b[24:]),
		generation: little.Uint32(b[28:]), slot: little.Uint16(b[34:]), zero: b[36] == 2, zstd: b[37] == 1, sum: little.Uint64(b[48:]),
	}
	h := f.header
	old := int64(e.generation) < h.Covers[1]
	end := e.offset + e.length
	switch {
	case b[36] != 1 && b[36] != 2, b[37] > 1, !zeroes(b[32:34]), !zeroes(b[38:48]), int(e.slot) > len(h.Files):
		return e, fmt.Errorf("unknown kind, codec, slot or field")
	case int64(e.generation) < h.Covers[0] || int64(e.generation) > h.Covers[1]:
		return e, fmt.Errorf("generation %d", e.generation)
	case e.offset < 0 || e.length <= 0 || e.length > most || e.offset >= h.Size || end > h.Size && (!old || e.zero):
		return e, fmt.Errorf("%d bytes at %d are outside of the disk", e.length, e.offset)
	case e.offset%grain != 0 && (!old || !e.zero), end%grain != 0 && end != h.Size && !old:
		return e, fmt.Errorf("%d bytes at %d are no grains", e.length, e.offset)
	case e.zero && !(zeroes(b[16:28]) && zeroes(b[32:36]) && zeroes(b[37:])):
		return e, fmt.Errorf("a zero entry says more")
	case e.zero:
		return e, nil
	case e.offset/mostChunk != (end-1)/mostChunk, e.at%align != 0, e.stored == 0,
		e.zstd && int64(e.stored) >= e.length, !e.zstd && int64(e.stored) != e.length:
		return e, fmt.Errorf("chunk of %d bytes for %d at %d", e.stored, e.length, e.offset)
	}
	position := int64(0)
	for _, before := range f.entries {
		if !before.zero {
			position += (before.length + grain - 1) / grain
		}
	}
	if int64(little.Uint64(b[56:])) != position {
		return e, fmt.Errorf("first hash is not number %d", position)
	}
	return e, nil
}

// check looks at what the entries are together, and at the bytes that none claims.
func (f *file) check(data, stored int64) error {
	rest := slices.Clone(f.bytes[f.chunks:f.index])
	clear(rest[f.hashes-f.chunks:][:8*f.countHashes])
	hashes := int64(0)
	for i, e := range f.entries {
		if i > 0 {
			last := f.entries[i-1]
			if e.generation < last.generation || e.generation == last.generation && e.offset < last.offset+last.length {
				return fmt.Errorf("entry %d is out of order", i)
			}
		}
		if e.zero {
			continue
		}
		data, stored, hashes = data-e.length, stored-int64(e.stored), hashes+(e.length+grain-1)/grain
		if e.slot == 0 {
			if e.at < f.chunks || e.at+int64(e.stored) > f.hashes {
				return fmt.Errorf("entry %d: chunk lies outside", i)
			}
			clear(rest[e.at-f.chunks:][:e.stored])
		}
	}
	if data != 0 || stored != 0 || hashes != f.countHashes || !zeroes(rest) {
		return fmt.Errorf("sums in the footer, or bytes that nothing claims")
	}
	return nil
}

// decode returns the data of an entry from the bytes of the file that holds its chunk.
func (e entry) decode(holder *file) ([]byte, error) {
	if e.at < holder.chunks || e.at > holder.hashes || int64(e.stored) > holder.hashes-e.at {
		return nil, fmt.Errorf("chunk of %d lies outside", e.offset)
	}
	b := holder.bytes[e.at:][:e.stored]
	if xxh3.Hash(b) != e.sum {
		return nil, fmt.Errorf("sum of the chunk of %d", e.offset)
	}
	if !e.zstd {
		return b, nil
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(mostChunk), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	b, err = d.DecodeAll(b, nil)
	if err == nil && int64(len(b)) != e.length {
		err = fmt.Errorf("chunk of %d has %d bytes, not %d", e.offset, len(b), e.length)
	}
	return b, err
}

func zeroes(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
