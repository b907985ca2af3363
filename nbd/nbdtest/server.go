package nbdtest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Export is what the handshake says of the only export, whose name is "disk".
type Export struct {
	Size               uint64   // bytes
	Flags              uint16   // transmission flags; 0: flush and write zeroes
	MinBlock, MaxBlock uint32   // bytes; both 0: not said
	Contexts           []string // meta contexts on offer; their ids are 1, 2, ...
	Simple             bool     // structured replies are refused, and so are contexts
	CutAfter           int      // hang up after so many bytes of answers; 0: never
}

// Name of the export.
const Name = "disk"

// Transmission flags (NBD protocol, "Transmission flags").
const (
	HasFlags   = 1 << 0
	ReadOnly   = 1 << 1
	CanFlush   = 1 << 2
	CanZero    = 1 << 6
	writeFlags = HasFlags | CanFlush | CanZero
)

// Commands (NBD protocol, "Request types").
const (
	Read        = 0
	Write       = 1
	disconnect  = 2
	Flush       = 3
	Zero        = 6
	BlockStatus = 7
)

// Request is a command of the client.
type Request struct {
	Flags, Type uint16
	Cookie      uint64
	Offset      uint64
	Length      uint32
	Data        []byte // of a write
}

// Handler answers one command. It may answer wrongly, late or not at all.
type Handler func(p *Peer, r Request)

// Serve listens on a fresh unix socket until the test ends, and returns its
// path. Each connection has its own goroutine; handlers of different
// connections run at the same time.
func Serve(t testing.TB, e Export, h Handler) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "nbdtest") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{export: e, handle: h}
	s.wait.Go(func() { s.accept(listener) })
	t.Cleanup(func() {
		listener.Close()
		s.hangUp()
		s.wait.Wait()
		os.RemoveAll(folder)
	})
	return path
}

type server struct {
	export Export
	handle Handler
	wait   sync.WaitGroup
	mutex  sync.Mutex
	conns  []net.Conn
	closed bool
}

func (s *server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.mutex.Lock()
		s.conns = append(s.conns, conn)
		closed := s.closed
		s.mutex.Unlock()
		if closed {
			conn.Close()
			return
		}
		s.wait.Go(func() {
			p := &Peer{conn: conn, in: bufio.NewReader(conn), export: s.export, left: s.export.CutAfter}
			defer p.HangUp()
			if p.negotiate() {
				p.serve(s.handle)
			}
		})
	}
}

func (s *server) hangUp() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.closed = true
	for _, c := range s.conns {
		c.Close()
	}
}

// Peer is one connection, as its handler sees it.
type Peer struct {
	conn    net.Conn
	in      *bufio.Reader
	export  Export
	left    int  // bytes until CutAfter
	structs bool // structured replies were negotiated
	asked   []string
}

// HangUp closes the connection.
func (p *Peer) HangUp() { p.conn.Close() }

// Raw sends bytes as they are. A client that has gone is no failure: the next
// read will notice.
func (p *Peer) Raw(b []byte) {
	cut := p.export.CutAfter > 0 && len(b) >= p.left
	if cut {
		b = b[:p.left]
	}
	p.left -= len(b)
	if len(b) > 0 {
		_, _ = p.conn.Write(b)
	}
	if cut {
		p.HangUp()
	}
}

// get reads a big-endian struct of fixed size.
func (p *Peer) get(v any) bool { return binary.Read(p.in, binary.BigEndian, v) == nil }

// pack lays values out in the order of the wire.
func pack(values ...any) []byte {
	var b []byte
	for _, v := range values {
		var err error
		if b, err = binary.Append(b, binary.BigEndian, v); err != nil {
			panic(err)
		}
	}
	return b
}

func (p *Peer) serve(h Handler) {
	for {
		var head struct {
			Magic          uint32
			Flags, Type    uint16
			Cookie, Offset uint64
			Length         uint32
		}
		if !p.get(&head) || head.Magic != 0x25609513 || head.Type == disconnect {
			return
		}
		r := Request{head.Flags, head.Type, head.Cookie, head.Offset, head.Length, nil}
		if r.Type == Write {
			r.Data = make([]byte, r.Length)
			if _, err := io.ReadFull(p.in, r.Data); err != nil {
				return
			}
		}
		h(p, r)
	}
}

// offered returns the id of a context, 0 if there is none.
func (e Export) offered(context string) uint32 {
	return uint32(slices.Index(e.Contexts, context) + 1)
}
