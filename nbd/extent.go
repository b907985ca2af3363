package nbd

import (
	"context"
)

// Extent is a range of the export that has one state.
type Extent struct {
	Offset, Length int64 // bytes
	Zero           bool  // it reads as zeroes (NBD_STATE_ZERO; a hole without it is not zero)
	Dirty          bool  // it changed, by the bitmap; true everywhere if none was asked for
}

// Extents returns the state of a range: extents that tile it exactly, sorted,
// neighbours with equal state merged. The range must be within the export and
// aligned to the server's minimum block.
func (c *Conn) Extents(ctx context.Context, offset, length int64) ([]Extent, error) {
	if c.err != nil {
		return nil, c.err
	}
	const operation = "query the extents of"
	if err := c.check(offset, length); err != nil {
		return nil, c.fail(describe(operation, offset, length), err)
	}
	if !c.info.allocation && c.info.bitmap == "" {
		return tile(offset, length, nil, nil), nil
	}
	var extents []Extent
	err := c.guard(ctx, func() (err error) {
		extents, err = c.wire.extents(c.info, offset, length)
		return err
	})
	if err != nil {
		return nil, c.fail(locate(operation, offset, length, err), err)
	}
	return extents, nil
}

// stretch is a part of one context in one state: where it ends, times two, plus its bit. It
// starts where the one before it ends.
type stretch uint64

func (s stretch) end() int64 { return int64(s >> 1) }
func (s stretch) set() bool  { return s&1 != 0 }

// tile lays two contexts over one another. Each covers the whole range, or is
// nil: then nothing is zero, and everything is dirty.
func tile(offset, length int64, zero, dirty []stretch) []Extent {
	stop := offset + length
	if zero == nil {
		zero = []stretch{stretch(stop) << 1}
	}
	if dirty == nil {
		dirty = []stretch{stretch(stop)<<1 | 1}
	}
	extents := make([]Extent, 0, len(zero)+len(dirty)-1)
	for at, z, d := offset, 0, 0; at < stop; {
		next := Extent{
			Offset: at,
			Length: min(zero[z].end(), dirty[d].end(), stop) - at,
			Zero:   zero[z].set(),
			Dirty:  dirty[d].set(),
		}
		at += next.Length
		if zero[z].end() == at {
			z++
		}
		if dirty[d].end() == at {
			d++
		}
		last := len(extents) - 1
		if last >= 0 && extents[last].Zero == next.Zero && extents[last].Dirty == next.Dirty {
			extents[last].Length += next.Length
			continue
		}
		extents = append(extents, next)
	}
	return extents
}
