package nbd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"vbk/nbd"
)

// begun is what a client says to use vda, in the way of EXPORT_NAME.
const begun = "\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x03vda"

// hello reads what a server says first.
func hello(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.ReadFull(c, make([]byte, 18)); err != nil {
		t.Fatal(err)
	}
}

// A connection beyond the 64 that are served is closed at once, so that its client
// learns of it; when one has gone, the next is served.
func TestServerRefusesTooManyClients(t *testing.T) {
	socket := serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: &memoryDisk{bytes: make([]byte, 4096)}}}, Report: func(error) {}})
	var clients []net.Conn
	for range 64 {
		c := dialRaw(t, socket)
		hello(t, c)
		clients = append(clients, c)
	}
	if n, err := dialRaw(t, socket).Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("the 65th client gets %d bytes: %v", n, err)
	}
	clients[0].Close()
	for { // until the server has seen that it has gone
		if _, err := io.ReadFull(dialRaw(t, socket), make([]byte, 18)); err == nil {
			return
		}
	}
}

// Who connects and does not say what it wants is cut off after half a minute.
func TestHandshakeHasADeadline(t *testing.T) {
	for name, said := range map[string]string{"silent": "", "in the middle of an option": begun[:12]} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer servePipe(t, theirs)()
				hello(t, ours)
				if _, err := io.WriteString(ours, said); err != nil {
					t.Fatal(err)
				}
				began := time.Now() // of the bubble's clock
				_, _ = io.Copy(io.Discard, ours)
				if took := time.Since(began); took != 30*time.Second {
					t.Errorf("cut off after %v", took)
				}
			})
		})
	}
}

// Who has chosen a disk may be silent for as long as it likes. In no bubble, because
// workers that take turns by a mutex keep its clock from going on.
func TestTransmissionHasNoDeadline(t *testing.T) {
	ours, theirs := net.Pipe()
	c := &deadlines{Conn: theirs, set: make(chan time.Time, 2)}
	defer servePipe(t, c)()
	defer ours.Close()
	hello(t, ours)
	if _, err := io.WriteString(ours, begun); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ours, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if first, then := <-c.set, <-c.set; first.IsZero() || !then.IsZero() {
		t.Errorf("the deadlines are %v, then %v", first, then)
	}
}

// deadlines tells of those that are set.
type deadlines struct {
	net.Conn
	set chan time.Time
}

func (d *deadlines) SetDeadline(at time.Time) error {
	d.set <- at
	return d.Conn.SetDeadline(at)
}

// servePipe serves vda to one connection, until the function it returns is called.
func servePipe(t *testing.T, c net.Conn) (stop func()) {
	s := &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: &memoryDisk{bytes: make([]byte, 4096)}}}}
	l := &pipeListener{conns: make(chan net.Conn, 1)}
	l.conns <- c
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A client that haggles for ever is cut off after 256 options.
func TestOptionsAreCounted(t *testing.T) {
	c := dialRaw(t, serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: &memoryDisk{bytes: make([]byte, 4096)}}}}))
	hello(t, c)
	if _, err := c.Write([]byte{0, 0, 0, 3}); err != nil {
		t.Fatal(err)
	}
	answered := 0
	for ; answered < 1000; answered++ {
		if _, err := io.WriteString(c, "IHAVEOPT\x00\x00\x00\x63\x00\x00\x00\x00"); err != nil {
			break
		}
		head := make([]byte, 20)
		if _, err := io.ReadFull(c, head); err != nil {
			break
		}
		if kind := binary.BigEndian.Uint32(head[12:]); kind != 1<<31+1 {
			t.Fatalf("option 99 is answered by %x, not NBD_REP_ERR_UNSUP", kind)
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[16:]))); err != nil {
			t.Fatal(err)
		}
	}
	if answered != 256 {
		t.Fatalf("%d options were answered", answered)
	}
}

// slowDisk holds up reads until it is told to go on, and counts those under way.
type slowDisk struct {
	memoryDisk
	entered chan int
	proceed chan struct{}
}

func (d *slowDisk) ReadAt(p []byte, offset int64) (int, error) {
	d.entered <- len(p)
	<-d.proceed
	return d.memoryDisk.ReadAt(p, offset)
}

// A client can ask for any number of reads; four are under way, and never more
// bytes than 32 MiB.
func TestRequestsUnderWayAreBounded(t *testing.T) {
	const length, asked = 12 << 20, 9
	disk := &slowDisk{memoryDisk: memoryDisk{bytes: bytes.Repeat([]byte("disk"), length/4)}, entered: make(chan int, asked), proceed: make(chan struct{})}
	c := dialRaw(t, serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}}))
	hello(t, c)
	said := []byte(begun)
	for i := range byte(asked) {
		said = append(said, 0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, i, 0, 0, 0, 0, 0, 0, 0, 0)
		said = binary.BigEndian.AppendUint32(said, length)
	}
	if _, err := c.Write(said); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	<-disk.entered
	<-disk.entered // 24 MiB; a third would be 36
	reply := make([]byte, 16+length)
	for i := range asked {
		if n := len(disk.entered); n > 0 {
			t.Fatalf("%d more reads of 12 MiB are under way", n)
		}
		disk.proceed <- struct{}{}
		if _, err := io.ReadFull(c, reply); err != nil || !bytes.Equal(reply[16:], disk.bytes) {
			t.Fatalf("other bytes: %v", err)
		}
		if i < asked-2 {
			<-disk.entered
		}
	}
}
