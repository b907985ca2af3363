//go:build cgo

package nbd_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

type (
	peer    = nbdtest.Peer
	request = nbdtest.Request
)

// at is an offset within the disk where requests of the lies begin.
const (
	diskSize = 64 << 10
	at       = 8192
	length   = 4096
)

var readLies = []struct {
	name string
	say  string // part of the error
	lie  func(p *peer, r request)
}{
	{"done without data", "done after 0 of 4096", func(p *peer, r request) { p.Chunk(r, nbdtest.Done, nbdtest.TypeNone, nil) }},
	{"too little data", "done after 4095 of 4096", func(p *peer, r request) { p.Data(r, nbdtest.Done, at, make([]byte, length-1)) }},
	{"a gap", "done after 3072 of 4096", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, 2048))
		p.Data(r, nbdtest.Done, at+3072, make([]byte, 1024))
	}},
	{"end first, start missing", "done after 2048 of 4096", func(p *peer, r request) { p.Hole(r, nbdtest.Done, at+2048, 2048) }},
	{"the same half twice", "twice", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, 2048))
		p.Data(r, nbdtest.Done, at, make([]byte, 2048))
	}},
	{"overlap with the right sum", "twice", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, 1024))
		p.Hole(r, 0, at+2048, 2048)
		p.Data(r, nbdtest.Done, at+2047, make([]byte, 1024))
	}},
	{"more than asked", "more bytes", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, length))
		p.Data(r, nbdtest.Done, at, make([]byte, 1))
	}},
	{"chunk in front", "out of bounds", func(p *peer, r request) { p.Data(r, nbdtest.Done, at-1, make([]byte, length)) }},
	{"chunk behind", "out of bounds", func(p *peer, r request) { p.Data(r, nbdtest.Done, at+1, make([]byte, length)) }},
	{"hole too long", "out of bounds", func(p *peer, r request) { p.Hole(r, nbdtest.Done, at, length+1) }},
	{"hole of 4 GiB", "out of bounds", func(p *peer, r request) { p.Hole(r, nbdtest.Done, at, 1<<32-1) }},
	{"offset that overflows", "out of bounds", func(p *peer, r request) { p.Hole(r, nbdtest.Done, 1<<64-1, length) }},
	{"empty data", "outside the request", func(p *peer, r request) { p.Data(r, 0, at, nil) }},
	{"empty hole", "outside the request", func(p *peer, r request) { p.Hole(r, 0, at, 0) }},
	{"data chunk without offset", "too short", func(p *peer, r request) { p.Chunk(r, nbdtest.Done, nbdtest.TypeData, make([]byte, 7)) }},
	{"hole chunk of odd length", "invalid length", func(p *peer, r request) { p.Chunk(r, nbdtest.Done, nbdtest.TypeHole, make([]byte, 13)) }},
	{"chunk longer than any reply", "invalid server reply length", func(p *peer, r request) {
		p.Raw([]byte{0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(r.Cookie), 0xff, 0xff, 0xff, 0xff})
	}},
	{"block status for a read", "block-status", func(p *peer, r request) {
		p.Status(r, nbdtest.Done, "base:allocation", nbdtest.Descriptor{Length: length})
	}},
	{"unknown chunk", "unknown structured reply", func(p *peer, r request) { p.Chunk(r, nbdtest.Done, 77, nil) }},
	{"none without done", "DONE must be set", func(p *peer, r request) { p.Chunk(r, 0, nbdtest.TypeNone, nil) }},
	{"simple reply", "simple reply", func(p *peer, r request) { p.Simple(r, 0, make([]byte, length)) }},
	{"another cookie", "cookie", func(p *peer, r request) {
		r.Cookie += 1000
		p.Data(r, nbdtest.Done, at, make([]byte, length))
	}},
	{"no reply at all", "invalid reply magic", func(p *peer, r request) { p.Raw(make([]byte, 64)) }},
	{"error, then data and done", "input/output error", func(p *peer, r request) {
		p.Error(r, 0, nbdtest.EIO, "bad sector")
		p.Data(r, nbdtest.Done, at, make([]byte, length))
	}},
	{"data, then error", "input/output error", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, length))
		p.Error(r, nbdtest.Done, nbdtest.EIO, "")
	}},
	{"error 0", "invalid argument", func(p *peer, r request) { p.Error(r, nbdtest.Done, 0, "") }},
	{"hang up", "closed the connection", func(p *peer, r request) { p.HangUp() }},
	{"hang up in mid-chunk", "disconnected", func(p *peer, r request) {
		p.Raw([]byte{0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(r.Cookie), 0, 0, 16, 8})
		p.Raw([]byte{0, 0, 0, 0, 0, 0, at >> 8, 0, 'd', 'a', 't', 'a'})
		p.HangUp()
	}},
	{"hang up between chunks", "closed the connection", func(p *peer, r request) {
		p.Data(r, 0, at, make([]byte, length))
		p.HangUp()
	}},
}

// silences are answers that never end. Whoever waits has a deadline; here it comes
// when the server falls silent.
var silences = []struct {
	name string
	lie  func(p *peer, r request)
}{
	{"nothing", func(p *peer, r request) {}},
	{"half a header", func(p *peer, r request) { p.Raw([]byte{0x66, 0x8e, 0x33, 0xef, 0, 1}) }},
	{"a header and no data", func(p *peer, r request) {
		p.Raw([]byte{0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, byte(r.Cookie), 0, 0, 16, 8})
	}},
	{"all data, never done", func(p *peer, r request) { p.Data(r, 0, at, make([]byte, length)) }},
	{"an error, never done", func(p *peer, r request) { p.Error(r, 0, nbdtest.EIO, "") }},
	{"block status, never done", func(p *peer, r request) {
		p.Status(r, 0, "base:allocation", nbdtest.Descriptor{Length: length})
	}},
}

// TestSilences: an answer that does not end is an error when the time is up.
func TestSilences(t *testing.T) {
	for _, test := range silences {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			export := nbdtest.Export{Size: diskSize, Contexts: []string{"base:allocation"}}
			socket := nbdtest.Serve(t, export, scripted(pattern(diskSize), nbdtest.Read, func(p *peer, r request) {
				test.lie(p, r)
				cancel()
			}))
			c := dial(t, socket, nbdtest.Name, nbd.Options{})
			err := c.ReadBatch(ctx, []nbd.Read{{Offset: at, Data: garbage(length)}})
			if err == nil {
				t.Fatal("no error")
			}
			mustFail(t, c, err)
		})
	}
}

// TestLiesAreMany counts the ways in which a server lies in this file.
func TestLiesAreMany(t *testing.T) {
	if reads, all := len(readLies)+len(silences), len(readLies)+len(silences)+len(statusLies); reads < 25 || all < 50 {
		t.Errorf("%d lies about data, %d in all", reads, all)
	}
}

func TestReadLies(t *testing.T) {
	for _, test := range readLies {
		t.Run(test.name, func(t *testing.T) {
			export := nbdtest.Export{Size: diskSize, Contexts: []string{"base:allocation"}}
			socket := nbdtest.Serve(t, export, scripted(pattern(diskSize), nbdtest.Read, test.lie))
			c := dial(t, socket, nbdtest.Name, nbd.Options{})
			err := c.ReadBatch(t.Context(), []nbd.Read{{Offset: at, Data: garbage(length)}})
			mustFail(t, c, err)
			for _, want := range []string{`read 4096 bytes at 8192 of export "disk" on `, test.say} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Count(err.Error(), test.say) > 1 {
				t.Errorf("%q says it twice", err)
			}
		})
	}
}

// One lie among many honest replies is found, and named.
func TestOneLieInABatch(t *testing.T) {
	disk := pattern(diskSize)
	socket := nbdtest.Serve(t, nbdtest.Export{Size: diskSize}, scripted(disk, nbdtest.Read, func(p *peer, r request) {
		if r.Offset == 13*length {
			p.Hole(r, nbdtest.Done, r.Offset+1, length-1)
			return
		}
		nbdtest.Honest(disk)(p, r)
	}))
	c := dial(t, socket, nbdtest.Name, nbd.Options{})
	var reads []nbd.Read
	for offset := 0; offset < diskSize; offset += length {
		reads = append(reads, nbd.Read{Offset: int64(offset), Data: garbage(length)})
	}
	err := c.ReadBatch(t.Context(), reads)
	mustFail(t, c, err)
	if want := "read 4096 bytes at 53248 of"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%q does not begin with %q", err, want)
	}
}

func TestServerErrno(t *testing.T) {
	for _, simple := range []bool{false, true} {
		socket := nbdtest.Serve(t, nbdtest.Export{Size: diskSize, Simple: simple}, func(p *peer, r request) {
			if simple {
				p.Simple(r, nbdtest.EIO, nil)
				return
			}
			p.Error(r, nbdtest.Done, nbdtest.EIO, "")
		})
		for name, f := range map[string]func(c *nbd.Conn) error{
			"read 4096 bytes at 0":  func(c *nbd.Conn) error { _, err := c.ReadAt(make([]byte, 4096), 0); return err },
			"write 4096 bytes at 0": func(c *nbd.Conn) error { _, err := c.WriteAt(make([]byte, 4096), 0); return err },
			"zero 4096 bytes at 0":  func(c *nbd.Conn) error { return c.Zero(0, 4096) },
			"flush":                 (*nbd.Conn).Flush,
		} {
			c := dial(t, socket, nbdtest.Name, nbd.Options{})
			err := f(c)
			if !errors.Is(err, syscall.EIO) || !strings.HasPrefix(err.Error(), name) {
				t.Errorf("simple %v, %s: %v", simple, name, err)
			}
			mustFail(t, c, err)
		}
	}
}

const (
	allocation = "base:allocation"
	bitmap     = "qemu:dirty-bitmap:b"
)

type descriptors = []nbdtest.Descriptor

var statusLies = []struct {
	name string
	say  string
	lie  func(p *peer, r request)
}{
	{"done without an answer", "without base:allocation", func(p *peer, r request) { p.OK(r) }},
	{"simple success", "without base:allocation", func(p *peer, r request) { p.Simple(r, 0, nil) }},
	{"one context missing", "without " + bitmap, func(p *peer, r request) {
		p.Status(r, nbdtest.Done, allocation, nbdtest.Descriptor{Length: r.Length})
	}},
	{"one context twice", "base:allocation twice", func(p *peer, r request) {
		p.Status(r, 0, allocation, nbdtest.Descriptor{Length: r.Length})
		p.Status(r, nbdtest.Done, allocation, nbdtest.Descriptor{Length: r.Length})
	}},
	{"only a context that is not on offer", "without base:allocation", func(p *peer, r request) {
		p.Status(r, nbdtest.Done, "base:other", nbdtest.Descriptor{Length: r.Length})
	}},
	{"empty extent", "is empty", statusOf(descriptors{{Length: 0}})},
	{"empty extent in the middle", "at 12288 is empty", statusOf(descriptors{{Length: length}, {Length: 0}, {Length: length}})},
	{"extent after the end of the request", "outside the request", statusOf(descriptors{{Length: diskSize - at}, {Length: 1}})},
	{"extent beyond the end of the disk", "beyond the end", statusOf(descriptors{{Length: diskSize - at + 1}})},
	{"extent of 4 GiB", "beyond the end", statusOf(descriptors{{Length: 1<<32 - 1}})},
	{"no extents", "invalid length", func(p *peer, r request) { p.Status(r, nbdtest.Done, allocation) }},
	{"half an extent", "invalid length", func(p *peer, r request) { p.Chunk(r, nbdtest.Done, nbdtest.TypeStatus, make([]byte, 8)) }},
	{"data for block status", "offset-data", func(p *peer, r request) { p.Data(r, nbdtest.Done, at, make([]byte, 1)) }},
	{"error", "input/output error", func(p *peer, r request) { p.Error(r, nbdtest.Done, nbdtest.EIO, "") }},
	{"answer, then error", "input/output error", func(p *peer, r request) {
		p.Status(r, 0, allocation, nbdtest.Descriptor{Length: r.Length})
		p.Status(r, 0, bitmap, nbdtest.Descriptor{Length: r.Length})
		p.Error(r, nbdtest.Done, nbdtest.EIO, "")
	}},
	{"hang up", "closed the connection", func(p *peer, r request) { p.HangUp() }},
}

// statusOf answers the bitmap honestly and the allocation by the list.
func statusOf(list descriptors) func(p *peer, r request) {
	return func(p *peer, r request) {
		p.Status(r, 0, bitmap, nbdtest.Descriptor{Length: r.Length})
		p.Status(r, nbdtest.Done, allocation, list...)
	}
}

func TestStatusLies(t *testing.T) {
	export := nbdtest.Export{Size: diskSize, Contexts: []string{allocation, bitmap}}
	for _, test := range statusLies {
		t.Run(test.name, func(t *testing.T) {
			socket := nbdtest.Serve(t, export, scripted(nil, nbdtest.BlockStatus, test.lie))
			c := dial(t, socket, nbdtest.Name, nbd.Options{Bitmap: "b"})
			extents, err := c.Extents(t.Context(), at, diskSize-at)
			if extents != nil {
				t.Errorf("extents beside an error: %v", extents)
			}
			mustFail(t, c, err)
			for _, want := range []string{`query the extents of 57344 bytes at 8192 of export "disk" on `, test.say} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestDialRefuses(t *testing.T) {
	for _, test := range []struct {
		name, export string
		server       nbdtest.Export
		bitmap       string
		say          string
	}{
		{"another export", "other", nbdtest.Export{Size: 1}, "", "other"},
		{"no bitmap", nbdtest.Name, nbdtest.Export{Size: 1, Contexts: []string{allocation}}, "b", `does not offer the bitmap "b"`},
		{"another bitmap", nbdtest.Name, nbdtest.Export{Size: 1, Contexts: []string{bitmap + "2"}}, "b", `bitmap "b"`},
		{"bitmap without structured replies", nbdtest.Name, nbdtest.Export{Size: 1, Contexts: []string{bitmap}, Simple: true}, "b", `bitmap "b"`},
		{"negative size", nbdtest.Name, nbdtest.Export{Size: 1 << 63}, "", "9223372036854775808"},
		{"size -1", nbdtest.Name, nbdtest.Export{Size: 1<<64 - 1}, "", "18446744073709551615"},
		{"size that no disk has", nbdtest.Name, nbdtest.Export{Size: 1<<61 + 1}, "", "2305843009213693953"},
		{"name with NUL", nbdtest.Name + "\x00x", nbdtest.Export{Size: 1}, "", "NUL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := nbdtest.Serve(t, test.server, nbdtest.Honest(nil))
			c, err := nbd.Dial(t.Context(), socket, test.export, nbd.Options{Bitmap: test.bitmap})
			if err == nil {
				c.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.say) || !strings.HasPrefix(err.Error(), "connect to export ") {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := nbd.Dial(t.Context(), t.TempDir()+"/none", "", nbd.Options{}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("no socket: %v", err)
	}
}
