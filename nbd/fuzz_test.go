//go:build cgo

package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

const fuzzLength = 64

// believe is a slow reading of a reply to one read of fuzzLength bytes at 0: the
// data, if the bytes are a complete structured reply without an error.
func believe(raw []byte) (data []byte, ok bool) {
	data = make([]byte, fuzzLength)
	var seen [fuzzLength]bool
	for {
		if len(raw) < 20 || binary.BigEndian.Uint32(raw) != 0x668e33ef || binary.BigEndian.Uint64(raw[8:]) != 1 {
			return nil, false
		}
		flags, kind := binary.BigEndian.Uint16(raw[4:]), binary.BigEndian.Uint16(raw[6:])
		size := binary.BigEndian.Uint32(raw[16:])
		if raw = raw[20:]; uint64(size) > uint64(len(raw)) {
			return nil, false
		}
		payload := raw[:size]
		raw = raw[size:]
		var area []byte
		switch {
		case kind == nbdtest.TypeNone && size == 0 && flags&nbdtest.Done != 0:
		case kind == nbdtest.TypeData && size > 8:
			area = payload[8:]
		case kind == nbdtest.TypeHole && size == 12 && binary.BigEndian.Uint32(payload[8:]) <= fuzzLength:
			area = make([]byte, binary.BigEndian.Uint32(payload[8:]))
		default:
			return nil, false
		}
		if kind != nbdtest.TypeNone {
			offset := binary.BigEndian.Uint64(payload)
			if len(area) == 0 || len(area) > fuzzLength || offset > fuzzLength-uint64(len(area)) {
				return nil, false
			}
			for i := range area {
				if seen[int(offset)+i] {
					return nil, false
				}
				seen[int(offset)+i] = true
			}
			copy(data[offset:], area)
		}
		if flags&nbdtest.Done != 0 {
			return data, !bytes.Contains(boolBytes(seen[:]), []byte{0})
		}
	}
}

func boolBytes(b []bool) []byte {
	out := make([]byte, len(b))
	for i := range b {
		if b[i] {
			out[i] = 1
		}
	}
	return out
}

// chunk is what the fuzzer's seeds are made of; libnbd's first cookie is 1.
func chunk(flags, kind uint16, payload ...any) []byte {
	var body []byte
	for _, v := range payload {
		body, _ = binary.Append(body, binary.BigEndian, v)
	}
	b := binary.BigEndian.AppendUint32(nil, 0x668e33ef)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, 1)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
}

// Whatever bytes answer a read: no panic, no hang, and success means that they
// were a complete reply, and the data what it says.
func FuzzReadReply(f *testing.F) {
	half := bytes.Repeat([]byte{7}, fuzzLength/2)
	f.Add(chunk(1, nbdtest.TypeData, uint64(0), half, half))
	f.Add(append(chunk(0, nbdtest.TypeData, uint64(32), half), chunk(1, nbdtest.TypeHole, uint64(0), uint32(32))...))
	f.Add(append(chunk(0, nbdtest.TypeData, uint64(0), half), chunk(1, nbdtest.TypeData, uint64(31), half)...))
	f.Add(append(chunk(0, nbdtest.TypeData, uint64(0), half, half), chunk(1, nbdtest.TypeNone)...))
	f.Add(append(chunk(0, nbdtest.TypeData, uint64(0), half, half), chunk(1, nbdtest.TypeError, uint32(5), uint16(0))...))
	f.Add(chunk(1, nbdtest.TypeNone))
	f.Fuzz(answered)
}

// answered reads from a server that answers with these bytes, and compares with
// the slow reading.
func answered(t *testing.T, raw []byte) {
	socket := nbdtest.Serve(t, nbdtest.Export{Size: fuzzLength}, func(p *peer, r request) {
		p.Raw(raw)
		p.HangUp()
	})
	c := dial(t, socket, nbdtest.Name, nbd.Options{})
	got := garbage(fuzzLength)
	_, err := c.ReadAt(got, 0)
	want, ok := believe(raw)
	if ok != (err == nil) {
		t.Fatalf("error %v, complete reply: %v", err, ok)
	}
	if ok && !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
}

// FuzzReplies answers a read with chunks that are well formed and may lie: each 4
// bytes are what kind of chunk, whether it is the last, where, and how long.
func FuzzReplies(f *testing.F) {
	f.Add([]byte{0, 1, 0, 64})
	f.Add([]byte{0, 0, 32, 32, 1, 1, 0, 32})
	f.Add([]byte{1, 0, 0, 63, 0, 1, 62, 2})
	f.Add([]byte{0, 0, 0, 64, 2, 1, 0, 0})
	f.Add([]byte{1, 0, 0, 64, 3, 1, 5, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var raw []byte
		for ; len(script) >= 4; script = script[4:] {
			last, offset, length := uint16(script[1]%2), uint64(int8(script[2])), uint32(script[3])
			switch script[0] % 5 {
			case 0:
				raw = append(raw, chunk(last, nbdtest.TypeData, offset, bytes.Repeat([]byte{script[3] | 1}, int(length)))...)
			case 1:
				raw = append(raw, chunk(last, nbdtest.TypeHole, offset, length)...)
			case 2:
				raw = append(raw, chunk(last, nbdtest.TypeNone)...)
			case 3:
				raw = append(raw, chunk(last, nbdtest.TypeError, uint32(script[2]), uint16(0))...)
			case 4:
				raw = append(raw, chunk(last, uint16(script[2])<<8|uint16(script[3]))...)
			}
		}
		answered(t, raw)
	})
}

// FuzzHandshake takes any bytes for what a server says first: no panic, no hang, and
// who says nothing more is no export.
func FuzzHandshake(f *testing.F) {
	const magic = "NBDMAGIC" + "IHAVEOPT" + "\x00\x03"
	f.Add([]byte(magic))
	f.Add([]byte("NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53\x00\x00\x00\x00\x00\x01\x00\x00"))
	f.Add([]byte(magic + "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00"))
	f.Add([]byte(magic + "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x08\x80\x00\x00\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, said []byte) {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(said)
			_ = conn.(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}()
		c, err := nbd.Dial(t.Context(), path, "disk", nbd.Options{Bitmap: "b"})
		if err != nil {
			return
		}
		defer c.Close()
		if c.Size() < 0 || c.Size() > 1<<61 {
			t.Fatalf("%d bytes", c.Size())
		}
		if _, err := c.ReadAt(make([]byte, 1), 0); err == nil && c.Size() > 0 {
			t.Fatal("a byte is read of a server that has gone")
		}
	})
}

// Whatever bytes answer block status: no panic, no hang, and success means
// extents that tile the range.
func FuzzStatusReply(f *testing.F) {
	f.Add(append(chunk(0, nbdtest.TypeStatus, uint32(1), uint32(64), uint32(3)), chunk(1, nbdtest.TypeStatus, uint32(2), uint32(64), uint32(1))...))
	f.Add(append(chunk(0, nbdtest.TypeStatus, uint32(1), uint32(16), uint32(3), uint32(48), uint32(0)), chunk(1, nbdtest.TypeStatus, uint32(2), uint32(64), uint32(1))...))
	f.Add(append(chunk(0, nbdtest.TypeStatus, uint32(1), uint32(0), uint32(3)), chunk(1, nbdtest.TypeStatus, uint32(2), uint32(65), uint32(1))...))
	f.Add(chunk(1, nbdtest.TypeNone))
	f.Fuzz(func(t *testing.T, raw []byte) {
		export := nbdtest.Export{Size: fuzzLength, Contexts: []string{allocation, bitmap}}
		socket := nbdtest.Serve(t, export, func(p *peer, r request) {
			p.Raw(raw)
			p.HangUp()
		})
		c := dial(t, socket, nbdtest.Name, nbd.Options{Bitmap: "b"})
		extents, err := c.Extents(t.Context(), 0, fuzzLength)
		if err != nil {
			return
		}
		var end int64
		for i, e := range extents {
			merged := i > 0 && extents[i-1].Zero == e.Zero && extents[i-1].Dirty == e.Dirty
			if e.Offset != end || e.Length <= 0 || merged {
				t.Fatal(extents)
			}
			end += e.Length
		}
		if end != fuzzLength {
			t.Fatal(extents)
		}
	})
}
