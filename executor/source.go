package executor

import (
	"context"
	"fmt"

	"vbk/format"
	"vbk/nbd"
)

// Export is an NBD export of a disk at the instant of a job. nbd.Conn is one.
type Export interface {
	Size() int64
	Extents(ctx context.Context, offset, length int64) ([]nbd.Extent, error)
	ReadBatch(ctx context.Context, reads []nbd.Read) error
	Prime(ctx context.Context) error
	Close() error
}

// counted is an export whose bytes are counted as they come.
type counted struct {
	Export
	read *counter
}

func (c counted) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	if err := c.Export.ReadBatch(ctx, reads); err != nil {
		return err
	}
	for _, r := range reads {
		c.read.add(int64(len(r.Data)))
	}
	return nil
}

// exportSource is the part of an export that a point stores.
type exportSource struct {
	export Export
	takes  part
}

// part says of block status whether it belongs to what a copy takes.
type part func(nbd.Extent) bool

// The parts. Nothing shows through under a base, so its zeroes need no entry. Of
// an increment what is dirty and zero is taken too, because the parent may hold
// data there. A comparison with the chain begins with everything.
func holdsData(e nbd.Extent) bool { return !e.Zero }
func isDirty(e nbd.Extent) bool   { return e.Dirty }
func everything(nbd.Extent) bool  { return true }

func (s exportSource) Size() int64 { return s.export.Size() }

func (s exportSource) Extents(ctx context.Context, offset, length int64) ([]Extent, error) {
	found, err := s.export.Extents(ctx, offset, length)
	if err != nil {
		return nil, err
	}
	return grains(found, offset, length, s.takes)
}

func (s exportSource) Read(ctx context.Context, pieces []Piece) error {
	reads := make([]nbd.Read, len(pieces))
	for i, p := range pieces {
		reads[i] = nbd.Read{Offset: p.Offset, Data: p.Data}
	}
	return s.export.ReadBatch(ctx, reads)
}

// grains rounds extents to the grains of the format. A grain is taken if any of
// it belongs to the part, and is zero only if all of it reads as zeroes. offset
// is a multiple of a grain; the last grain ends where the range ends.
func grains(found []nbd.Extent, offset, length int64, takes part) ([]Extent, error) {
	g := grainRun{takes: takes, at: offset, end: offset + length}
	next := offset
	for _, e := range found {
		if e.Offset != next || e.Length <= 0 || e.Length > g.end-next {
			return nil, fmt.Errorf("block status does not tile %d+%d: extent %d+%d after %d", offset, length, e.Offset, e.Length, next)
		}
		next += e.Length
		g.add(e)
	}
	if next != g.end {
		return nil, fmt.Errorf("block status of %d+%d ends at %d", offset, length, next)
	}
	return g.extents, nil
}

// grainRun walks extents grain by grain; whole grains inside one extent are
// taken in one step.
type grainRun struct {
	takes   part
	at, end int64 // start of the current grain, end of the range
	seen    bool  // the current grain has been begun
	taken   bool  // something in it makes it part of the copy
	data    bool  // something in it may be other than zero
	extents []Extent
}

func (g *grainRun) add(e nbd.Extent) {
	for at, end := e.Offset, e.Offset+e.Length; at < end; {
		grainEnd := min(g.at+format.Grain, g.end)
		if !g.seen && end >= grainEnd {
			whole := end
			if whole != g.end {
				whole -= whole % format.Grain
			}
			g.mark(e)
			g.emit(whole)
			at = whole
			continue
		}
		g.mark(e)
		if end < grainEnd {
			return
		}
		g.emit(grainEnd)
		at = grainEnd
	}
}

func (g *grainRun) mark(e nbd.Extent) {
	g.seen = true
	g.taken = g.taken || g.takes(e)
	g.data = g.data || !e.Zero
}

// emit closes the current grain, or a run of whole grains alike, at end.
func (g *grainRun) emit(end int64) {
	if g.taken {
		e := Extent{Offset: g.at, Length: end - g.at, Zero: !g.data}
		if n := len(g.extents) - 1; n >= 0 && g.extents[n].Zero == e.Zero && g.extents[n].Offset+g.extents[n].Length == e.Offset {
			g.extents[n].Length += e.Length
		} else {
			g.extents = append(g.extents, e)
		}
	}
	g.at, g.seen, g.taken, g.data = end, false, false, false
}
