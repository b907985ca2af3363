package plan

import (
	"fmt"
	"slices"

	"vbk/store"
)

// merges says whether points that no rule keeps are merged away.
func merges(w Want) bool { return w.Policy.Retention.Prune == "merge" && hasRules(w.Policy.Retention) }

// mergesOf are the merges of one chain: each run of points that nothing holds
// goes into the point after it. The newest point has none after it and stays,
// as does the head on which the next one builds, unless a planned point joins the
// chain. A point that does not restore is neither given up nor merged into; one on
// which several build stays.
func mergesOf(c *store.Chain, held []hold, joins bool) (all []Merge) {
	head, _ := c.Head()
	points, last := c.Manifest.Points, len(c.Manifest.Points)
	if joins {
		points = append(points[:last:last], store.Point{Sequence: c.Manifest.Next(), Parent: head.Sequence})
	}
	from := 0 // where the run begins that ends before n
	for n, p := range points {
		if n > from && p.Parent != points[n-1].Sequence {
			from = n
		}
		goes := n < len(points)-1 && (joins || p.Sequence != head.Sequence) && !held[n].any() && onlyHeir(points[n:])
		switch {
		case n < last && !c.Sound(p.Sequence):
			from = n + 1
		case !goes:
			if n > from {
				all = append(all, mergeOf(c.Name, points[from:n], p))
			}
			from = n + 1
		}
	}
	return all
}

// onlyHeir says whether no point but the second builds on the first.
func onlyHeir(points []store.Point) bool {
	for _, p := range points[2:] {
		if p.Parent == points[0].Sequence {
			return false
		}
	}
	return true
}

// mergeable leaves out, and says so, the merges in chains whose stream has none.
func (i *Instance) mergeable(chains []store.Chain, all []Merge) (can []Merge) {
	for _, m := range all {
		n := slices.IndexFunc(chains, func(c store.Chain) bool { return c.Name == m.Chain })
		stream := chains[n].Manifest.Stream
		if stream == store.V3 {
			can = append(can, m)
			continue
		}
		held := fmt.Sprintf("points that no rule keeps stay in chain %s: its stream %q cannot be merged; vbk convert first", m.Chain, stream)
		if !slices.Contains(i.Held, held) {
			i.Held = append(i.Held, held)
		}
	}
	return can
}

func mergeOf(chain string, gone []store.Point, into store.Point) Merge {
	m := Merge{Chain: chain, Into: into.Sequence, Attempts: append(attempts(gone), into.Attempt)}
	for _, p := range gone {
		m.Gone = append(m.Gone, p.Sequence)
		m.Stored += p.Stored()
	}
	return m
}

// sequences are Gone and Into, to which Attempts belong.
func (m Merge) sequences() []int { return append(slices.Clone(m.Gone), m.Into) }

// covers says whether m gives up, by itself, all that o does and leaves the same
// neighbours: the points of o are a part of those of m. The point that takes in,
// if o did not know it, may be any.
func (m Merge) covers(o Merge) bool {
	mine, theirs := m.sequences(), o.sequences()
	from := slices.Index(mine, theirs[0])
	if m.Chain != o.Chain || from < 0 || len(theirs) > len(mine)-from {
		return false
	}
	for n, sequence := range theirs {
		known := o.Attempts[n] == m.Attempts[from+n] || o.Attempts[n] == "" && n == len(theirs)-1
		if mine[from+n] != sequence || !known {
			return false
		}
	}
	return true
}
