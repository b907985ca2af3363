package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// Version of the format that this package reads and writes.
const Version = 3

// Sizes that the format fixes, in bytes.
const (
	Grain    = 64 << 10 // the unit of hashes and of every boundary between entries
	MaxChunk = 1 << 20  // no chunk crosses a multiple of it
	Align    = 4096     // every part and every chunk starts at a multiple of it

	maxHeader = 1 << 20
	maxSize   = 1 << 62 // of a disk, so that offset plus length never overflows
)

// Header is what is known before the first chunk.
type Header struct {
	FormatVersion int       `json:"format_version"` // NewWriter sets it
	StoreID       string    `json:"store_id"`
	Chain         string    `json:"chain"`
	Sequence      int       `json:"sequence"` // of the point in the chain
	Attempt       string    `json:"attempt"`
	Domain        string    `json:"domain"`
	UUID          string    `json:"uuid"`
	Disk          string    `json:"disk"` // target, "vda"
	Size          int64     `json:"size"` // virtual size, bytes
	Source        string    `json:"source"`
	Base          bool      `json:"base"`   // ranges without an entry are zero; else they are the parent's
	Covers        [2]int    `json:"covers"` // sequences, the last is Sequence; NewWriter fills in a zero value
	Disks         []string  `json:"disks"`  // all disks of the point
	HashKey       string    `json:"hash_key"`
	WrappedKeys   []string  `json:"wrapped_keys,omitempty"` // reserved for encryption: must be empty
	Files         []Slot    `json:"files,omitempty"`        // that hold chunks of this one; Entry.Slot counts them from 1
	Time          time.Time `json:"time"`                   // of the checkpoint, UTC
	Version       string    `json:"vbk_version"`
}

// check applies the rules that a header must obey, written or read.
func (h Header) check() error {
	if h.FormatVersion != Version {
		return fmt.Errorf("format version is %d, expected %d", h.FormatVersion, Version)
	}
	if h.Size < 0 || h.Size > maxSize {
		return fmt.Errorf("virtual size %d is not in 0 to %d", h.Size, int64(maxSize))
	}
	if h.Covers[0] < 0 || h.Covers[0] > h.Covers[1] || h.Covers[1] > math.MaxUint32 {
		return fmt.Errorf("covers sequences %d to %d, which is no range", h.Covers[0], h.Covers[1])
	}
	if h.Covers[1] != h.Sequence {
		return fmt.Errorf("covers sequences up to %d, expected up to its own %d", h.Covers[1], h.Sequence)
	}
	if len(h.WrappedKeys) > 0 {
		return errors.New("file is encrypted, which this version cannot read")
	}
	if err := checkSlots(h.Files); err != nil {
		return err
	}
	_, err := ParseKey(h.HashKey)
	return err
}

// encode returns the header as it stands in the file, padded.
func (h Header) encode() ([]byte, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b := fmt.Appendf(nil, "%s%d\n%s\n", headerMagic, len(text), text)
	if len(b) > maxHeader {
		return nil, fmt.Errorf("header has %d bytes, at most %d fit", len(b), maxHeader)
	}
	return append(b, make([]byte, padded(int64(len(b)))-int64(len(b)))...), nil
}

const headerMagic = "VBK3 "

// readHeader reads the header of a file with this size and returns it with its
// bytes, padding included.
func readHeader(r io.ReaderAt, size int64) (Header, []byte, error) {
	b := make([]byte, min(size, Align))
	if err := readFull(r, b, 0); err != nil {
		return Header{}, nil, err
	}
	start, length, err := headerLine(b)
	if err != nil {
		return Header{}, nil, err
	}
	total := padded(int64(start + length + 1))
	if total > maxHeader || total > size {
		return Header{}, nil, fmt.Errorf("header of %d bytes does not fit: at most %d", total, min(size, maxHeader))
	}
	if total > int64(len(b)) {
		b = make([]byte, total)
		if err := readFull(r, b, 0); err != nil {
			return Header{}, nil, err
		}
	}
	b = b[:total]
	if c := b[start+length]; c != '\n' {
		return Header{}, nil, fmt.Errorf("header ends with byte 0x%02x, expected a line feed", c)
	}
	h, err := parseHeader(b[start : start+length])
	return h, b, err
}

// headerLine reads the first line: where the JSON starts and its length.
func headerLine(b []byte) (start, length int, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(headerMagic))
	if !ok {
		return 0, 0, fmt.Errorf("file starts with %q, expected %q", b[:min(len(b), len(headerMagic))], headerMagic)
	}
	const digits = 7
	end := bytes.IndexByte(rest[:min(len(rest), digits+1)], '\n')
	if end < 0 {
		return 0, 0, errors.New("header has no length")
	}
	length, err = strconv.Atoi(string(rest[:end]))
	if err != nil || length < 0 || strconv.Itoa(length) != string(rest[:end]) {
		return 0, 0, fmt.Errorf("header length %q is no number", rest[:end])
	}
	return len(headerMagic) + end + 1, length, nil
}

func parseHeader(text []byte) (Header, error) {
	var h Header
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // what this version does not know, it must not ignore
	if err := d.Decode(&h); err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Header{}, errors.New("header: bytes after the JSON value")
	}
	if err := h.check(); err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	return h, nil
}

// padded rounds up to the next multiple of Align.
func padded(n int64) int64 { return (n + Align - 1) &^ (Align - 1) }

// readFull fills p from offset off. A file that ends before is an error that says
// so; one that cannot be read is a ReadError.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %d bytes at %d: %w", len(p), off, io.ErrUnexpectedEOF)
	}
	return &ReadError{off, len(p), err}
}
