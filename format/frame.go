package format

import (
	"fmt"
	"io"
	"iter"
	"strconv"
)

const (
	frameSize = 40
	frameMeta = "meta "
)

// Frame is a frame of a v1 or v2 file, behind the header.
type Frame struct {
	Offset, Length int64 // range of the disk, bytes
	Zero           bool
	At             int64   // of data: where the payload starts in the file
	Stored         int64   // of data: bytes of the payload
	Pieces         []int64 // of compressed data: stored lengths of the LZ4 frames, which follow one another
}

// End is the offset behind the last byte of the frame's range.
func (f Frame) End() int64 { return f.Offset + f.Length }

// Frames reads the frames in the order of the file. It stops at the first error.
func (s *Stream) Frames() iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		if s.header.Version == 0 {
			return
		}
		w := walker{stream: s, at: s.frames, end: s.size}
		if s.header.Compressed {
			t, err := openTrailer(s.r, s.size)
			if err != nil {
				yield(Frame{}, err)
				return
			}
			w.trailer, w.end = t, t.start
		}
		for {
			f, err := w.next()
			if err == io.EOF {
				return
			}
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// walker goes from frame to frame.
type walker struct {
	stream  *Stream
	at, end int64    // of the file: the next frame, and where the last must have ended
	trailer *trailer // nil: not compressed
	data    int64    // sum of the lengths

	window []byte // what was last read of the file
	from   int64  // where that starts
}

// next reads a frame; io.EOF is a stream that ends as it should.
func (w *walker) next() (Frame, error) {
	at := w.at
	f, err := w.frame()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("frame at %d of the file: %w", at, err)
	}
	return f, err
}

func (w *walker) frame() (Frame, error) {
	b, err := w.read(frameSize)
	if err != nil {
		return Frame{}, err
	}
	kind, first, second, err := parseFrame(b)
	if err != nil {
		return Frame{}, err
	}
	w.at += frameSize
	f := Frame{Offset: first, Length: second, Zero: kind == "zero"}
	switch kind {
	case "stop":
		return Frame{}, w.stop(first, second)
	case "data", "zero":
	default:
		return Frame{}, fmt.Errorf("is of unknown kind %q", kind)
	}
	if size := w.stream.header.Size; f.Length == 0 || f.End() > size {
		return Frame{}, fmt.Errorf("%s of %d bytes at %d is not within the disk of %d bytes", kind, f.Length, f.Offset, size)
	}
	if !f.Zero {
		return f, w.payload(&f)
	}
	if w.stream.header.Incremental {
		return Frame{}, fmt.Errorf("zero of %d bytes at %d in an increment: virtnbdbackup writes none and its restore ignores them, so what it means is unknown",
			f.Length, f.Offset)
	}
	return f, nil
}

// payload finds where the data of a frame ends, and steps behind it.
func (w *walker) payload(f *Frame) error {
	f.At, f.Stored = w.at, f.Length
	if w.trailer != nil {
		var err error
		if f.Pieces, f.Stored, err = w.trailer.next(w.end - w.at); err != nil {
			return err
		}
		if len(f.Pieces) == 1 && f.Length > maxPiece {
			return fmt.Errorf("data of %d bytes in one LZ4 frame, at most %d are possible", f.Length, maxPiece)
		}
	}
	if f.Stored > w.end-w.at {
		return fmt.Errorf("data of %d stored bytes does not fit: the file has %d behind it", f.Stored, w.end-w.at)
	}
	w.at += f.Stored
	b, err := w.read(2)
	if err != nil {
		return err
	}
	if string(b) != "\r\n" {
		return fmt.Errorf("data ends with %q at %d of the file, expected CR LF", b, w.at)
	}
	w.at += 2
	w.data += f.Length // at most one file's worth of frames, each below maxSize
	if w.data > maxSize {
		return fmt.Errorf("more than %d bytes of data", int64(maxSize))
	}
	return nil
}

// stop checks what the end of a stream says of the whole.
func (w *walker) stop(first, second int64) error {
	if first != 0 || second != 0 {
		return fmt.Errorf("stop has the numbers %d and %d, expected 0", first, second)
	}
	if expected := w.stream.header.Data; w.data != expected {
		return fmt.Errorf("stream ends after %d bytes of data, its header says %d", w.data, expected)
	}
	if w.trailer != nil {
		if err := w.trailer.finish(); err != nil {
			return err
		}
	}
	return io.EOF
}

// read returns the next n bytes, which the file must have. It reads ahead a
// little, because frames may be small.
func (w *walker) read(n int64) ([]byte, error) {
	if w.end-w.at < n {
		return nil, fmt.Errorf("file ends at %d, without a stop frame", w.end)
	}
	if skip := w.at - w.from; skip < 0 || skip+n > int64(len(w.window)) {
		if w.window == nil {
			w.window = make([]byte, Align)
		}
		w.window = w.window[:min(int64(cap(w.window)), w.end-w.at)]
		if err := readFull(w.stream.r, w.window, w.at); err != nil {
			w.window = w.window[:0]
			return nil, err
		}
		w.from = w.at
	}
	return w.window[w.at-w.from:][:n], nil
}

// parseFrame reads the 40 bytes of a frame: kind, two numbers in hexadecimal.
func parseFrame(b []byte) (kind string, first, second int64, err error) {
	if b[4] != ' ' || b[21] != ' ' || b[38] != '\r' || b[39] != '\n' {
		return "", 0, 0, fmt.Errorf("found %q, expected a kind and two numbers", b[:frameSize])
	}
	if first, err = parseHex(b[5:21]); err == nil {
		second, err = parseHex(b[22:38])
	}
	return string(b[:4]), first, second, err
}

func parseHex(b []byte) (int64, error) {
	n, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil || n > maxSize {
		return 0, fmt.Errorf("found %q, expected 16 hex digits, at most %x", b, int64(maxSize))
	}
	return int64(n), nil
}
