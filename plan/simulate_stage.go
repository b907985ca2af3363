package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"vbk/store"
	"vbk/virt"
)

// stage is the machine and the folder that a simulation plays on. What a plan
// says is done to them as the executor would do it, without a failure.
type stage struct {
	want   Want
	seen   Seen
	o      SimulateOptions
	made   int   // points
	stored int64 // bytes of all points
	peak   int64 // most that stored ever was
}

// newStage copies what a simulation changes.
func newStage(w Want, s Seen, o SimulateOptions) *stage {
	d := s.Domain
	d.Checkpoints = slices.Clone(d.Checkpoints)
	for n := range d.Checkpoints {
		d.Checkpoints[n].Disks = slices.Clone(d.Checkpoints[n].Disks)
	}
	d.State, d.Job, d.Error = virt.Running, nil, ""
	if len(d.Disks) == 0 {
		d.Disks = []virt.Disk{{Target: "vda", Device: "disk", Type: "file", Source: "vda", Format: "qcow2", Size: max(o.Full, 1)}}
	}
	m := &stage{want: w, seen: Seen{Domain: d, Folder: &store.Domain{UUID: w.UUID}}, o: o}
	if s.Folder != nil {
		f := *s.Folder
		f.Locked, f.Attempt, f.Leftovers, f.Chains = false, nil, nil, slices.Clone(f.Chains)
		for n := range f.Chains {
			f.Chains[n].Manifest.Points = slices.Clone(f.Chains[n].Manifest.Points)
		}
		m.seen.Folder = &f
	}
	m.count()
	return m
}

// time lets the machine write until now.
func (m *stage) time(now time.Time) {
	_, head, ok := openChain(m.seen.Folder)
	if !ok {
		return
	}
	for _, c := range m.seen.Domain.Checkpoints {
		if c.Name != head.Checkpoint {
			continue
		}
		disks := c.Disks
		for k := range disks {
			disks[k].Dirty = m.share(disks[k].Target, m.changed(now.Sub(head.Start)))
		}
	}
}

// changed is how many bytes of a full have changed after a time.
func (m *stage) changed(after time.Duration) int64 {
	days := after.Hours() / 24
	return int64(math.Round(float64(m.o.Full) * (1 - math.Pow(1-m.o.Change, max(days, 0)))))
}

// share is a disk's part of the machine's bytes, by size.
func (m *stage) share(target string, bytes int64) int64 {
	var all, its float64
	for _, d := range m.seen.Domain.Disks {
		if removable(d) {
			continue
		}
		all += float64(d.Size)
		if d.Target == target {
			its = float64(d.Size)
		}
	}
	if all == 0 {
		return 0
	}
	return int64(float64(bytes) * its / all)
}

// do does what was decided.
func (m *stage) do(i Instance, now time.Time) {
	for _, a := range i.Actions {
		switch a.Kind {
		case KindCleanup:
			m.cleanup(*a.Cleanup)
		case KindBackup:
			m.backup(*a.Backup, now)
		case KindPrune:
			m.seen.Folder.Chains = slices.DeleteFunc(m.seen.Folder.Chains, func(c store.Chain) bool { return c.Name == a.Prune.Chain })
		case KindMerge:
			m.merge(*a.Merge)
		}
		m.count()
	}
}

func (m *stage) count() {
	m.stored = 0
	for n := range m.seen.Folder.Chains {
		points := m.seen.Folder.Chains[n].Manifest.Points
		for k := range points {
			m.stored += points[k].Stored()
		}
	}
	m.peak = max(m.peak, m.stored)
}

func (m *stage) cleanup(c Cleanup) {
	m.seen.Domain.Job = nil
	m.seen.Folder.Leftovers, m.seen.Folder.Attempt = nil, nil
	m.seen.Domain.Checkpoints = slices.DeleteFunc(m.seen.Domain.Checkpoints, func(v virt.Checkpoint) bool {
		return slices.Contains(c.Checkpoints, v.Name)
	})
}

// backup makes the planned point, and the checkpoint that the next one builds on.
func (m *stage) backup(b Backup, now time.Time) {
	f := m.seen.Folder
	m.made++
	number, doubt := 1, ClockDoubt(&m.want, f, now)
	var since time.Duration
	if last, head, ok := openChain(f); len(f.Chains) > 0 {
		number = last.Manifest.ChainNumber + 1
		if ok {
			since = now.Sub(head.Start)
		}
	}
	if b.Chain == "" {
		name := fmt.Sprintf("%s-%04x", now.UTC().Format("20060102T150405Z"), m.made&0xffff)
		f.Chains = append(f.Chains, store.Chain{Name: name, Manifest: store.Manifest{
			Chain: name, ChainNumber: number, StoreID: m.want.StoreID, UUID: m.want.UUID, Domain: m.want.Domain, Stream: b.Stream,
			HashKey: fmt.Sprintf("%064x", m.made), Owner: store.Owner{Configuration: m.want.Configuration, Address: m.want.Address}}})
	}
	c := &f.Chains[len(f.Chains)-1]
	p := store.Point{Sequence: c.Manifest.Next(), Kind: b.Kind, Parent: b.Head, Attempt: fmt.Sprintf("%08x", m.made), Start: now, End: now.Add(time.Minute), ClockDoubt: doubt}
	checkpoint := virt.Checkpoint{Created: now}
	for _, d := range b.Disks {
		bytes := m.o.Full
		if !d.Base {
			bytes = m.changed(since)
		}
		bytes = m.share(d.Target, bytes)
		p.Disks = append(p.Disks, store.PointDisk{Target: d.Target, Base: d.Base, Size: d.Size, Source: d.Source, Format: d.Format,
			FileSize: bytes, Data: bytes, Stored: bytes})
		if !d.Untracked {
			checkpoint.Disks = append(checkpoint.Disks, virt.CheckpointDisk{Target: d.Target, Health: virt.Sound})
		}
	}
	m.seen.Domain.Checkpoints = nil
	if m.want.Policy.Mode != "full" && len(checkpoint.Disks) > 0 {
		checkpoint.Name = store.CheckpointName(m.want.StoreID, c.Name, p.Attempt, p.Sequence)
		p.Checkpoint = checkpoint.Name
		m.seen.Domain.Checkpoints = []virt.Checkpoint{checkpoint}
	}
	c.Manifest.Number++
	c.Manifest.Points = append(c.Manifest.Points, p)
}

// merge makes one point of several: what they hold between them, overlaps once.
func (m *stage) merge(g Merge) {
	for n := range m.seen.Folder.Chains {
		c := &m.seen.Folder.Chains[n]
		if c.Name != g.Chain {
			continue
		}
		var left []store.Point
		var gone []store.Point
		for _, p := range c.Manifest.Points {
			switch {
			case slices.Contains(g.Gone, p.Sequence):
				gone = append(gone, p)
				continue
			case p.Sequence == g.Into && len(gone) > 0:
				p = m.merged(gone, p)
			}
			left = append(left, p)
		}
		c.Manifest.Points = left
		c.Manifest.Number++
	}
}

func (m *stage) merged(gone []store.Point, into store.Point) store.Point {
	into.Parent = gone[0].Parent
	into.Merged += len(gone)
	if gone[0].Kind == store.Full {
		into.Kind = store.Full
	}
	into.Disks = slices.Clone(into.Disks)
	for n := range into.Disks {
		d := &into.Disks[n]
		whole := float64(max(m.share(d.Target, m.o.Full), 1))
		same := 1 - min(float64(d.FileSize)/whole, 1)
		for _, p := range gone {
			old, _ := p.Disk(d.Target)
			d.Base = d.Base || old.Base
			same *= 1 - min(float64(old.FileSize)/whole, 1)
		}
		d.FileSize = max(int64(math.Round(whole*(1-same))), d.FileSize)
		d.Data, d.Stored = d.FileSize, d.FileSize
	}
	return into
}
