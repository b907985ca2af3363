package format

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/zeebo/xxh3"
)

// StreamSummary is what a stream holds, in bytes unless said otherwise.
type StreamSummary struct {
	FileSize int64
	Data     int64  // of the disk, in data frames
	Stored   int64  // of their payload, as it is stored
	TailHash uint64 // see TailHash
	Adler32  uint32 // of all bytes of the file, for the .chksum beside it
}

// StreamWriter writes a v2 stream of virtnbdbackup, front to back. Data and Zero
// may be called from any number of goroutines, which compress side by side.
// Frames lie in the order in which they came: who restores does not mind.
type StreamWriter struct {
	w      io.Writer
	header StreamHeader
	level  int

	mu     sync.Mutex
	offset int64 // bytes written
	sum    hash.Hash32
	tail   []byte  // the last bytes written
	frames []span  // of data, in the order of the file
	pieces []int64 // stored lengths of the LZ4 frames
	data   int64   // sum of the lengths of frames
	stored int64
	err    error // the first failure, which condemns the file, or errClosed
}

// span is a range of the disk.
type span struct{ offset, length int64 }

// NewStreamWriter writes the header to w and returns a StreamWriter for the rest.
// It sets the header's Version, and Compressed by the codec: None or LZ4.
// Header.Data is a promise: the sum of all that Data will be given, and in an
// increment Zero.
func NewStreamWriter(w io.Writer, h StreamHeader, o Options) (*StreamWriter, error) {
	h.Version, h.Compressed = 2, o.Codec == LZ4
	out := &StreamWriter{w: w, header: h, level: o.Level, sum: adler32.New()}
	text, err := h.encode()
	switch {
	case err != nil:
	case o.Codec != None && o.Codec != LZ4:
		err = fmt.Errorf("codec is %v, a stream of virtnbdbackup has none or lz4", o.Codec)
	case o.Level < 0 || o.Level > maxLZ4Level:
		err = fmt.Errorf("lz4 level %d is not in 0 to %d", o.Level, maxLZ4Level)
	}
	if err != nil {
		return nil, out.failed(err)
	}
	head := appendFrame(nil, "meta", 0, int64(len(text)))
	if err := out.write(append(append(head, text...), "\r\n"...)); err != nil {
		return nil, err
	}
	return out, nil
}

// encode is the header as virtnbdbackup writes it.
func (h StreamHeader) encode() ([]byte, error) {
	compressed := any(false)
	if h.Compressed {
		compressed = lz4Default
	}
	text, err := json.MarshalIndent(struct {
		Size        int64  `json:"virtualSize"`
		Data        int64  `json:"dataSize"`
		Date        string `json:"date"`
		Disk        string `json:"diskName"`
		Format      string `json:"diskFormat"`
		Checkpoint  string `json:"checkpointName"`
		Compressed  any    `json:"compressed"`
		Method      string `json:"compressionMethod"`
		Parent      string `json:"parentCheckpoint"`
		Incremental bool   `json:"incremental"`
		Version     int    `json:"streamVersion"`
	}{h.Size, h.Data, h.Date.Format(streamTime), h.Disk, h.Format, h.Checkpoint, compressed, "lz4", h.Parent, h.Incremental, h.Version}, "", "    ")
	if err != nil {
		return nil, err
	}
	back, err := parseStreamHeader(text)
	if err == nil && len(text) > maxHeader {
		err = fmt.Errorf("header has %d bytes, at most %d are possible", len(text), maxHeader)
	}
	h.Date = h.Date.Truncate(time.Microsecond)
	if err == nil && (!back.Date.Equal(h.Date) || back.Checkpoint != h.Checkpoint || back.Disk != h.Disk || back.Parent != h.Parent) {
		err = errors.New("header holds what a stream cannot say")
	}
	return text, err
}

// streamTime is how a header writes a time, which has no zone.
const streamTime = "2006-01-02T15:04:05.000000"

func appendFrame(b []byte, kind string, first, second int64) []byte {
	return fmt.Appendf(b, "%s %016x %016x\r\n", kind, first, second)
}

// Data records the guest's bytes p at an offset of the disk, of any alignment.
// Zeroes are data like others: the header has promised them.
func (w *StreamWriter) Data(offset int64, p []byte) error {
	if err := w.check(offset, int64(len(p))); err != nil {
		return err
	}
	for len(p) > 0 {
		n := min(int64(len(p)), MaxChunk-offset%MaxChunk)
		if err := w.frame(offset, p[:n]); err != nil {
			return err
		}
		offset, p = offset+n, p[n:]
	}
	return nil
}

// Zero records that a range of the disk is zero. In an increment that is data:
// virtnbdrestore passes over zero frames. In a stream that stands alone all that
// is no data is zero, and Close says so.
func (w *StreamWriter) Zero(offset, length int64) error {
	if err := w.check(offset, length); err != nil || !w.header.Incremental {
		return err
	}
	for length > 0 {
		n := min(length, MaxChunk-offset%MaxChunk)
		if err := w.frame(offset, zeroes[:n]); err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}

var zeroes [MaxChunk]byte // read only

func (w *StreamWriter) check(offset, length int64) error {
	if offset < 0 || length < 0 || offset > w.header.Size || length > w.header.Size-offset {
		return w.failed(fmt.Errorf("%d bytes at %d are outside the disk of %d bytes", length, offset, w.header.Size))
	}
	return nil
}

func (w *StreamWriter) failed(err error) error {
	return fmt.Errorf("write %s: %w", w.header.Disk, err)
}

// frame appends a data frame.
func (w *StreamWriter) frame(offset int64, p []byte) error {
	payload := p
	if w.header.Compressed {
		packed, err := packPiece(p, w.level)
		if err != nil {
			return w.failed(err)
		}
		payload = packed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(appendFrame(nil, "data", offset, int64(len(p)))); err != nil {
		return err
	}
	if err := w.write(payload); err != nil {
		return err
	}
	w.frames = append(w.frames, span{offset, int64(len(p))})
	w.data, w.stored = w.data+int64(len(p)), w.stored+int64(len(payload))
	if w.header.Compressed {
		w.pieces = append(w.pieces, int64(len(payload)))
	}
	return w.write([]byte("\r\n"))
}

// write appends b to the file.
func (w *StreamWriter) write(b []byte) error {
	if w.err != nil {
		return w.err
	}
	n, err := w.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.err = err // of the file
		return w.err
	}
	_, _ = w.sum.Write(b) // a hash takes everything
	w.tail = append(w.tail, b[max(0, len(b)-tailSize):]...)
	w.tail = w.tail[max(0, len(w.tail)-tailSize):]
	w.offset += int64(n)
	return nil
}

// Close writes the zero frames of a stream that stands alone, stop, and the list
// of stored lengths. The file is complete after it, but not yet on the disk: fsync
// is the caller's. Ranges that overlap are an error, and so is other data than the
// header has promised, and whatever failed before; then the file holds nothing. A
// StreamWriter that is not closed needs no cleaning up.
func (w *StreamWriter) Close() (StreamSummary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		return StreamSummary{}, w.err
	}
	w.err = w.failed(errClosed)
	return StreamSummary{FileSize: w.offset, Data: w.data, Stored: w.stored, TailHash: xxh3.Hash(w.tail), Adler32: w.sum.Sum32()}, nil
}

func (w *StreamWriter) finish() error {
	if w.data != w.header.Data {
		return w.failed(fmt.Errorf("%d bytes of data came, %d were promised", w.data, w.header.Data))
	}
	slices.SortFunc(w.frames, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	var end []byte
	at := int64(0)
	for _, f := range append(w.frames, span{offset: w.header.Size}) {
		if f.offset < at {
			return w.failed(fmt.Errorf("range at %d was recorded twice: the one before ends at %d", f.offset, at))
		}
		if f.offset > at && !w.header.Incremental {
			end = appendFrame(end, "zero", at, f.offset-at)
		}
		at = f.offset + f.length
	}
	end = appendFrame(end, "stop", 0, 0)
	if w.header.Compressed {
		end = w.appendTrailer(end)
	}
	return w.write(end)
}

// appendTrailer appends the list of stored lengths. Each is of a frame below
// 32 MiB, so integers will do.
func (w *StreamWriter) appendTrailer(b []byte) []byte {
	start := len(b)
	b = append(b, '[')
	for i, n := range w.pieces {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, n, 10)
	}
	b = append(b, ']')
	length := int64(len(b) - start)
	return appendFrame(append(b, "\r\n"...), "comp", 0, length)
}
