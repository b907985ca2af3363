package qcow2

import (
	"fmt"
	"iter"
	"math/bits"
	"sort"

	"vbk/virt"
)

// Range is a range of a disk in bytes.
type Range struct{ Offset, Length int64 }

func (r Range) end() int64 { return r.Offset + r.Length }

// Layout says where everything lies in a file that holds a disk. It may be used by
// several goroutines.
type Layout struct {
	o       virt.ImageOptions
	size    int64 // of the disk, a multiple of a sector
	cluster int64 // bytes
	span    int64 // entries of an L2 table
	data    []Range
	runs    []run

	tables, l1, l1Entries, blocks, refcountTable int64 // clusters, but for l1Entries
	used                                         int64 // clusters of the file
}

// run is a run of clusters, each behind the other in the disk and in the file.
type run struct{ guest, count, host int64 } // number of the first in the disk, how many, number of the first in the file

// Limits and units of QEMU.
const (
	sector           = 512
	maxL1            = 32 << 20 // bytes
	maxRefcountTable = 8 << 20  // bytes
	subclusters      = 32       // of a cluster, with extended L2 entries
)

// DefaultOptions are those of qemu-img create.
var DefaultOptions = virt.ImageOptions{ClusterSize: 64 << 10, Compat: "1.1", RefcountBits: 16, CompressionType: "zlib"}

// NewLayout lays out a disk of size bytes, of which a last part of a sector counts as
// a whole one, as QEMU wants it. data is what may be written, sorted and without
// overlap; preallocated, it is all of the disk. Fields of o that are not set are as in
// DefaultOptions.
func NewLayout(size int64, data []Range, o virt.ImageOptions, preallocate bool) (*Layout, error) {
	l := &Layout{o: complete(o), size: (size + sector - 1) / sector * sector, data: data}
	if err := check(l.o); err != nil {
		return nil, fmt.Errorf("lay out a qcow2 image: %w", err)
	}
	if preallocate {
		l.data = nil
		if size > 0 {
			l.data = []Range{{0, l.size}}
		}
	}
	l.cluster = l.o.ClusterSize
	l.span = l.cluster / l.entrySize()
	if err := l.place(); err != nil {
		return nil, fmt.Errorf("lay out a qcow2 image: %w", err)
	}
	return l, nil
}

func complete(o virt.ImageOptions) virt.ImageOptions {
	if o.ClusterSize == 0 {
		o.ClusterSize = DefaultOptions.ClusterSize
	}
	if o.Compat == "" {
		o.Compat = DefaultOptions.Compat
	}
	if o.RefcountBits == 0 {
		o.RefcountBits = DefaultOptions.RefcountBits
	}
	if o.CompressionType == "" {
		o.CompressionType = DefaultOptions.CompressionType
	}
	return o
}

// Check says why no image can be made with these options; what is 0 or "" is QEMU's
// default.
func Check(o virt.ImageOptions) error { return check(complete(o)) }

func check(o virt.ImageOptions) error {
	old := o.ExtendedL2 || o.LazyRefcounts || o.RefcountBits != 16 || o.CompressionType != "zlib"
	switch {
	case !isPower(o.ClusterSize) || o.ClusterSize < 512 || o.ClusterSize > 2<<20:
		return fmt.Errorf("cluster_size=%d", o.ClusterSize)
	case !isPower(int64(o.RefcountBits)) || o.RefcountBits > 64:
		return fmt.Errorf("refcount_bits=%d", o.RefcountBits)
	case o.CompressionType != "zlib" && o.CompressionType != "zstd":
		return fmt.Errorf("compression_type=%s", o.CompressionType)
	case o.ExtendedL2 && o.ClusterSize < subclusters*sector:
		return fmt.Errorf("extended_l2=on with cluster_size=%d", o.ClusterSize)
	case o.Compat != "1.1" && o.Compat != "0.10", o.Compat == "0.10" && old:
		return fmt.Errorf("compat=%s with %+v", o.Compat, o)
	}
	return nil
}

func isPower(n int64) bool { return n > 0 && n&(n-1) == 0 }

// place gives every cluster its number.
func (l *Layout) place() error {
	var at, guest int64
	for _, r := range l.data {
		if r.Offset < at || r.Length <= 0 || r.Length > l.size-r.Offset {
			return fmt.Errorf("data %d+%d after %d in a disk of %d bytes", r.Offset, r.Length, at, l.size)
		}
		at = r.end()
		first, next := max(r.Offset/l.cluster, guest), clusters(r.end(), l.cluster)
		if n := len(l.runs) - 1; n >= 0 && first == guest {
			l.runs[n].count += next - first
		} else if next > first {
			l.runs = append(l.runs, run{guest: first, count: next - first})
		}
		guest = next
	}
	for range l.l2() {
		l.tables++
	}
	l.l1Entries = clusters(clusters(l.size, l.cluster), l.span)
	l.l1 = clusters(8*l.l1Entries, l.cluster)
	var content int64
	for _, r := range l.runs {
		content += r.count
	}
	l.countRefcounts(1 + l.l1 + l.tables + content)
	host := l.used - content
	for n := range l.runs {
		l.runs[n].host = host
		host += l.runs[n].count
	}
	if 8*l.l1Entries > maxL1 || l.refcountTable*l.cluster > maxRefcountTable {
		return fmt.Errorf("a disk of %d bytes is too large for clusters of %d", l.size, l.cluster)
	}
	return nil
}

// countRefcounts finds how many clusters the refcounts take, their own included.
func (l *Layout) countRefcounts(rest int64) {
	perBlock := 8 * l.cluster / int64(l.o.RefcountBits)
	for l.used = -1; l.used != rest+l.refcountTable+l.blocks; {
		l.used = rest + l.refcountTable + l.blocks
		l.blocks = clusters(l.used, perBlock)
		l.refcountTable = clusters(8*l.blocks, l.cluster)
	}
}

func clusters(bytes, cluster int64) int64 { return (bytes + cluster - 1) / cluster }

func (l *Layout) entrySize() int64 {
	if l.o.ExtendedL2 {
		return 16
	}
	return 8
}

// l2 yields the numbers of the L2 tables that are needed, rising.
func (l *Layout) l2() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		last := int64(-1)
		for _, r := range l.runs {
			for n := max(r.guest/l.span, last+1); n <= (r.guest+r.count-1)/l.span; n++ {
				if last = n; !yield(n) {
					return
				}
			}
		}
	}
}

// FileSize is the number of bytes of the file.
func (l *Layout) FileSize() int64 { return l.used * l.cluster }

// Place says where in the file the byte of the disk at an offset lies, and how many
// bytes from there on lie behind one another; ok is false if so many have no place.
func (l *Layout) Place(offset int64) (at, length int64, ok bool) {
	g := offset / l.cluster
	n := sort.Search(len(l.runs), func(n int) bool { return l.runs[n].guest+l.runs[n].count > g })
	if n == len(l.runs) {
		return 0, l.size - offset, false
	}
	r := l.runs[n]
	if r.guest > g {
		return 0, r.guest*l.cluster - offset, false
	}
	return offset + (r.host-r.guest)*l.cluster, (r.guest+r.count)*l.cluster - offset, true
}

func bitsOf(n int64) uint32 { return uint32(bits.TrailingZeros64(uint64(n))) }
