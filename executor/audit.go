package executor

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"vbk/format"
	"vbk/nbd"
	"vbk/plan"
	"vbk/store"
)

// A bitmap can lie without a sign: an image that shrinks and grows again, two
// images of a domain that are swapped, storage that is rolled back below QEMU. So
// what it calls clean is compared with the chain before it is believed.

// auditAll bounds how much is read of what is data now, and of which the chain
// has nothing: images that were allocated in advance have much of it. What is
// beyond is drawn from like the rest.
const auditAll = 1024 // grains

// audit says why the bitmap of an increment cannot be true; "" if nothing speaks
// against it.
func (a *attempt) audit(ctx context.Context, export Export, known *format.Image) (why string, err error) {
	if known.Size() != export.Size() {
		return fmt.Sprintf("it has %d bytes, and %d in the chain", export.Size(), known.Size()), nil
	}
	c := census{known: known}
	for offset := int64(0); offset < export.Size() && why == ""; offset += window {
		length := min(window, export.Size()-offset)
		found, err := export.Extents(ctx, offset, length)
		if err != nil {
			return "", err
		}
		a.alive()
		if why, err = c.add(found, offset, length); err != nil {
			return "", err
		}
	}
	if why != "" {
		return why, nil
	}
	drawn, err := draw(a.Random, c.grains, a.want.Policy.Audit)
	if err != nil {
		return "", fmt.Errorf("draw grains to compare: %w", err)
	}
	return c.compare(ctx, export, drawn, a.alive)
}

// distrust makes a point whose disk failed the audit a resync.
func (a *attempt) distrust(d plan.DiskBackup, why string) {
	a.point.Kind = store.Resync
	a.point.Reason += fmt.Sprintf("; disk %s is resynced: %s", d.Target, why)
}

// census is what an audit finds of a disk that its bitmap calls clean.
type census struct {
	known  *format.Image
	data   []Extent // data now
	grains int64    // in data
	news   []int64  // grains that are data now and of which the chain has nothing, at most auditAll
}

// add looks at a window of the disk.
func (c *census) add(found []nbd.Extent, offset, length int64) (why string, err error) {
	all, err := grains(found, offset, length, everything)
	if err != nil {
		return "", err
	}
	dirty, err := grains(found, offset, length, isDirty)
	if err != nil {
		return "", err
	}
	for _, e := range subtract(all, dirty) {
		if e.Zero {
			if why, err = c.zero(e); why != "" || err != nil {
				return why, err
			}
			continue
		}
		c.data, c.grains = append(c.data, e), c.grains+(e.Length+format.Grain-1)/format.Grain
		for x := range c.known.Extents(e.Offset, e.Length) {
			for at := x.Offset - x.Offset%format.Grain; x.Zero && at < x.End() && len(c.news) < auditAll; at += format.Grain {
				c.news = append(c.news, at)
			}
		}
	}
	return "", nil
}

// zero compares what is clean and zero now with the chain.
func (c *census) zero(e Extent) (why string, err error) {
	for x := range c.known.Extents(e.Offset, e.Length) {
		for at := x.Offset - x.Offset%format.Grain; !x.Zero && at < x.End(); at += format.Grain {
			same, err := c.known.Same(at, zeroChunk[:min(format.Grain, c.known.Size()-at)])
			if err != nil {
				return "", err
			}
			if !same {
				return fmt.Sprintf("its bitmap calls %d bytes at %d clean, which are zero now and data in the chain", min(format.Grain, x.End()-at), at), nil
			}
		}
	}
	return "", nil
}

// compare reads grains and compares them with the chain: those that are new to
// it, and the n-th of all that is data, for each n.
func (c *census) compare(ctx context.Context, export Export, drawn []int64, heard func()) (why string, err error) {
	all := slices.Concat(c.news, c.places(drawn))
	slices.Sort(all)
	all = slices.Compact(all)
	for part := range slices.Chunk(all, batchChunks) {
		var reads []nbd.Read
		for _, at := range part {
			reads = append(reads, nbd.Read{Offset: at, Data: make([]byte, min(format.Grain, c.known.Size()-at))})
		}
		if err := export.ReadBatch(ctx, reads); err != nil {
			return "", err
		}
		heard()
		for _, r := range reads {
			same, err := c.known.Same(r.Offset, r.Data)
			if err != nil {
				return "", err
			}
			if !same {
				return fmt.Sprintf("its bitmap calls %d bytes at %d clean, which are not what the chain has", len(r.Data), r.Offset), nil
			}
		}
	}
	return "", nil
}

// places turns numbers of grains in data, sorted, into offsets.
func (c *census) places(numbers []int64) (all []int64) {
	var before int64
	for _, e := range c.data {
		n := (e.Length + format.Grain - 1) / format.Grain
		for len(numbers) > 0 && numbers[0] < before+n {
			all, numbers = append(all, e.Offset+(numbers[0]-before)*format.Grain), numbers[1:]
		}
		before += n
	}
	return all
}

// draw picks n different numbers below total, all if there are no more, sorted.
func draw(random io.Reader, total int64, n int) ([]int64, error) {
	picked := map[int64]bool{}
	if total <= int64(n) {
		for i := range total {
			picked[i] = true
		}
		return slices.Sorted(maps.Keys(picked)), nil
	}
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, err
	}
	for r := rand.New(rand.NewChaCha8(seed)); len(picked) < n; {
		picked[r.Int64N(total)] = true
	}
	return slices.Sorted(maps.Keys(picked)), nil
}

// subtract takes from extents what others cover; all are sorted.
func subtract(from, others []Extent) (rest []Extent) {
	for _, e := range from {
		end := e.Offset + e.Length
		for len(others) > 0 && others[0].Offset+others[0].Length <= e.Offset {
			others = others[1:]
		}
		at := e.Offset
		for _, o := range others {
			if o.Offset >= end {
				break
			}
			if o.Offset > at {
				rest = append(rest, Extent{Offset: at, Length: o.Offset - at, Zero: e.Zero})
			}
			at = o.Offset + o.Length
		}
		if at < end {
			rest = append(rest, Extent{Offset: at, Length: end - at, Zero: e.Zero})
		}
	}
	return rest
}
