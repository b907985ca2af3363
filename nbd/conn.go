package nbd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options of a connection.
type Options struct {
	// Bitmap is the name of a dirty bitmap that the server exports as
	// "qemu:dirty-bitmap:" + Bitmap; Dial fails if it does not. Empty: none.
	Bitmap string
}

// Conn is a connection to one export. It is not safe for concurrent use. After
// any error it is closed, and every call returns that first error.
type Conn struct {
	object   string // what errors call it
	wire     wire
	socket   int // our own descriptor of libnbd's socket; -1: closed
	info     info
	requests []request // of the call under way; kept for its memory
	err      error     // why it cannot be used any more
}

// info is what the server said when the connection was made.
type info struct {
	size       int64
	block      int64 // minimum block: every offset and length is a multiple of it, at least 1
	maximum    int64 // bytes of one read or write, a multiple of block
	allocation bool  // base:allocation is there
	bitmap     string
}

// Dial connects to an export of the server that listens on a unix socket. The
// context ends the attempt, not the connection. It is an error if the server
// has no such export, or not the bitmap that the options ask for.
func Dial(ctx context.Context, socket, export string, o Options) (*Conn, error) {
	c := &Conn{object: fmt.Sprintf("export %q on %s", export, socket), socket: -1}
	if err := c.dial(ctx, socket, export, o); err != nil {
		return nil, c.fail("connect to", err)
	}
	return c, nil
}

func (c *Conn) dial(ctx context.Context, path, export string, o Options) error {
	if strings.ContainsRune(export+o.Bitmap, 0) {
		return errors.New("a name holds a NUL byte")
	}
	var err error
	if c.wire, err = newWire(); err != nil {
		return err
	}
	var theirs int
	if c.socket, theirs, err = dialSocket(ctx, path); err != nil {
		return err
	}
	return c.guard(ctx, func() error {
		c.info, err = c.wire.connect(theirs, export, o.Bitmap)
		return err
	})
}

// dialSocket returns two descriptors of one connected socket. The one that
// net made is given back to it, for it would go on watching the traffic.
func dialSocket(ctx context.Context, path string) (ours, theirs int, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return -1, -1, err
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, -1, err
	}
	ours, theirs = -1, -1
	failed := raw.Control(func(fd uintptr) {
		if ours, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return
		}
		if theirs, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			unix.Close(ours)
		}
	})
	if err := errors.Join(failed, err); err != nil {
		return -1, -1, fmt.Errorf("duplicate the socket: %w", err)
	}
	return ours, theirs, nil
}

// Size is the length of the export in bytes.
func (c *Conn) Size() int64 { return c.info.size }

// Close tells the server goodbye without waiting for it, and closes the
// connection. Data written and not flushed may be lost. It never fails, and
// may be called again.
func (c *Conn) Close() error {
	if c.err == nil {
		c.err = fmt.Errorf("use %s: %w", c.object, net.ErrClosed)
	}
	c.release()
	return nil
}

// fail closes the connection and keeps the error for whoever calls next.
func (c *Conn) fail(operation string, err error) error {
	c.err = fmt.Errorf("%s %s: %w", operation, c.object, err)
	c.release()
	return c.err
}

func (c *Conn) release() {
	c.wire.close()
	if c.socket >= 0 {
		unix.Close(c.socket)
		c.socket = -1
	}
}

// guard runs f, and shuts the socket down under it when ctx ends. It returns
// when neither is running any more.
func (c *Conn) guard(ctx context.Context, f func() error) error {
	if ctx.Done() == nil {
		return f()
	}
	shut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = unix.Shutdown(c.socket, unix.SHUT_RDWR) // fails only if the server has gone
		close(shut)
	})
	err := f()
	if !stop() {
		<-shut
		return ctx.Err()
	}
	return err
}

// wireError is a failure that wire.c reports: of the server, of libnbd, or a
// reply that does not add up.
type wireError struct {
	offset, length int64 // of the request that failed
	text           string
	errno          syscall.Errno // 0: none
}

func (e *wireError) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.text
}

// Unwrap gives the server's errno, so that errors.Is(err, syscall.EIO) holds.
func (e *wireError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}
