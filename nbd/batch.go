package nbd

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Read is a range of the export and the buffer that it fills.
type Read struct {
	Offset int64 // bytes from the start of the export
	Data   []byte
}

// Write is a range of the export and its new content.
type Write struct {
	Offset int64 // bytes from the start of the export
	Data   []byte
}

// Sizes of requests in bytes.
const (
	pieceSize = 1 << 20  // of ReadAt and WriteAt: enough requests to keep several in flight
	primeSize = 16 << 20 // see Prime
	dataLimit = 32 << 20 // of a read or write, whatever the server allows: the protocol's default
	zeroLimit = 1 << 30  // of a write of zeroes
)

// verb is a command on the wire; wire.h has the same numbers.
type verb int

const (
	verbRead verb = iota
	verbWrite
	verbZero
	verbFlush
)

var verbNames = [...]string{"read", "write", "zero", "flush"}

// request is one command on the wire. Data is nil where none is moved.
type request struct {
	data           []byte
	offset, length int64
}

// ReadBatch fills all buffers, with several requests in flight, in one call of
// the C library. They may have any order. Requests go out as given unless they
// are larger than the server takes (32 MiB at most). An empty buffer, one beyond
// the end, or one not aligned to the server's minimum block is refused. After an
// error the content of every buffer is undefined.
func (c *Conn) ReadBatch(ctx context.Context, reads []Read) error {
	if c.err != nil {
		return c.err
	}
	for _, r := range reads {
		if err := c.add(verbRead, r.Offset, int64(len(r.Data)), r.Data, c.info.maximum); err != nil {
			return err
		}
	}
	return c.run(ctx, verbRead)
}

// WriteBatch writes all buffers as ReadBatch reads. Ranges must not overlap:
// the server may take them in any order. Nothing is durable before Flush.
func (c *Conn) WriteBatch(ctx context.Context, writes []Write) error {
	if c.err != nil {
		return c.err
	}
	for _, w := range writes {
		if err := c.add(verbWrite, w.Offset, int64(len(w.Data)), w.Data, c.info.maximum); err != nil {
			return err
		}
	}
	return c.run(ctx, verbWrite)
}

// Prime reads the first 16 MiB once and drops them. QEMU's allocator then keeps
// buffers of that size instead of giving each one back to the kernel, which
// makes requests of 1 MiB several times as fast. It pays from about 100 MiB on.
func (c *Conn) Prime(ctx context.Context) error {
	if c.err != nil || c.info.size == 0 {
		return c.err
	}
	return c.ReadBatch(ctx, []Read{{Data: make([]byte, min(primeSize, c.info.size))}})
}

// ReadAt reads as io.ReaderAt demands: short only at the end of the export,
// with io.EOF, after which the connection stays usable.
func (c *Conn) ReadAt(p []byte, off int64) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	var end error
	if off >= 0 && int64(len(p)) > c.info.size-off {
		p, end = p[:max(0, c.info.size-off)], io.EOF
	}
	if err := c.transfer(verbRead, p, off); err != nil {
		return 0, err
	}
	return len(p), end
}

// WriteAt writes all of p, or fails.
func (c *Conn) WriteAt(p []byte, off int64) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if err := c.transfer(verbWrite, p, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *Conn) transfer(v verb, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	if err := c.add(v, off, int64(len(p)), p, max(c.info.block, min(pieceSize, c.info.maximum))); err != nil {
		return err
	}
	return c.run(context.Background(), v)
}

// Zero makes n bytes at off read as zeroes; the server may punch a hole.
func (c *Conn) Zero(off, n int64) error {
	if c.err != nil {
		return c.err
	}
	if err := c.add(verbZero, off, n, nil, zeroLimit); err != nil {
		return err
	}
	return c.run(context.Background(), verbZero)
}

// Flush makes durable what has been written; it fails where the server cannot
// promise that.
func (c *Conn) Flush() error {
	if c.err != nil {
		return c.err
	}
	c.requests = append(c.requests[:0], request{})
	return c.run(context.Background(), verbFlush)
}

// add checks a range and appends it to the requests, in parts of at most limit
// bytes.
func (c *Conn) add(v verb, offset, length int64, data []byte, limit int64) error {
	if err := c.check(offset, length); err != nil {
		return c.fail(describe(verbNames[v], offset, length), err)
	}
	for length > 0 {
		part := request{offset: offset, length: min(length, limit)}
		if data != nil {
			part.data, data = data[:part.length], data[part.length:]
		}
		c.requests = append(c.requests, part)
		offset, length = offset+part.length, length-part.length
	}
	return nil
}

// check refuses what must not reach the wire.
func (c *Conn) check(offset, length int64) error {
	switch {
	case length <= 0:
		return errors.New("the range is empty")
	case offset < 0 || offset > c.info.size || length > c.info.size-offset:
		return fmt.Errorf("the range is not within its %d bytes", c.info.size)
	case (offset|length)&(c.info.block-1) != 0:
		return fmt.Errorf("the range is not aligned to the server's minimum block of %d bytes", c.info.block)
	}
	return nil
}

// run sends the requests and forgets them.
func (c *Conn) run(ctx context.Context, v verb) error {
	defer func() {
		clear(c.requests)
		c.requests = c.requests[:0]
	}()
	if len(c.requests) == 0 {
		return nil
	}
	err := c.guard(ctx, func() error { return c.wire.run(v, c.requests) })
	if err != nil {
		first, last := c.requests[0], c.requests[len(c.requests)-1]
		return c.fail(locate(verbNames[v], first.offset, last.offset+last.length-first.offset, err), err)
	}
	return nil
}

// locate names the request that failed if the error knows it, otherwise the
// whole range.
func locate(operation string, offset, length int64, err error) string {
	var failed *wireError
	if errors.As(err, &failed) {
		offset, length = failed.offset, failed.length
	}
	return describe(operation, offset, length)
}

func describe(operation string, offset, length int64) string {
	if operation == verbNames[verbFlush] {
		return operation
	}
	return fmt.Sprintf("%s %d bytes at %d of", operation, length, offset)
}
