package format

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// trailer reads the list of stored lengths at the end of a compressed stream,
// one element for each data frame, without holding it in memory.
type trailer struct {
	r     *bufio.Reader
	start int64 // where the list starts in the file
	at    int64 // of the next byte
	some  bool  // an element was read
}

// trailerEnd is CR LF and the last frame.
const trailerEnd = 2 + frameSize

// minPiece is the shortest LZ4 frame that holds anything.
const minPiece = 7 + 4 + 1 + 4

func openTrailer(r io.ReaderAt, size int64) (*trailer, error) {
	if size < trailerEnd {
		return nil, fmt.Errorf("file of %d bytes has no trailer", size)
	}
	var b [trailerEnd]byte
	if err := readFull(r, b[:], size-trailerEnd); err != nil {
		return nil, err
	}
	kind, zero, length, err := parseFrame(b[2:])
	if err != nil || kind != "comp" || zero != 0 || string(b[:2]) != "\r\n" {
		return nil, fmt.Errorf("trailer at %d of the file is %q, expected CR LF and a comp frame: the file was not completed", size-trailerEnd, b)
	}
	start := size - trailerEnd - length
	if start < 0 {
		return nil, fmt.Errorf("trailer of %d bytes does not fit into the file", length)
	}
	return &trailer{r: bufio.NewReader(section(r, start, length)), start: start, at: start}, nil
}

// next reads an element: the stored lengths of a frame's pieces, and their sum,
// which is at most limit.
func (t *trailer) next(limit int64) (pieces []int64, sum int64, err error) {
	open := byte('[')
	if t.some {
		open = ','
	}
	t.some = true
	if err := t.expect(open); err != nil {
		return nil, 0, err
	}
	c, err := t.peek()
	if err != nil {
		return nil, 0, err
	}
	if c == '{' {
		return t.object(limit)
	}
	if sum, err = t.piece(limit); err != nil {
		return nil, 0, err
	}
	return []int64{sum}, sum, nil
}

// object reads {"sum": [length, ...]}.
func (t *trailer) object(limit int64) (pieces []int64, sum int64, err error) {
	if err := t.expect('{', '"'); err != nil {
		return nil, 0, err
	}
	expected, err := t.number()
	if err != nil {
		return nil, 0, err
	}
	if err := t.expect('"', ':', '['); err != nil {
		return nil, 0, err
	}
	for {
		n, err := t.piece(limit - sum)
		if err != nil {
			return nil, 0, err
		}
		pieces, sum = append(pieces, n), sum+n
		c, err := t.peek()
		if err != nil {
			return nil, 0, err
		}
		if c == ']' {
			break
		}
		if err := t.expect(','); err != nil {
			return nil, 0, err
		}
	}
	if sum != expected {
		return nil, 0, fmt.Errorf("trailer at %d of the file: lengths add up to %d, expected %d", t.at, sum, expected)
	}
	return pieces, sum, t.expect(']', '}')
}

// piece reads the stored length of an LZ4 frame. That each has a minimum bounds
// their number by the size of the file.
func (t *trailer) piece(limit int64) (int64, error) {
	n, err := t.number()
	if limit = min(limit, maxPieceStored); err == nil && (n < minPiece || n > limit) {
		err = fmt.Errorf("trailer before %d of the file: LZ4 frame of %d bytes, expected %d to %d", t.at, n, minPiece, limit)
	}
	return n, err
}

// finish checks that the list ends, and the trailer with it.
func (t *trailer) finish() error {
	if !t.some {
		if err := t.expect('['); err != nil {
			return err
		}
	}
	if err := t.expect(']'); err != nil {
		return err
	}
	switch c, err := t.peek(); {
	case IsUnread(err):
		return err
	case err == nil:
		return fmt.Errorf("trailer at %d of the file: found %q behind the list: it is not that of these frames", t.at, c)
	}
	return nil
}

// expect reads these characters, each after any blanks.
func (t *trailer) expect(chars ...byte) error {
	for _, c := range chars {
		found, err := t.peek()
		if err != nil {
			return err
		}
		if found != c {
			return fmt.Errorf("trailer at %d of the file: found %q, expected %q", t.at, found, c)
		}
		_, _ = t.r.Discard(1)
		t.at++
	}
	return nil
}

// peek returns the next character that is no blank.
func (t *trailer) peek() (byte, error) {
	for {
		b, err := t.r.Peek(1)
		switch {
		case IsUnread(err):
			return 0, err
		case err != nil:
			return 0, fmt.Errorf("trailer ends at %d of the file: %w", t.at, io.ErrUnexpectedEOF)
		}
		if c := b[0]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
		_, _ = t.r.Discard(1)
		t.at++
	}
}

func (t *trailer) number() (int64, error) {
	if _, err := t.peek(); err != nil {
		return 0, err
	}
	const most = 20 // one more than fit
	b, err := t.r.Peek(most)
	if IsUnread(err) {
		return 0, err
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseInt(string(b[:digits]), 10, 64)
	if err != nil || n > maxSize {
		return 0, fmt.Errorf("trailer at %d of the file: found %q, expected a number up to %d", t.at, b, int64(maxSize))
	}
	_, _ = t.r.Discard(digits)
	t.at += int64(digits)
	return n, nil
}
