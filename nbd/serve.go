package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// Disk is what a Server exports for reading. It is used from many goroutines at
// once.
type Disk interface {
	io.ReaderAt
	Size() int64 // bytes, constant
	// Extent says whether the disk reads as zeroes, or is data, from offset on; it
	// starts there, and goes on for length bytes at most.
	Extent(offset, length int64) Extent
}

// WritableDisk is a Disk that clients may change. An Overlay is one.
type WritableDisk interface {
	Disk
	io.WriterAt
	Zero(offset, length int64) error
	Flush() error // what was written before is durable
}

// Offer is a disk under the name by which clients ask for it.
type Offer struct {
	Name        string // at most 4096 bytes
	Exact       string // another name, which is not listed; "": none
	Description string
	Disk        Disk // a WritableDisk can be written to
}

// Server exports disks to NBD clients: fixed newstyle handshake, structured
// replies, block status of base:allocation, several connections to one disk.
type Server struct {
	Offers []Offer
	TLS    *tls.Config     // if set, a client must begin TLS before anything else
	Report func(err error) // told what a client is not at fault for: a disk that cannot be read; called from many goroutines
}

// What one client can make the server hold.
const (
	maxClients    = 64
	handshakeTime = 30 * time.Second
)

// Serve answers clients until ctx ends, which closes all connections and is no
// error. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	places := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept NBD client: %w", err)
		}
		select {
		case places <- struct{}{}:
		default: // to wait would look to the client as if the disk hung
			_ = conn.Close()
			s.report(fmt.Errorf("a client was turned away: %d are connected", maxClients))
			continue
		}
		clients.Go(func() {
			defer func() { <-places }()
			defer s.catch("serve a client")
			s.client(ctx, conn)
		})
	}
}

// client serves one connection to its end.
func (s *Server) client(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime))
	n := negotiation{Server: s, conn: conn}
	export, err := n.run(ctx)
	if err != nil || export == nil {
		return // the client's mistake, or its wish
	}
	_ = n.conn.SetDeadline(time.Time{})
	t := transmission{server: s, conn: n.conn, Offer: *export, structured: n.structured, status: n.status == export}
	t.run(ctx)
}

// find returns the offer of a name. The empty name is the default: the only
// offer there is.
func (s *Server) find(name string) *Offer {
	for i := range s.Offers {
		o := &s.Offers[i]
		if o.Name == name || name != "" && o.Exact == name || name == "" && len(s.Offers) == 1 {
			return o
		}
	}
	return nil
}

// PanicError is a mistake in this program that ended an answer, or a connection.
type PanicError struct {
	What  string
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("%s: panic: %v\n%s", e.What, e.Value, e.Stack)
}

// catch reports a panic, deferred.
func (s *Server) catch(what string) {
	if p := recover(); p != nil {
		s.report(&PanicError{what, p, debug.Stack()})
	}
}

func (s *Server) report(err error) {
	if s.Report != nil && !errors.Is(err, net.ErrClosed) {
		s.Report(err)
	}
}
