//go:build cgo

package nbd_test

import (
	"bytes"
	"errors"
	"testing"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

func dial(t testing.TB, socket, export string, o nbd.Options) *nbd.Conn {
	t.Helper()
	c, err := nbd.Dial(t.Context(), socket, export, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// garbage is a buffer in which a byte that nobody wrote shows.
func garbage(n int) []byte { return bytes.Repeat([]byte{0xee}, n) }

// pattern is a disk of which every byte tells its place.
func pattern(n int) []byte {
	disk := make([]byte, n)
	for i := range disk {
		disk[i] = byte(i*7) ^ byte(i>>8) ^ byte(i>>16) | 1
	}
	return disk
}

// mustFail checks that err has a text, and that the connection keeps it.
func mustFail(t *testing.T, c *nbd.Conn, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if _, again := c.ReadAt(make([]byte, 1), 0); !errors.Is(again, err) {
		t.Fatalf("first error: %v\nthen: %v", err, again)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// scripted answers reads by f and everything else honestly.
func scripted(disk []byte, command uint16, f nbdtest.Handler) nbdtest.Handler {
	honest := nbdtest.Honest(disk)
	return func(p *nbdtest.Peer, r nbdtest.Request) {
		if r.Type == command {
			f(p, r)
			return
		}
		honest(p, r)
	}
}
