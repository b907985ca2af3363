package executor

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Extent is a range of a disk in bytes, and what a copy has to do with it.
type Extent struct {
	Offset, Length int64
	Zero           bool // it reads as zeroes; otherwise it is read
}

// Piece is a range to read into a buffer of its length.
type Piece struct {
	Offset int64
	Data   []byte
}

// Source is a disk at one instant, or the part of it that a copy takes.
type Source interface {
	Size() int64
	// Extents lists what the copy takes of a range, sorted, without overlap.
	// Ranges that it does not list are left as they are in the sink.
	Extents(ctx context.Context, offset, length int64) ([]Extent, error)
	// Read fills every piece completely, or fails.
	Read(ctx context.Context, pieces []Piece) error
}

// Sink takes data and zeroes for ranges, from several goroutines at once, each
// range once, in any order.
type Sink interface {
	Data(offset int64, data []byte) error
	Zero(offset, length int64) error
}

// The copy's shape: chunks on the grid of the format, batches that amortise a
// call into C, three of them so that reading and compressing overlap.
const (
	chunkSize   = 1 << 20
	batchChunks = 8
	batches     = 3
	batchPieces = 256     // of a batch, at most
	window      = 1 << 30 // block status is asked for a GiB at a time; a multiple of chunkSize
)

// Copy moves everything that the source lists into the sink. progress is told
// the bytes of each piece that is done, from several goroutines. The first
// error ends the copy.
func Copy(ctx context.Context, dst Sink, src Source, progress func(bytes int64)) error {
	group, ctx := errgroup.WithContext(ctx)
	free := make(chan *batch, batches)
	for range batches {
		free <- &batch{size: int(min(batchChunks, src.Size()/chunkSize+2)) * chunkSize}
	}
	chunks := make(chan chunk, batches*batchPieces) // a batch that has been read never keeps the next one waiting
	group.Go(guarded(func() error {
		defer close(chunks)
		return feed(ctx, dst, src, free, chunks, progress)
	}))
	for range runtime.GOMAXPROCS(0) {
		group.Go(guarded(func() error {
			for c := range chunks {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err := dst.Data(c.piece.Offset, c.piece.Data); err != nil {
					return err
				}
				progress(int64(len(c.piece.Data)))
				c.from.done(free)
			}
			return nil
		}))
	}
	return group.Wait()
}

// feed walks the disk window by window and reads batch after batch.
func feed(ctx context.Context, dst Sink, src Source, free chan *batch, chunks chan<- chunk, progress func(int64)) error {
	f := feeder{ctx: ctx, src: src, free: free, chunks: chunks}
	for offset := int64(0); offset < src.Size(); offset += window {
		length := min(window, src.Size()-offset)
		extents, err := src.Extents(ctx, offset, length)
		if err != nil {
			return err
		}
		if err := checkExtents(extents, offset, length); err != nil {
			return err
		}
		for _, e := range extents {
			if e.Zero {
				if err := dst.Zero(e.Offset, e.Length); err != nil {
					return err
				}
				progress(e.Length)
				continue
			}
			if err := f.add(e); err != nil {
				return err
			}
		}
	}
	return f.flush()
}

// feeder gathers pieces into batches.
type feeder struct {
	ctx     context.Context
	src     Source
	free    chan *batch
	chunks  chan<- chunk
	current *batch
}

// add cuts an extent at the chunk grid.
func (f *feeder) add(e Extent) error {
	for offset, end := e.Offset, e.Offset+e.Length; offset < end; {
		next := min(end, (offset/chunkSize+1)*chunkSize)
		if f.current == nil {
			select {
			case f.current = <-f.free:
			case <-f.ctx.Done():
				return context.Cause(f.ctx)
			}
		}
		f.current.take(offset, next-offset)
		if f.current.full() {
			if err := f.flush(); err != nil {
				return err
			}
		}
		offset = next
	}
	return nil
}

// flush reads the gathered pieces and hands them to the workers.
func (f *feeder) flush() error {
	b := f.current
	if b == nil {
		return nil
	}
	f.current = nil
	if err := f.src.Read(f.ctx, b.pieces); err != nil {
		return err
	}
	b.pending.Store(int64(len(b.pieces)))
	for _, p := range b.pieces {
		f.chunks <- chunk{p, b}
	}
	return nil
}

// checkExtents guards against a source that lists nonsense: what lies outside
// of the range, or comes twice.
func checkExtents(extents []Extent, offset, length int64) error {
	at := offset
	for _, e := range extents {
		if e.Length <= 0 || e.Offset < at || e.Length > offset+length-e.Offset {
			return fmt.Errorf("extent %d+%d does not fit into %d+%d after %d", e.Offset, e.Length, offset, length, at)
		}
		at = e.Offset + e.Length
	}
	return nil
}
