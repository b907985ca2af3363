package format

// Extent is a range of an Image that looks the same throughout.
type Extent struct {
	Offset, Length int64 // of the disk, bytes
	Layer, Entry   int32 // of data: the layer, from 0 for the oldest, and the index in its Entries
	Zero           bool
	Lost           bool // described by a bad page of an index; only in a salvaged Image
}

// End is the offset behind the extent's last byte.
func (x Extent) End() int64 { return x.Offset + x.Length }

// Data says whether the extent is stored bytes, neither zero nor lost.
func (x Extent) Data() bool { return !x.Zero && !x.Lost }

// clip returns what of x lies in [from, to), which it overlaps.
func (x Extent) clip(from, to int64) Extent {
	from, to = max(from, x.Offset), min(to, x.End())
	x.Offset, x.Length = from, to-from
	return x
}

// flatten lays runs over one another, the last on top. A run is sorted and does
// not overlap itself. Overlaying is associative, so halves first, of about as
// many extents each: a large base is copied once or twice, not once a run.
func flatten(runs [][]Extent) []Extent {
	switch len(runs) {
	case 0:
		return nil
	case 1:
		return runs[0]
	}
	total := 0
	for _, r := range runs {
		total += len(r)
	}
	half, n := 1, len(runs[0])
	for half < len(runs)-1 && n+len(runs[half]) <= total/2 {
		n += len(runs[half])
		half++
	}
	return overlay(flatten(runs[:half]), flatten(runs[half:]))
}

// overlay returns upper and what it leaves visible of lower, which it spoils.
func overlay(lower, upper []Extent) []Extent {
	if len(lower) == 0 {
		return upper
	}
	out := make([]Extent, 0, len(lower)+2*len(upper))
	for _, u := range upper {
		for len(lower) > 0 && lower[0].End() <= u.Offset {
			out = append(out, lower[0])
			lower = lower[1:]
		}
		if len(lower) > 0 && lower[0].Offset < u.Offset {
			out = append(out, lower[0].clip(0, u.Offset))
		}
		for len(lower) > 0 && lower[0].End() <= u.End() {
			lower = lower[1:]
		}
		if len(lower) > 0 && lower[0].Offset < u.End() {
			lower[0] = lower[0].clip(u.End(), lower[0].End())
		}
		out = append(out, u)
	}
	return append(out, lower...)
}

// join makes one extent of neighbours that are zero, in place.
func join(extents []Extent) []Extent {
	out := extents[:0]
	for _, x := range extents {
		if n := len(out); n > 0 && x.Zero && out[n-1].Zero {
			out[n-1].Length += x.Length
			continue
		}
		out = append(out, x)
	}
	return out
}
