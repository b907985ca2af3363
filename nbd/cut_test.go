//go:build cgo

package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

// A server that hangs up after any number of bytes, in the handshake or later,
// is an error, or the work was done.
func TestHangUpAnywhere(t *testing.T) {
	const size = 64
	disk := pattern(size)
	done := false
	for cut := 1; !done; cut++ {
		export := nbdtest.Export{Size: size, Contexts: []string{allocation, bitmap}, CutAfter: cut}
		socket := nbdtest.Serve(t, export, nbdtest.Honest(disk))
		buffer := garbage(size)
		extents, err := session(t.Context(), socket, buffer)
		if done = err == nil; done && (!bytes.Equal(buffer, disk) || len(extents) != 1) {
			t.Fatalf("cut after %d bytes: %v, %x", cut, extents, buffer)
		}
		if cut > 1000 {
			t.Fatalf("never done: %v", err)
		}
		if done && cut < 300 {
			t.Fatalf("done after only %d bytes", cut)
		}
	}
}

func session(ctx context.Context, socket string, buffer []byte) ([]nbd.Extent, error) {
	c, err := nbd.Dial(ctx, socket, nbdtest.Name, nbd.Options{Bitmap: "b"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	extents, err := c.Extents(ctx, 0, c.Size())
	if err != nil {
		return nil, err
	}
	if err := c.ReadBatch(ctx, []nbd.Read{{Offset: 0, Data: buffer}}); err != nil {
		return nil, err
	}
	return extents, c.Flush()
}

// A context that ends in the middle of anything ends the call.
func TestCancel(t *testing.T) {
	export := nbdtest.Export{Size: diskSize, Contexts: []string{allocation}}
	for name, f := range map[string]func(ctx context.Context, c *nbd.Conn) error{
		"ReadBatch": func(ctx context.Context, c *nbd.Conn) error {
			return c.ReadBatch(ctx, []nbd.Read{{Offset: 0, Data: garbage(diskSize)}})
		},
		"WriteBatch": func(ctx context.Context, c *nbd.Conn) error {
			return c.WriteBatch(ctx, []nbd.Write{{Offset: 0, Data: garbage(diskSize)}})
		},
		"Extents": func(ctx context.Context, c *nbd.Conn) error {
			_, err := c.Extents(ctx, 0, diskSize)
			return err
		},
		"Prime": func(ctx context.Context, c *nbd.Conn) error { return c.Prime(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c := dial(t, nbdtest.Serve(t, export, func(p *peer, r request) {
				if r.Type == nbdtest.Read {
					p.Data(r, 0, r.Offset, make([]byte, 512)) // and then silence
				}
				cancel()
			}), nbdtest.Name, nbd.Options{})
			err := f(ctx, c)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "export") {
				t.Errorf("%v", err)
			}
			mustFail(t, c, err)
		})
		t.Run(name+" before", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			c := dial(t, nbdtest.Serve(t, export, nbdtest.Honest(make([]byte, diskSize))), nbdtest.Name, nbd.Options{})
			err := f(ctx, c)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			mustFail(t, c, err)
		})
	}
}

// A server that accepts and stops in the handshake does not hold Dial beyond its
// context.
func TestCancelDial(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, _ = conn.Write([]byte("NBDMAGIC"))
		}
		cancel()
		accepted <- conn
	}()
	if _, err := nbd.Dial(ctx, listener.Addr().String(), "x", nbd.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if conn := <-accepted; conn != nil {
		conn.Close()
	}
	if _, err := nbd.Dial(ctx, listener.Addr().String(), "x", nbd.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

// A context that ends after a call has returned does not touch the connection.
func TestCancelAfterwards(t *testing.T) {
	disk := pattern(diskSize)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := nbd.Dial(ctx, nbdtest.Serve(t, nbdtest.Export{Size: diskSize}, nbdtest.Honest(disk)), nbdtest.Name, nbd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Prime(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	buffer := garbage(diskSize)
	if err := c.ReadBatch(t.Context(), []nbd.Read{{Offset: 0, Data: buffer}}); err != nil || !bytes.Equal(buffer, disk) {
		t.Fatal(err)
	}
}

// Neither descriptors nor goroutines stay behind, however a connection ends.
func TestNothingIsLeft(t *testing.T) {
	endings := map[string]func(t *testing.T, c *nbd.Conn) error{
		"closed":  func(t *testing.T, c *nbd.Conn) error { return c.Close() },
		"refused": func(t *testing.T, c *nbd.Conn) error { return c.Zero(-1, 1) },
		"error":   func(t *testing.T, c *nbd.Conn) error { return c.Zero(0, 512) },
		"cancelled": func(t *testing.T, c *nbd.Conn) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return c.Prime(ctx)
		},
	}
	round := func(t *testing.T) {
		for name, end := range endings {
			t.Run(name, func(t *testing.T) {
				socket := nbdtest.Serve(t, nbdtest.Export{Size: diskSize}, func(p *peer, r request) {
					p.Error(r, nbdtest.Done, nbdtest.EIO, "")
				})
				c, err := nbd.Dial(t.Context(), socket, nbdtest.Name, nbd.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := end(t, c); (err == nil) != (name == "closed") {
					t.Error(err)
				}
				for _, export := range []string{"other", strings.Repeat("x", 5000)} {
					if _, err := nbd.Dial(t.Context(), socket, export, nbd.Options{}); err == nil {
						t.Error("dialled", export)
					}
				}
				if _, err := nbd.Dial(t.Context(), t.TempDir(), "", nbd.Options{}); err == nil {
					t.Error("dialled a folder")
				}
			})
		}
	}
	round(t) // what the runtime keeps for itself is open now
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 10 {
		round(t)
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d descriptors before, %d after", files, n)
	}
	// The last thing that a goroutine does is seen before it has gone.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		var all [1 << 16]byte
		t.Errorf("%d goroutines before, %d after:\n%s", goroutines, n, all[:runtime.Stack(all[:], true)])
	}
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
