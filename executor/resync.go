package executor

import (
	"context"
	"fmt"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// openKnown opens the disks that are to be compared as the chain has them at its
// head: to be resynced, or audited where the chain has hashes. That is done before
// the job begins, because the guest pays for a job.
func (a *attempt) openKnown(m store.Manifest) error {
	a.known = map[string]*format.Image{}
	for _, d := range a.plan.Disks {
		if audited := m.Stream == store.V3 && m.HashKey != "" && !d.Base; !d.Resync && !audited {
			continue
		}
		if m.Stream != store.V3 {
			return fmt.Errorf("disk %s: chain %s has files of stream %q, which hold no hashes to compare with", d.Target, m.Chain, m.Stream)
		}
		chain, err := a.store.OpenChain(a.name, m.Chain)
		if err != nil {
			return err
		}
		a.open = append(a.open, chain)
		image, err := OpenDisk(chain, a.plan.Head, d.Target)
		if err != nil {
			return err
		}
		a.open = append(a.open, image)
		a.known[d.Target] = image.Image
	}
	return nil
}

// resync reads all that holds data, compares it with what the chain has, and
// stores what differs: an increment that needs no bitmap.
func (a *attempt) resync(ctx context.Context, d plan.DiskBackup, export Export) error {
	known := a.known[d.Target]
	return a.stream(ctx, d, resyncSource{exportSource{export, everything}, known}, func(s Sink) Sink {
		return resyncSink{s, known}
	})
}

// resyncSource is a whole disk, except for what is zero now and in the chain.
type resyncSource struct {
	exportSource
	known *format.Image
}

func (s resyncSource) Extents(ctx context.Context, offset, length int64) ([]Extent, error) {
	all, err := s.exportSource.Extents(ctx, offset, length)
	if err != nil {
		return nil, err
	}
	var news []Extent
	for _, e := range all {
		if e.Zero {
			news = appendNewZeroes(news, e, s.known)
		} else {
			news = append(news, e)
		}
	}
	return news, nil
}

// appendNewZeroes appends the grains of e, which is zero, that are not known to
// be. A part by which the disk has grown is covered completely.
func appendNewZeroes(all []Extent, e Extent, known *format.Image) []Extent {
	end := e.Offset + e.Length
	at := e.Offset // where the next extent may begin
	add := func(from, to int64) {
		from, to = max(at, from-from%format.Grain), min(end, roundUp(to))
		if from >= to { // added with the range before
			return
		}
		if n := len(all); n > 0 && all[n-1].Zero && all[n-1].Offset+all[n-1].Length == from {
			all[n-1].Length += to - from
		} else {
			all = append(all, Extent{Offset: from, Length: to - from, Zero: true})
		}
		at = to
	}
	for x := range known.Extents(e.Offset, e.Length) {
		if !x.Zero {
			add(x.Offset, x.End())
		}
	}
	if known.Size() < end {
		add(max(known.Size(), e.Offset), end)
	}
	return all
}

func roundUp(n int64) int64 { return (n + format.Grain - 1) / format.Grain * format.Grain }

// resyncSink lets those grains pass that the chain does not have.
type resyncSink struct {
	Sink
	known *format.Image
}

func (s resyncSink) Data(offset int64, data []byte) error {
	from := 0 // start of a run of grains that differ
	pass := func(to int) error {
		if from == to {
			return nil
		}
		return s.Sink.Data(offset+int64(from), data[from:to])
	}
	for at := 0; at < len(data); at += format.Grain {
		end := min(at+format.Grain, len(data))
		same, err := s.same(offset+int64(at), data[at:end])
		if err != nil {
			return err
		}
		if !same {
			continue
		}
		if err := pass(at); err != nil {
			return err
		}
		from = end
	}
	return pass(len(data))
}

// same says whether the chain has this grain. What was or is the ragged end of a
// disk whose size has changed cannot be compared, nor what lies beyond.
func (s resyncSink) same(offset int64, grain []byte) (bool, error) {
	if offset+int64(len(grain)) != min(offset+format.Grain, s.known.Size()) {
		return false, nil
	}
	return s.known.Same(offset, grain)
}
