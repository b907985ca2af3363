//go:build !race

package executor

import (
	"context"
	"testing"
)

// endless is a source of one extent whose reads cost nothing, and a sink.
type endless struct{ size int64 }

func (s endless) Size() int64 { return s.size }

func (s endless) Extents(_ context.Context, offset, length int64) ([]Extent, error) {
	return []Extent{{Offset: offset, Length: length}}, nil
}

func (s endless) Read(context.Context, []Piece) error { return nil }
func (s endless) Data(int64, []byte) error            { return nil }
func (s endless) Zero(int64, int64) error             { return nil }

// TestCopyAllocatesOnce: a copy takes its memory when it begins; of what a disk is
// larger only the block status of each GiB costs anything.
func TestCopyAllocatesOnce(t *testing.T) {
	allocs := func(gib int64) float64 {
		s := endless{gib * window}
		return testing.AllocsPerRun(5, func() {
			if err := Copy(t.Context(), s, s, func(int64) {}); err != nil {
				t.Fatal(err)
			}
		})
	}
	one, five := allocs(1), allocs(5)
	if more := five - one; more > 4*2 {
		t.Errorf("4 GiB more, %d chunks, take %v allocations more than the %v of 1 GiB", 4*window/chunkSize, more, one)
	}
}
