//go:build bench

package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"vbk/nbd"
	"vbk/virt/libvirt/embedtest"
)

// A disk in which every other cluster of 64 KiB holds data: 1.7 million extents.
const (
	cluster  = 64 << 10
	holding  = 850_000
	virtual  = 2 * holding * cluster
	perTable = cluster / 8
	tables   = (2*holding + perTable - 1) / perTable
)

// TestFragmented measures the block status of a disk that is in as many pieces as
// can be.
func TestFragmented(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: virtual})
	s.root.Kill(t, s.uuid)
	writeFragmented(t, s.root.Image(s.uuid, "vda"))
	must(t, exec.Command("qemu-img", "info", s.root.Image(s.uuid, "vda")))
	s.configure(t, "")
	s.root.Start(t, s.uuid)
	compare(t, "Block status of 1.7 million extents", 3, s.exported("nbd.Conn.Extents, all of them", func(socket string) *exec.Cmd {
		return exec.Command(os.Args[0], "extents", socket)
	}), s.exported("nbdinfo --map", func(socket string) *exec.Cmd {
		return exec.Command("nbdinfo", "--map", "nbd+unix:///vda?socket="+socket)
	}))
}

// writeFragmented writes a qcow2 image whose clusters of data are holes of the file.
// Nothing allocates in it, so that its counts of references may be missing.
func writeFragmented(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const l1, l2 = 2 * cluster, 3 * cluster // behind the header and the table of counts
	var head []byte
	head = append(head, "QFI\xfb"...)
	for _, v := range []any{uint32(3), uint64(0), uint32(0), uint32(16), uint64(virtual), uint32(0), uint32(tables), uint64(l1),
		uint64(cluster), uint32(1), uint32(0), uint64(0), uint64(0), uint64(0), uint64(0), uint32(4), uint32(104)} {
		head, _ = binary.Append(head, binary.BigEndian, v)
	}
	first := make([]byte, 0, 8*tables)
	table := make([]byte, cluster)
	data := uint64(l2 + tables*cluster)
	for i := range tables {
		at := uint64(l2 + i*cluster)
		first = binary.BigEndian.AppendUint64(first, at|1<<63)
		clear(table)
		for k := 0; k < perTable && i*perTable+k < 2*holding; k += 2 {
			binary.BigEndian.PutUint64(table[8*k:], data|1<<63)
			data += cluster
		}
		if _, err := f.WriteAt(table, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	for at, b := range map[int64][]byte{0: head, l1: first} {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(data)); err != nil {
		t.Fatal(err)
	}
}

// extents lists the extents of an export. This test binary does it when it is called
// with the word extents and a socket.
func extents(socket string) error {
	ctx := context.Background()
	c, err := nbd.Dial(ctx, socket, "vda", nbd.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	found := 0
	for at := int64(0); at < c.Size(); at += gib { // as executor.Copy asks
		all, err := c.Extents(ctx, at, min(gib, c.Size()-at))
		if err != nil {
			return err
		}
		found += len(all)
	}
	if found < 2*holding {
		return fmt.Errorf("only %d extents", found)
	}
	return nil
}
