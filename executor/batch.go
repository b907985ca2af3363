package executor

import "sync/atomic"

// batch is a fixed piece of memory, made when it is first used, that carries
// pieces from the reader to the workers and comes back when the last of them is
// done.
type batch struct {
	size    int // of memory, bytes
	memory  []byte
	used    int
	pieces  []Piece
	pending atomic.Int64
}

// chunk is one piece with the batch whose memory it lies in.
type chunk struct {
	piece Piece
	from  *batch
}

func (b *batch) take(offset, length int64) {
	if b.memory == nil {
		b.memory = make([]byte, b.size)
	}
	end := b.used + int(length)
	b.pieces = append(b.pieces, Piece{Offset: offset, Data: b.memory[b.used:end:end]})
	b.used = end
}

// full says that another whole chunk might not fit, or that the batch holds so
// many small pieces that waiting for more gains nothing.
func (b *batch) full() bool {
	return b.used+chunkSize > b.size || len(b.pieces) >= batchPieces
}

func (b *batch) done(free chan<- *batch) {
	if b.pending.Add(-1) == 0 {
		b.used, b.pieces = 0, b.pieces[:0]
		free <- b
	}
}

// counter sums bytes that several goroutines have done.
type counter struct{ n atomic.Int64 }

func (c *counter) add(bytes int64) int64 { return c.n.Add(bytes) }
