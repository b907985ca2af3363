package executor

import (
	"context"

	"vbk/format"
)

// listed is a source whose extents were listed once and for all. A stream for
// virtnbdbackup says first how much it will hold, and while a job runs QEMU may
// call data what it called zero before.
type listed struct {
	Source
	windows [][]Extent
}

// list asks a source for all its extents. One that takes nothing takes the first
// grain, whatever it holds: virtnbdrestore 1.9 passes over a file without data,
// and does not see that it is the one to stop at.
func list(ctx context.Context, source Source) (listed, error) {
	l := listed{Source: source}
	data := false
	for offset := int64(0); offset < source.Size(); offset += window {
		length := min(window, source.Size()-offset)
		extents, err := source.Extents(ctx, offset, length)
		if err != nil {
			return l, err
		}
		if err := checkExtents(extents, offset, length); err != nil {
			return l, err
		}
		data = data || len(extents) > 0
		l.windows = append(l.windows, extents)
	}
	if !data && source.Size() > 0 {
		l.windows[0] = []Extent{{Length: min(format.Grain, source.Size())}}
	}
	return l, nil
}

// Extents is what was listed; Copy asks window by window.
func (l listed) Extents(_ context.Context, offset, _ int64) ([]Extent, error) {
	return l.windows[offset/window], nil
}

// bytes is the sum of the extents, with those that are zero or without.
func (l listed) bytes(zeroes bool) int64 {
	var sum int64
	for _, extents := range l.windows {
		for _, e := range extents {
			if !e.Zero || zeroes {
				sum += e.Length
			}
		}
	}
	return sum
}
