//go:build !race

package nbd_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"vbk/nbd"
)

// Requests of one kind, one after another, take no memory of their own.
func TestAnswersAllocateNothing(t *testing.T) {
	const length = 256 << 10
	disk := &memoryDisk{bytes: bytes.Repeat([]byte("disk"), 1<<20/4)}
	c := dialRaw(t, serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: nbd.NewOverlay(&readerDisk{disk}, nil)}}}))
	hello(t, c)
	if _, err := io.WriteString(c, "\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00"+begun[4:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 20+10)); err != nil {
		t.Fatal(err)
	}
	request := append([]byte{0x25, 0x60, 0x95, 0x13, 0, 0, 0, 0}, make([]byte, 16)...)
	request = binary.BigEndian.AppendUint32(request, length)
	reply := make([]byte, 20+8+length)
	ask := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply); err != nil {
			t.Fatal(err)
		}
	}
	for range 64 { // every worker has its buffer
		ask()
	}
	if n := testing.AllocsPerRun(200, ask); n > 0 {
		t.Errorf("a read takes %v allocations", n)
	}
	if !bytes.Equal(reply[28:], disk.bytes[:length]) {
		t.Error("other bytes")
	}
}

// readerDisk reads without an allocation.
type readerDisk struct{ *memoryDisk }

func (d *readerDisk) ReadAt(p []byte, offset int64) (int, error) {
	return copy(p, d.bytes[offset:]), nil
}

func (d *readerDisk) Extent(offset, length int64) nbd.Extent {
	return nbd.Extent{Offset: offset, Length: length}
}
