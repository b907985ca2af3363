package executor

import (
	"context"
	"golang.org/x/sync/errgroup"

	"vbk/format"
)

// imageSource is a whole disk out of a chain: what its layers hold as data.
// Everything else is zero, and so is a fresh target.
type imageSource struct{ image *format.Image }

func (s imageSource) Size() int64 { return s.image.Size() }

func (s imageSource) Extents(_ context.Context, offset, length int64) ([]Extent, error) {
	var extents []Extent
	for x := range s.image.Extents(offset, length) {
		n := len(extents)
		switch {
		case x.Zero:
		case n > 0 && extents[n-1].Offset+extents[n-1].Length == x.Offset:
			extents[n-1].Length += x.Length
		default:
			extents = append(extents, Extent{Offset: x.Offset, Length: x.Length})
		}
	}
	return extents, nil
}

// Read decodes the chunks of the pieces on all cores.
func (s imageSource) Read(ctx context.Context, pieces []Piece) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, p := range pieces {
		group.Go(guarded(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := s.image.ReadAt(p.Data, p.Offset); err != nil {
				return damaged(err)
			}
			return nil
		}))
	}
	return group.Wait()
}

// target is a disk image that a restore fills.
type target interface {
	Sink
	finish() error // makes everything durable
	abandon()      // releases what finish would have
}
