package executor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"vbk/format"
	"vbk/nbd"
)

// layerSource is what the newest file of a disk holds: of one that stands alone
// all data, of another all that it says, zeroes too.
type layerSource struct {
	imageSource
	takes  part
	covers []Extent // sorted, without overlap
}

// newLayerSource takes of an image what a file on top of one with older bytes
// has to hold, or if nothing older shows through, all data.
func newLayerSource(image *format.Image, base bool, older int64) layerSource {
	s := layerSource{imageSource: imageSource{image}, takes: holdsData}
	if base {
		return s
	}
	s.takes = isDirty
	layers := image.Layers()
	var all []Extent
	for _, e := range layers[len(layers)-1].Entries() {
		all = append(all, Extent{Offset: e.Offset, Length: e.Length})
	}
	if image.Size() > older { // what has grown is covered completely
		all = append(all, Extent{Offset: older, Length: image.Size() - older})
	}
	s.covers = union(all)
	return s
}

// union sorts ranges and joins those that touch.
func union(all []Extent) []Extent {
	slices.SortFunc(all, func(a, b Extent) int { return cmp.Compare(a.Offset, b.Offset) })
	joined := all[:0]
	for _, e := range all {
		if n := len(joined) - 1; n >= 0 && e.Offset <= joined[n].Offset+joined[n].Length {
			joined[n].Length = max(joined[n].Length, e.Offset+e.Length-joined[n].Offset)
		} else {
			joined = append(joined, e)
		}
	}
	return joined
}

func (s layerSource) Extents(_ context.Context, offset, length int64) ([]Extent, error) {
	i, _ := slices.BinarySearchFunc(s.covers, offset, func(e Extent, at int64) int { return cmp.Compare(e.Offset+e.Length, at+1) })
	rest := s.covers[i:]
	var found []nbd.Extent
	for x := range s.image.Extents(offset, length) {
		for at := x.Offset; at < x.End(); {
			for len(rest) > 0 && rest[0].Offset+rest[0].Length <= at {
				rest = rest[1:]
			}
			next, dirty := x.End(), false
			if len(rest) > 0 {
				if dirty = rest[0].Offset <= at; dirty {
					next = min(next, rest[0].Offset+rest[0].Length)
				} else {
					next = min(next, rest[0].Offset)
				}
			}
			found = append(found, nbd.Extent{Offset: at, Length: next - at, Zero: x.Zero, Dirty: dirty})
			at = next
		}
	}
	return grains(found, offset, length, s.takes)
}

// wholeSource is a whole disk, its zeroes too.
type wholeSource struct{ imageSource }

func (s wholeSource) Extents(_ context.Context, offset, length int64) ([]Extent, error) {
	var all []Extent
	for x := range s.image.Extents(offset, length) {
		all = append(all, Extent{Offset: x.Offset, Length: x.Length, Zero: x.Zero})
	}
	return all, nil
}

// wantSame compares two disks byte for byte.
func wantSame(ctx context.Context, found, want *format.Image) error {
	if found.Size() != want.Size() {
		return fmt.Errorf("has %d bytes, expected %d", found.Size(), want.Size())
	}
	return Copy(ctx, comparison{found}, wholeSource{imageSource{want}}, func(int64) {})
}

// comparison is a sink that takes what a disk holds already, and nothing else.
type comparison struct{ image *format.Image }

func (c comparison) Data(offset int64, data []byte) error {
	found := make([]byte, len(data))
	if _, err := c.image.ReadAt(found, offset); err != nil {
		return err
	}
	if bytes.Equal(found, data) {
		return nil
	}
	at := 0
	for found[at] == data[at] {
		at++
	}
	return fmt.Errorf("the byte at %d is %02x, expected %02x", offset+int64(at), found[at], data[at])
}

func (c comparison) Zero(offset, length int64) error {
	for x := range c.image.Extents(offset, length) {
		for at := x.Offset; !x.Zero && at < x.End(); {
			n := min(chunkSize, x.End()-at)
			if err := c.Data(at, zeroChunk[:n]); err != nil {
				return err
			}
			at += n
		}
	}
	return nil
}

var zeroChunk [chunkSize]byte // read only
