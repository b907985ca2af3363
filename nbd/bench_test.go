//go:build cgo

package nbd_test

import (
	"fmt"
	"testing"

	"vbk/nbd"
	"vbk/nbd/nbdtest"
)

// The server is Go in the same process, so that figures are a lower bound.
func BenchmarkReadBatch(b *testing.B) {
	for _, size := range []int{64 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			const batch = 32
			disk := make([]byte, batch*size)
			honest := nbdtest.Honest(disk)
			c := dial(b, nbdtest.Serve(b, nbdtest.Export{Size: uint64(len(disk))}, honest), nbdtest.Name, nbd.Options{})
			reads := make([]nbd.Read, batch)
			for i := range reads {
				reads[i] = nbd.Read{Offset: int64(i * size), Data: make([]byte, size)}
			}
			b.SetBytes(int64(len(disk)))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.ReadBatch(b.Context(), reads); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A disk in 1.7 million extents, none like its neighbour.
func BenchmarkExtents(b *testing.B) {
	const grain, count = 64 << 10, 1_700_000
	flags := []uint32{0, 3}
	var list [2][]nbdtest.Descriptor
	for i := range 1 << 16 {
		for odd := range list {
			list[odd] = append(list[odd], nbdtest.Descriptor{Length: grain, Flags: flags[(i+odd)%2]})
		}
	}
	export := nbdtest.Export{Size: grain * count, Contexts: []string{allocation}}
	c := dial(b, nbdtest.Serve(b, export, func(p *peer, r request) {
		answer := list[r.Offset/grain%2]
		p.Status(r, nbdtest.Done, allocation, answer[:r.Length/grain]...)
	}), nbdtest.Name, nbd.Options{})
	b.ReportAllocs()
	for b.Loop() {
		extents, err := c.Extents(b.Context(), 0, c.Size())
		if err != nil || len(extents) != count {
			b.Fatal(len(extents), err)
		}
	}
}
