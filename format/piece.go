package format

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pierrec/lz4/v4"
)

// Compressed data is cut into pieces of at most what QEMU reads in one request,
// and each becomes one LZ4 frame.
const (
	maxPiece       = 32 << 20
	maxPieceStored = 2 * maxPiece // far more than LZ4 makes of 32 MiB that do not compress
)

// pieceReader decodes an LZ4 frame. It checks the sums that the frame has, and
// that only when it is read to its end. A decoder is not used twice: it would
// keep the end of one frame within reach of the next.
func pieceReader(r io.ReaderAt, at, stored int64) (io.Reader, error) {
	in := bufio.NewReaderSize(section(r, at, stored), int(min(stored, Grain)))
	const magic = "\x04\x22\x4d\x18"
	if b, err := in.Peek(len(magic)); IsUnread(err) {
		return nil, err
	} else if err != nil || string(b) != magic {
		return nil, fmt.Errorf("starts with %x, expected %x", b, magic)
	}
	out := lz4.NewReader(in)
	return out, out.Apply(lz4.ConcurrencyOption(1))
}

// pieceLength is the number of bytes that an LZ4 frame holds: what its header
// says, or if that says nothing, what comes out of it.
func pieceLength(r io.ReaderAt, at, stored int64) (int64, error) {
	var b [14]byte // magic, flags, block size, content size
	if err := readFull(r, b[:], at); err != nil {
		return 0, err
	}
	const hasSize = 1 << 3
	if b[4]&hasSize != 0 {
		return int64(min(binary.LittleEndian.Uint64(b[6:]), maxSize)), nil
	}
	in, err := pieceReader(r, at, stored)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, io.LimitReader(in, maxPiece+1))
}

// ReadChunk reads the data of an entry of this stream into dst, which has
// exactly e.Length bytes. Data that is not compressed has no sum. On an error
// dst holds nothing of use.
func (s *Stream) ReadChunk(e Entry, dst []byte) error {
	if int64(len(dst)) != e.Length {
		return fmt.Errorf("chunk at %d has %d bytes, destination %d", e.Offset, e.Length, len(dst))
	}
	if e.Codec == None {
		if err := readFull(s.r, dst, e.FileOffset); err != nil {
			return s.chunkError(e, err)
		}
		return nil
	}
	in, err := pieceReader(s.r, e.FileOffset, int64(e.Stored))
	if err == nil {
		err = inflate(in, dst)
	}
	if err != nil {
		return s.chunkError(e, err)
	}
	return nil
}

func (s *Stream) chunkError(e Entry, err error) error {
	return fmt.Errorf("%s: chunk of %d bytes at %d, stored at %d of the file: %w", s, e.Length, e.Offset, e.FileOffset, err)
}

// inflate fills dst from what must hold exactly that.
func inflate(in io.Reader, dst []byte) error {
	n, err := io.ReadFull(in, dst)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("decompress: found %d bytes, expected %d", n, len(dst))
	}
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	switch n, err := io.ReadFull(in, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("decompress: found more than %d bytes", len(dst))
	case err != io.EOF:
		return fmt.Errorf("decompress: %w", err)
	}
	return nil
}

// Check reads every chunk and reports those that cannot be read, in no
// particular order, one call at a time. What frames and trailer say was checked
// by OpenStream. Only compressed data has sums of its own; for the rest there is
// the Adler-32 that virtnbdbackup may have put beside the file. The error is the
// context's.
func (s *Stream) Check(ctx context.Context, report func(Damage)) error {
	var next atomic.Int64
	var mu sync.Mutex
	damaged := func(e Entry, err error) {
		mu.Lock()
		defer mu.Unlock()
		report(newDamage(e.Offset, e.Length, "", err))
	}
	sideBySide(ctx, min(runtime.GOMAXPROCS(0), cacheSize/maxPiece), func(ctx context.Context) {
		buf := make([]byte, s.longest)
		for k := next.Add(1) - 1; k < int64(len(s.entries)) && ctx.Err() == nil; k = next.Add(1) - 1 {
			e := s.entries[k]
			if err := s.ReadChunk(e, buf[:e.Length]); err != nil {
				damaged(e, err)
			}
		}
	})
	return ctx.Err()
}
