package format

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// Stream is a file that virtnbdbackup wrote, v1, v2 or raw. It is a Layer, and
// safe for concurrent use if its io.ReaderAt is.
type Stream struct {
	r       io.ReaderAt
	size    int64 // of the file
	frames  int64 // where the first frame behind the header starts
	header  StreamHeader
	entries []Entry
	longest int64
}

// ErrNoStream is what OpenStream says of a file that does not start like a
// stream. It may be a raw image, which has no mark: see NewRaw.
var ErrNoStream = errors.New("file does not start like a stream of virtnbdbackup")

// OpenStream reads header and frames of a v1 or v2 file with this size in bytes.
// It reads no data. A file that ends early, or in which anything else is not as
// it should be, is an error that says where.
func OpenStream(r io.ReaderAt, size int64) (*Stream, error) {
	h, frames, err := readStreamHeader(r, size)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s := &Stream{r: r, size: size, frames: frames, header: h}
	for f, err := range s.Frames() {
		if err == nil {
			err = s.add(f)
		}
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
	}
	return s, nil
}

// NewRaw is the stream of a raw image: a file that is the disk, byte for byte.
// It has no header; Disk and Checkpoint of h tell where it belongs.
func NewRaw(r io.ReaderAt, size int64, h StreamHeader) (*Stream, error) {
	h.Version, h.Size, h.Data, h.Compressed, h.Incremental = 0, size, size, false, false
	s := &Stream{r: r, size: size, header: h}
	return s, s.addPlain(0, size, 0)
}

// Header returns the stream's header.
func (s *Stream) Header() StreamHeader { return s.header }

// Entries returns the index, in the order of the file. It must not be changed.
func (s *Stream) Entries() []Entry { return s.entries }

func (s *Stream) String() string { return fmt.Sprintf("%s of %s", s.header.Disk, s.header.Checkpoint) }

func (s *Stream) facts() facts {
	return facts{name: s.String(), size: s.header.Size, base: !s.header.Incremental, entries: s.entries, longest: s.longest}
}

func (s *Stream) follows(below Layer) error {
	b, ok := below.(*Stream)
	if !ok {
		return fmt.Errorf("%s is a stream, found %s, a v3 file, below it", s, below.facts().name)
	}
	h := s.header
	switch {
	case h.Disk != b.header.Disk:
		return fmt.Errorf("%s does not belong to %s", s, b)
	case !h.Incremental:
		return nil
	case h.Parent != b.header.Checkpoint:
		return fmt.Errorf("%s builds on %s, found %s below it", s, h.Parent, b.header.Checkpoint)
	}
	return nil
}

// add puts a frame into the index. What is zero in a stream that stands alone
// needs no entry, and the others have no zero frames.
func (s *Stream) add(f Frame) error {
	switch {
	case f.Zero:
		return nil
	case s.header.Compressed:
		return s.addPieces(f)
	}
	return s.addPlain(f.Offset, f.Length, f.At)
}

// addPlain indexes bytes that are stored as they are, cut at multiples of MaxChunk.
func (s *Stream) addPlain(offset, length, at int64) error {
	for end := offset + length; offset < end; {
		n := min(end, (offset/MaxChunk+1)*MaxChunk) - offset
		if err := s.append(Entry{Offset: offset, Length: n, FileOffset: at, Stored: int32(n)}); err != nil {
			return err
		}
		offset, at = offset+n, at+n
	}
	return nil
}

// addPieces indexes the LZ4 frames of a data frame.
func (s *Stream) addPieces(f Frame) error {
	offset, at := f.Offset, f.At
	for _, stored := range f.Pieces {
		length := f.Length
		if len(f.Pieces) > 1 {
			var err error
			if length, err = pieceLength(s.r, at, stored); err != nil {
				return fmt.Errorf("LZ4 frame at %d of the file: %w", at, err)
			}
		}
		if most := min(maxPiece, f.End()-offset, 255*stored); length <= 0 || length > most { // LZ4 packs 255 bytes into one at best
			return fmt.Errorf("LZ4 frame at %d of the file holds %d bytes, at most %d are possible", at, length, most)
		}
		if err := s.append(Entry{Offset: offset, Length: length, FileOffset: at, Stored: int32(stored), Codec: LZ4}); err != nil {
			return err
		}
		offset, at = offset+length, at+stored
	}
	if offset != f.End() {
		return fmt.Errorf("data frame before %d of the file: its LZ4 frames hold %d bytes, expected %d", f.At, offset-f.Offset, f.Length)
	}
	return nil
}

func (s *Stream) append(e Entry) error {
	if len(s.entries) == math.MaxInt32 {
		return fmt.Errorf("more than %d entries", math.MaxInt32)
	}
	s.entries, s.longest = append(s.entries, e), max(s.longest, e.Length)
	return nil
}
