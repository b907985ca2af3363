package executor_test

import (
	"bytes"

	"vbk/virt"
)

func diskNamed(target string) virt.Disk {
	return virt.Disk{Target: target, Type: "file", Source: "/images/" + target}
}

// rawDisk has no bitmap.
func rawDisk(target string) virt.Disk {
	d := diskNamed(target)
	d.Format = "raw"
	return d
}

// add attaches a disk that the guest writes to.
func (w *world) add(d virt.Disk, size int64) {
	w.host.AddDisk(uuid, d, make([]byte, size))
	w.scribble(d.Target, 2)
}

// replaced puts another image where vda was.
func replaced(w *world) {
	d, size := diskNamed("vda"), int64(len(w.host.Content(uuid, "vda")))
	d.Source = "/images/other"
	w.host.RemoveDisk(uuid, "vda")
	w.host.AddDisk(uuid, d, make([]byte, size))
}

func (w *world) deleteCheckpoint(name string) {
	if err := w.host.DeleteCheckpoint(w.ctx(), uuid, name); err != nil {
		w.t.Fatalf("%v", err)
	}
}

// scribble lets the guest write n times: random data, repeated bytes, zeroes.
func (w *world) scribble(target string, n int) {
	size := int64(len(w.host.Content(uuid, target)))
	for range n {
		offset := w.rand.Int64N(size)
		length := min(size-offset, 1+w.rand.Int64N(200<<10))
		data := make([]byte, length)
		switch w.rand.IntN(4) {
		case 0:
			w.host.Zero(uuid, target, offset, length)
			continue
		case 1:
			for i := range data {
				data[i] = byte(w.rand.Uint32())
			}
		default:
			data = bytes.Repeat([]byte{byte(1 + w.rand.IntN(255))}, int(length))
		}
		w.host.Write(uuid, target, offset, data)
	}
}
