//go:build cgo

package nbd_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

// span is a part of a reply.
type span struct{ start, end int }

// drawSpans cuts [0, n) into parts and shuffles them.
func drawSpans(t *rapid.T, n int) []span {
	cuts := rapid.SliceOfNDistinct(rapid.IntRange(1, n-1), 0, 12, rapid.ID).Draw(t, "cuts")
	marks := make([]bool, n)
	for _, c := range cuts {
		marks[c] = true
	}
	var spans []span
	start := 0
	for i := 1; i <= n; i++ {
		if i == n || marks[i] {
			spans = append(spans, span{start, i})
			start = i
		}
	}
	return rapid.Permutation(spans).Draw(t, "order")
}

// A reply in any parts and any order is the data; the same parts with one of
// them changed are an error.
func TestRepliesInAnyOrder(t *testing.T) {
	disk := pattern(diskSize)
	clear(disk[at+100 : at+1100])
	rapid.Check(t, func(rt *rapid.T) {
		spans := drawSpans(rt, length)
		lie := rapid.SampledFrom([]string{"none", "lose", "repeat", "shift", "grow"}).Draw(rt, "lie")
		victim := rapid.IntRange(0, len(spans)-1).Draw(rt, "victim")
		sent := append([]span(nil), spans...)
		switch lie {
		case "lose":
			sent = append(sent[:victim], sent[victim+1:]...)
		case "repeat":
			sent[victim] = sent[(victim+1)%len(sent)]
			if len(sent) == 1 {
				sent = append(sent, sent[0])
			}
		case "shift":
			sent[victim].start, sent[victim].end = sent[victim].start+1, sent[victim].end+1
		case "grow":
			sent[victim].end++
		}
		f := scripted(disk, nbdtest.Read, func(p *peer, r request) {
			for _, s := range sent {
				area := disk[at+s.start : at+s.end]
				if len(bytes.Trim(area, "\x00")) == 0 {
					p.Hole(r, 0, uint64(at+s.start), uint32(len(area)))
				} else {
					p.Data(r, 0, uint64(at+s.start), area)
				}
			}
			p.OK(r)
		})
		buffer := garbage(length)
		c := dial(t, nbdtest.Serve(t, nbdtest.Export{Size: diskSize}, f), nbdtest.Name, nbd.Options{})
		defer c.Close()
		err := c.ReadBatch(t.Context(), []nbd.Read{{Offset: at, Data: buffer}})
		switch {
		case lie == "none" && err != nil:
			rt.Fatal(err)
		case lie == "none" && !bytes.Equal(buffer, disk[at:at+length]):
			rt.Fatal("wrong data")
		case lie != "none" && err == nil:
			rt.Fatalf("%s: %v was believed", lie, sent)
		}
	})
}

// partial answers block status by two lists of states of blocks, as few of them
// at a time as it likes, and sometimes beyond the request.
func partial(random *rand.Rand, block int, zero, dirty []bool) nbdtest.Handler {
	answer := func(p *peer, r request, flags uint16, context string, states []bool, bit uint32) {
		first, asked := int(r.Offset)/block, int(r.Length)/block
		count := 1 + random.IntN(len(states)-first)
		var list descriptors
		for i := range count {
			state := bit - 1 // not dirty; a hole that is not zero
			if states[first+i] {
				state = bit
			}
			n := len(list)
			if n > 0 && list[n-1].Flags == state {
				list[n-1].Length += uint32(block)
			} else if i < asked { // only the last one may reach beyond the request
				list = append(list, nbdtest.Descriptor{Length: uint32(block), Flags: state})
			} else {
				break
			}
		}
		p.Status(r, flags, context, list...)
	}
	return func(p *peer, r request) {
		answer(p, r, 0, bitmap, dirty, 1)
		answer(p, r, nbdtest.Done, allocation, zero, 2)
	}
}

func TestExtentsAgainstModel(t *testing.T) {
	const block = 512
	rapid.Check(t, func(rt *rapid.T) {
		zero := rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(rt, "zero")
		dirty := rapid.SliceOfN(rapid.Bool(), len(zero), len(zero)).Draw(rt, "dirty")
		first := rapid.IntRange(0, len(zero)-1).Draw(rt, "first")
		count := rapid.IntRange(1, len(zero)-first).Draw(rt, "count")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))

		var want []nbd.Extent
		for i := first; i < first+count; i++ {
			next := nbd.Extent{Offset: int64(i * block), Length: block, Zero: zero[i], Dirty: dirty[i]}
			if n := len(want); n > 0 && want[n-1].Zero == next.Zero && want[n-1].Dirty == next.Dirty {
				want[n-1].Length += block
				continue
			}
			want = append(want, next)
		}
		export := nbdtest.Export{Size: uint64(len(zero) * block), Contexts: []string{allocation, bitmap}}
		socket := nbdtest.Serve(t, export, partial(random, block, zero, dirty))
		c := dial(t, socket, nbdtest.Name, nbd.Options{Bitmap: "b"})
		defer c.Close()
		got, err := c.Extents(t.Context(), int64(first*block), int64(count*block))
		if err != nil {
			rt.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			rt.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

func TestExtentsWithoutContexts(t *testing.T) {
	for _, test := range []struct {
		name   string
		export nbdtest.Export
		bitmap string
		want   []nbd.Extent
	}{
		{"no contexts", nbdtest.Export{Size: diskSize}, "", []nbd.Extent{{0, diskSize, false, true}}},
		{"simple replies", nbdtest.Export{Size: diskSize, Simple: true, Contexts: []string{allocation}}, "", []nbd.Extent{{0, diskSize, false, true}}},
		{"bitmap alone", nbdtest.Export{Size: diskSize, Contexts: []string{bitmap}}, "b", []nbd.Extent{{0, diskSize, false, false}}},
		{"allocation alone", nbdtest.Export{Size: diskSize, Contexts: []string{allocation}}, "", []nbd.Extent{{0, diskSize, false, true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, nbdtest.Serve(t, test.export, nbdtest.Honest(pattern(diskSize))), nbdtest.Name, nbd.Options{Bitmap: test.bitmap})
			got, err := c.Extents(t.Context(), 0, diskSize)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}

// A hole without NBD_STATE_ZERO is data, and unknown flags of a bitmap are dirty.
func TestExtentFlags(t *testing.T) {
	export := nbdtest.Export{Size: 5 * 512, Contexts: []string{allocation, bitmap}}
	c := dial(t, nbdtest.Serve(t, export, func(p *peer, r request) {
		p.Status(r, 0, allocation, each512(0, 1, 2, 3, 1<<31)...)
		p.Status(r, nbdtest.Done, bitmap, each512(0, 0, 1, 2, 0)...)
	}), nbdtest.Name, nbd.Options{Bitmap: "b"})
	got, err := c.Extents(t.Context(), 0, 5*512)
	want := []nbd.Extent{{0, 1024, false, false}, {1024, 1024, true, true}, {2048, 512, false, false}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
}

func each512(flags ...uint32) descriptors {
	var list descriptors
	for _, f := range flags {
		list = append(list, nbdtest.Descriptor{Length: 512, Flags: f})
	}
	return list
}

// The largest query stays below 4 GiB, and what follows is asked as well.
func TestExtentsOfALargeDisk(t *testing.T) {
	const size = 10<<30 + 512
	lengths := make(chan uint32, 10)
	c := dial(t, nbdtest.Serve(t, nbdtest.Export{Size: size, Contexts: []string{allocation}}, func(p *peer, r request) {
		lengths <- r.Length
		p.Status(r, nbdtest.Done, allocation, nbdtest.Descriptor{Length: r.Length, Flags: 3})
	}), nbdtest.Name, nbd.Options{})
	got, err := c.Extents(t.Context(), 512, size-512)
	if want := []nbd.Extent{{512, size - 512, true, true}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
	if first := <-lengths; len(lengths) != 2 || first != 1<<32-1<<16 {
		t.Errorf("first query of %d bytes, %d more", first, len(lengths))
	}
}

func TestReadSizes(t *testing.T) {
	const size = 3<<20 + 1234
	disk := pattern(size)
	for _, export := range []nbdtest.Export{{Size: size}, {Size: size, Simple: true}, {Size: size, MinBlock: 1, MaxBlock: 1 << 20}} {
		honest := nbdtest.Honest(disk)
		c := dial(t, nbdtest.Serve(t, export, func(p *peer, r request) {
			if export.MaxBlock > 0 && r.Length > export.MaxBlock {
				t.Errorf("request of %d bytes", r.Length)
			}
			honest(p, r)
		}), nbdtest.Name, nbd.Options{})
		if c.Size() != size {
			t.Fatal(c.Size())
		}
		if err := c.Prime(t.Context()); err != nil {
			t.Fatal(err)
		}
		var reads []nbd.Read
		for offset, n := int64(0), int64(1); offset < size; offset, n = offset+n, n*3 {
			reads = append(reads, nbd.Read{Offset: offset, Data: garbage(int(min(n, size-offset)))})
		}
		if err := c.ReadBatch(t.Context(), reads); err != nil {
			t.Fatal(err)
		}
		for _, r := range reads {
			if !bytes.Equal(r.Data, disk[r.Offset:r.Offset+int64(len(r.Data))]) {
				t.Errorf("%d bytes at %d differ", len(r.Data), r.Offset)
			}
		}
		all, err := io.ReadAll(io.NewSectionReader(c, 0, 1<<62))
		if err != nil || !bytes.Equal(all, disk) {
			t.Errorf("section: %d bytes, %v", len(all), err)
		}
		tail := garbage(100)
		if n, err := c.ReadAt(tail, size-60); n != 60 || err != io.EOF || !bytes.Equal(tail[:60], disk[size-60:]) {
			t.Errorf("tail: %d, %v", n, err)
		}
		if n, err := c.ReadAt(tail, size); n != 0 || err != io.EOF {
			t.Errorf("behind the end: %d, %v", n, err)
		}
	}
}

// What is refused never reaches the server; Honest would panic.
func TestRefusedBeforeTheWire(t *testing.T) {
	socket := nbdtest.Serve(t, nbdtest.Export{Size: diskSize, MinBlock: 512, MaxBlock: 1 << 20}, func(p *peer, r request) {
		t.Errorf("request %+v", r)
		p.HangUp()
	})
	data := make([]byte, 1024)
	for name, f := range map[string]func(c *nbd.Conn) error{
		"empty read":     func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{Offset: 0}}) },
		"read beyond":    func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{diskSize - 512, data}}) },
		"read behind":    func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{diskSize + 512, data}}) },
		"read overflow":  func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{1<<63 - 512, data}}) },
		"read in front":  func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{-512, data}}) },
		"second bad":     func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{0, data}, {1, data}}) },
		"unaligned":      func(c *nbd.Conn) error { return c.ReadBatch(t.Context(), []nbd.Read{{0, data[:511]}}) },
		"ReadAt":         func(c *nbd.Conn) error { _, err := c.ReadAt(data, -1); return err },
		"write beyond":   func(c *nbd.Conn) error { return c.WriteBatch(t.Context(), []nbd.Write{{diskSize - 512, data}}) },
		"WriteAt":        func(c *nbd.Conn) error { _, err := c.WriteAt(data, diskSize); return err },
		"empty zero":     func(c *nbd.Conn) error { return c.Zero(0, 0) },
		"negative zero":  func(c *nbd.Conn) error { return c.Zero(512, -512) },
		"zero beyond":    func(c *nbd.Conn) error { return c.Zero(0, diskSize+512) },
		"empty extents":  func(c *nbd.Conn) error { _, err := c.Extents(t.Context(), 0, 0); return err },
		"extents beyond": func(c *nbd.Conn) error { _, err := c.Extents(t.Context(), 512, diskSize); return err },
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, socket, nbdtest.Name, nbd.Options{})
			mustFail(t, c, f(c))
		})
	}
	c := dial(t, socket, nbdtest.Name, nbd.Options{})
	if err := c.ReadBatch(t.Context(), nil); err != nil {
		t.Error(err)
	}
	c.Close()
	c.Close()
	if _, err := c.ReadAt(data, 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWriteAndZero(t *testing.T) {
	const size = 2<<20 + 777
	for _, simple := range []bool{false, true} {
		disk, want := pattern(size), pattern(size)
		t.Run("", func(t *testing.T) { // the server has gone when it returns
			export := nbdtest.Export{Size: size, Simple: simple}
			c := dial(t, nbdtest.Serve(t, export, nbdtest.Honest(disk)), nbdtest.Name, nbd.Options{})
			data := bytes.Repeat([]byte("w"), size-5)
			if n, err := c.WriteAt(data, 5); n != len(data) || err != nil {
				t.Fatal(n, err)
			}
			copy(want[5:], data)
			writes := []nbd.Write{{size - 3, []byte("end")}, {0, []byte("start")}}
			if err := errors.Join(c.Zero(1000, 1<<20), c.WriteBatch(t.Context(), writes), c.Flush(), c.Close()); err != nil {
				t.Fatal(err)
			}
		})
		clear(want[1000 : 1000+1<<20])
		copy(want, "start")
		copy(want[size-3:], "end")
		if !bytes.Equal(disk, want) {
			t.Error("the disk differs")
		}
	}
}

func TestReadOnly(t *testing.T) {
	export := nbdtest.Export{Size: 512, Flags: nbdtest.HasFlags | nbdtest.ReadOnly}
	socket := nbdtest.Serve(t, export, nbdtest.Honest(make([]byte, 512)))
	for name, f := range map[string]func(c *nbd.Conn) error{
		"write": func(c *nbd.Conn) error { _, err := c.WriteAt([]byte{1}, 0); return err },
		"zero":  func(c *nbd.Conn) error { return c.Zero(0, 1) },
		"flush": (*nbd.Conn).Flush, // not on offer: it cannot be promised
	} {
		c := dial(t, socket, nbdtest.Name, nbd.Options{})
		err := f(c)
		mustFail(t, c, err)
		if !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
