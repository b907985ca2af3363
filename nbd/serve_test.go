package nbd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"vbk/nbd"
)

// memoryDisk is a disk in memory. What is zero is told by grains of 4 KiB.
type memoryDisk struct {
	mu    sync.RWMutex
	bytes []byte
	bad   atomic.Int64 // reads that touch this offset fail; 0: none
}

func (d *memoryDisk) Size() int64 { return int64(len(d.bytes)) }

func (d *memoryDisk) ReadAt(p []byte, offset int64) (int, error) {
	if bad := d.bad.Load(); bad > 0 && offset <= bad && bad < offset+int64(len(p)) {
		return 0, errors.New("chunk has a wrong sum")
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return bytes.NewReader(d.bytes).ReadAt(p, offset)
}

func (d *memoryDisk) Extent(offset, length int64) nbd.Extent {
	end := min((offset/4096+1)*4096, offset+length)
	return nbd.Extent{Offset: offset, Length: end - offset, Zero: len(bytes.Trim(d.bytes[offset:end], "\x00")) == 0}
}

// patterned is a disk of data and holes with an odd size.
func patterned(t *testing.T) *memoryDisk {
	t.Helper()
	d := &memoryDisk{bytes: make([]byte, 5<<20+512)}
	for at := 0; at < len(d.bytes); at += 3 * 300 << 10 {
		if _, err := rand.Read(d.bytes[at:min(at+400<<10, len(d.bytes))]); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// serve runs a server until the test ends and returns its socket.
func serve(t *testing.T, s *nbd.Server) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "nbd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	listen(t, l, s)
	return socket
}

// listen runs a server until the test ends.
func listen(t *testing.T, l net.Listener, s *nbd.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestOverlayIsADisk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 5*64<<10).Draw(t, "size")
		base := &memoryDisk{bytes: make([]byte, size)}
		for i := range base.bytes {
			base.bytes[i] = byte(i>>12) & 1 * byte(i|1)
		}
		before := bytes.Clone(base.bytes)
		model := bytes.Clone(base.bytes)
		file, err := os.CreateTemp("", "overlay")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(file.Name())
		defer file.Close()
		o := nbd.NewOverlay(base, file)
		for range rapid.IntRange(0, 12).Draw(t, "writes") {
			offset := rapid.Int64Range(0, size-1).Draw(t, "offset")
			length := rapid.Int64Range(1, size-offset).Draw(t, "length")
			if rapid.Bool().Draw(t, "zero") {
				if err := o.Zero(offset, length); err != nil {
					t.Fatal(err)
				}
				clear(model[offset : offset+length])
				continue
			}
			p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, int(length))
			if _, err := o.WriteAt(p, offset); err != nil {
				t.Fatal(err)
			}
			copy(model[offset:], p)
		}
		got := make([]byte, size)
		if _, err := o.ReadAt(got, 0); err != nil || !bytes.Equal(got, model) {
			t.Fatalf("the overlay reads other bytes: %v", err)
		}
		next := int64(0)
		for next < size {
			x := o.Extent(next, size-next)
			if x.Offset != next || x.Length < 1 || x.Zero && len(bytes.Trim(model[x.Offset:min(x.Offset+x.Length, size)], "\x00")) > 0 {
				t.Fatalf("extent %+v after %d: not zero, or no tile", x, next)
			}
			next += x.Length
		}
		if next != size || !bytes.Equal(base.bytes, before) {
			t.Fatalf("extents end at %d of %d, base changed: %v", next, size, !bytes.Equal(base.bytes, before))
		}
	})
}

// dialRaw begins a session by hand.
func dialRaw(t *testing.T, socket string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A client that says nonsense, or asks for more than it may, is cut off, and the
// next one is served.
func TestServerOutlivesNonsense(t *testing.T) {
	socket := serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: patterned(t)}}})
	option := func(number, length uint32) []byte {
		b := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 3}, 0x49484156454f5054)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, number), length)
	}
	begun := append(option(1, 3), "vda"...) // EXPORT_NAME
	write := binary.BigEndian.AppendUint32(nil, 0x25609513)
	write = append(write, 0, 0, 0, 1)
	write = append(write, make([]byte, 16)...)
	write = binary.BigEndian.AppendUint32(write, 1<<31)
	for name, said := range map[string][]byte{
		"not the protocol":    []byte("GET / HTTP/1.1\r\n\r\n"),
		"no fixed newstyle":   {0, 0, 0, 0},
		"unknown flags":       {0, 0, 1, 3},
		"no magic":            append([]byte{0, 0, 0, 3}, make([]byte, 64)...),
		"option of 4 GiB":     option(7, 1<<32-1),
		"unknown export":      append(option(1, 3), "vdb"...),
		"request of no magic": append(bytes.Clone(begun), make([]byte, 28)...),
		"write of 2 GiB":      append(bytes.Clone(begun), write...),
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, socket)
			if _, err := c.Write(said); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, io.EOF) {
				t.Log(err) // reset is as good as closed
			}
		})
	}
	c := dialRaw(t, socket)
	hello := make([]byte, 18)
	if _, err := io.ReadFull(c, hello); err != nil || string(hello[:8]) != "NBDMAGIC" {
		t.Fatalf("after nonsense the server says %q: %v", hello, err)
	}
}

// A client of 2011 knows neither options nor structured replies.
func TestServeSimpleReplies(t *testing.T) {
	disk := patterned(t)
	c := dialRaw(t, serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}, Report: func(error) {}}))
	exchange := func(said []byte, length int) []byte {
		t.Helper()
		if _, err := c.Write(said); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, length)
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	exchange(nil, 18)
	begin := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 1}, 0x49484156454f5054)
	answer := exchange(append(begin, "\x00\x00\x00\x01\x00\x00\x00\x03vda"...), 8+2+124)
	if size := binary.BigEndian.Uint64(answer); size != uint64(disk.Size()) {
		t.Fatalf("size %d, not %d", size, disk.Size())
	}
	read := func(offset uint64, length uint32) []byte {
		b := binary.BigEndian.AppendUint64([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0}, 7)
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, offset), length)
	}
	const length = 2 << 20
	answer = exchange(read(100, length), 16+length)
	if !bytes.Equal(answer[:16], []byte("\x67\x44\x66\x98\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07")) || !bytes.Equal(answer[16:], disk.bytes[100:100+length]) {
		t.Fatalf("reply begins with %x, or has other bytes", answer[:16])
	}
	for name, said := range map[string][]byte{
		"past the end": read(uint64(disk.Size()), 1), "overflow": read(1<<64-1, 512), "no length": read(0, 0), "too long": read(0, 33<<20),
		"unknown command": append([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, 99}, read(0, 1)[8:]...),
		"unknown flag":    append([]byte{0x25, 0x60, 0x95, 0x13, 0x80, 0, 0, 0}, read(0, 1)[8:]...),
		"block status":    append([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, 7}, read(0, 1)[8:]...),
	} {
		if errno := binary.BigEndian.Uint32(exchange(said, 16)[4:]); errno != 22 {
			t.Errorf("%s: error %d, not EINVAL", name, errno)
		}
	}
	disk.bad.Store(4096)
	if errno := binary.BigEndian.Uint32(exchange(read(0, 8192), 16)[4:]); errno != 5 {
		t.Errorf("a read that fails: error %d, not EIO", errno)
	}
	if errno := binary.BigEndian.Uint32(exchange(append([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, 3}, read(0, 0)[8:]...), 16)[4:]); errno != 1 {
		t.Errorf("a flush of a read-only export: error %d, not EPERM", errno)
	}
}

func FuzzServer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00\x25\x60\x95\x13\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"))
	disk := &memoryDisk{bytes: make([]byte, 1<<20)}
	f.Fuzz(func(t *testing.T, said []byte) {
		s := &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}, Report: func(err error) { t.Error(err) }}
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		ours, theirs := net.Pipe()
		l.conns <- theirs
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, l) }()
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		_, _ = ours.Write(said)
		ours.Close()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// pipeListener accepts the connections it is given.
type pipeListener struct {
	conns  chan net.Conn
	closed sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l *pipeListener) Close() error   { l.closed.Do(func() { close(l.conns) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
