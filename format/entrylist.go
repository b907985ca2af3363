package format

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// entryList is an index while it is written, in blocks: a slice that grows to 60 MiB,
// as that of 1 TiB does, would need three times that on the way.
type entryList struct {
	blocks [][]Entry // all of entryBlock but the last
	length int       // of all blocks
	order  []int32   // what arrange has kept, in its order
}

const entryBlock = 8 << 10

// listOf lists entries that are there already.
func listOf(entries []Entry) entryList {
	return entryList{blocks: slices.Collect(slices.Chunk(entries, entryBlock)), length: len(entries)}
}

func (l *entryList) append(e Entry) {
	if l.length%entryBlock == 0 {
		l.blocks = append(l.blocks, make([]Entry, 0, entryBlock))
	}
	last := &l.blocks[len(l.blocks)-1]
	*last = append(*last, e)
	l.length++
}

// last is the entry that came last; nil if none has.
func (l *entryList) last() *Entry {
	if l.length == 0 {
		return nil
	}
	return l.at(int32(l.length - 1))
}

func (l *entryList) at(i int32) *Entry { return &l.blocks[i/entryBlock][i%entryBlock] }

// kept lists what arrange has kept.
func (l *entryList) kept() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for _, i := range l.order {
			if !yield(l.at(i)) {
				return
			}
		}
	}
}

// arrange sorts entries, refuses overlap within a generation, joins neighbouring
// zero entries, and leaves them out of a plain base, where nothing lies under them.
func (l *entryList) arrange(plainBase bool) error {
	l.order = make([]int32, l.length)
	for i := range l.order {
		l.order[i] = int32(i)
	}
	slices.SortFunc(l.order, func(i, k int32) int {
		a, b := l.at(i), l.at(k)
		return cmp.Or(cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.Offset, b.Offset))
	})
	kept := l.order[:0]
	var last Entry
	for n, i := range l.order {
		e := *l.at(i)
		same := n > 0 && e.Generation == last.Generation
		if same && e.Offset < last.End() {
			return fmt.Errorf("range at %d was recorded twice: the one before ends at %d", e.Offset, last.End())
		}
		joins := same && e.Zero && last.Zero && e.Offset == last.End()
		last = e
		switch {
		case e.Zero && plainBase:
		case joins:
			l.at(kept[len(kept)-1]).Length += e.Length
		default:
			kept = append(kept, i)
		}
	}
	l.order = kept
	return nil
}
