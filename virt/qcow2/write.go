package qcow2

import (
	"bufio"
	"encoding/binary"
	"io"
)

// WriteMetadata writes everything but the data: the file from its begin to its first
// cluster of data.
func (l *Layout) WriteMetadata(f io.WriterAt) error {
	w := &tableWriter{bufio.NewWriterSize(io.NewOffsetWriter(f, 0), 1<<20), l.cluster, 0}
	w.bytes(l.header())
	w.pad()
	for n := range l.blocks {
		w.number(uint64((1 + l.refcountTable + n) * l.cluster))
	}
	w.pad()
	l.writeRefcounts(w)
	l.writeL1(w)
	l.writeL2(w)
	return w.Flush()
}

// tableWriter writes tables that begin with a cluster each. Flush returns the first
// error.
type tableWriter struct {
	*bufio.Writer
	cluster, used int64
}

func (w *tableWriter) bytes(b []byte) {
	_, _ = w.Write(b) // Flush returns the error
	w.used += int64(len(b))
}

func (w *tableWriter) number(n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	w.bytes(b[:])
}

// pad fills the cluster.
func (w *tableWriter) pad() {
	if rest := w.used % w.cluster; rest != 0 {
		w.bytes(make([]byte, w.cluster-rest))
	}
}

// copied is a flag of L1 and L2 entries: the refcount of what they lead to is one.
const copied = 1 << 63

func (l *Layout) header() []byte {
	be, h := binary.BigEndian, make([]byte, headerLength)
	copy(h, magic)
	be.PutUint32(h[4:], 2)
	be.PutUint32(h[20:], bitsOf(l.cluster))
	be.PutUint64(h[24:], uint64(l.size))
	be.PutUint32(h[36:], uint32(l.l1Entries))
	be.PutUint64(h[40:], uint64((1+l.refcountTable+l.blocks)*l.cluster))
	be.PutUint64(h[48:], uint64(l.cluster))
	be.PutUint32(h[56:], uint32(l.refcountTable))
	if l.o.Compat == "0.10" {
		return h[:headerLength2]
	}
	be.PutUint32(h[4:], 3)
	var incompatible uint64
	if l.o.ExtendedL2 {
		incompatible |= extendedL2
	}
	if l.o.CompressionType == "zstd" {
		incompatible |= compressionType
		h[fieldCompressionType] = zstdCompression
	}
	be.PutUint64(h[fieldIncompatible:], incompatible)
	if l.o.LazyRefcounts {
		be.PutUint64(h[fieldCompatible:], lazyRefcounts)
	}
	be.PutUint32(h[fieldRefcountOrder:], bitsOf(int64(l.o.RefcountBits)))
	be.PutUint32(h[fieldHeaderLength:], headerLength)
	return h
}

// writeRefcounts counts each cluster of the file once.
func (l *Layout) writeRefcounts(w *tableWriter) {
	block := make([]byte, l.cluster)
	width := l.o.RefcountBits
	for n := range block { // numbers of less than a byte begin with its lowest bits
		switch {
		case width < 8:
			for bit := 0; bit < 8; bit += width {
				block[n] |= 1 << bit
			}
		case (n+1)%(width/8) == 0:
			block[n] = 1
		}
	}
	left := l.used * int64(width) // bits
	for ; left >= 8*l.cluster; left -= 8 * l.cluster {
		w.bytes(block)
	}
	w.bytes(block[:left/8])
	if left%8 != 0 {
		w.bytes([]byte{block[0] & (1<<(left%8) - 1)})
	}
	w.pad()
}

func (l *Layout) writeL1(w *tableWriter) {
	next, at := int64(0), (1+l.refcountTable+l.blocks+l.l1)*l.cluster
	for n := range l.l2() {
		for ; next < n; next++ {
			w.number(0)
		}
		w.number(copied | uint64(at))
		next, at = next+1, at+l.cluster
	}
	for ; next < l.l1Entries; next++ {
		w.number(0)
	}
	w.pad()
}

func (l *Layout) writeL2(w *tableWriter) {
	table, current := make([]byte, l.cluster), int64(-1)
	step, rest := l.entrySize(), l.data
	for _, r := range l.runs {
		for k := range r.count {
			if n := (r.guest + k) / l.span; n != current {
				if current >= 0 {
					w.bytes(table)
				}
				current = n
				clear(table)
			}
			entry := table[(r.guest+k)%l.span*step:]
			binary.BigEndian.PutUint64(entry, copied|uint64((r.host+k)*l.cluster))
			if l.o.ExtendedL2 {
				var held uint32
				held, rest = l.held(r.guest+k, rest)
				binary.BigEndian.PutUint64(entry[8:], uint64(held))
			}
		}
	}
	if current >= 0 {
		w.bytes(table)
	}
}

// held says which subclusters of a cluster hold data. data begins with the first range
// that may be in it; what it returns, with the first that may be in the next.
func (l *Layout) held(cluster int64, data []Range) (held uint32, rest []Range) {
	from, to, sub := cluster*l.cluster, (cluster+1)*l.cluster, l.cluster/subclusters
	for len(data) > 0 && data[0].Offset < to {
		first, last := max(data[0].Offset-from, 0)/sub, (min(data[0].end(), to)-from-1)/sub
		held |= uint32((uint64(2)<<last - 1) &^ (uint64(1)<<first - 1))
		if data[0].end() > to {
			break
		}
		data = data[1:]
	}
	return held, data
}
