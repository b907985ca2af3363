package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// merging is one merge of neighbours in a chain, up to the commit.
type merging struct {
	*instance
	chain Chain
	id    string        // in the names of the new files
	gone  []store.Point // oldest first
	into  store.Point
}

// merge makes a run of points and the one that builds on them one point, which
// keeps the identity of the latter. It writes new files, and compares what they
// show with what the old ones show, before it commits; only then the old ones go.
// store.ErrInUse: it is done, but a reader keeps the old files from going.
func (x *instance) merge(ctx context.Context, p *plan.Merge) error {
	before := x.attempt
	if x.attempt == nil { // so that finish removes what a merge that fails leaves
		record := x.self()
		x.attempt = &record
	}
	m, err := x.merged(ctx, p)
	if err != nil {
		return err
	}
	if err := x.keepUnread(ctx, p); err != nil {
		return err
	}
	if err := x.folder.Commit(ctx, m); errors.Is(err, store.ErrUncertain) {
		return &hintError{err, "the next vbk apply finds out, and loses nothing either way"}
	} else if err != nil {
		return err
	}
	err = x.folder.Trim(ctx, p.Chain)
	if err == nil || errors.Is(err, store.ErrInUse) {
		x.attempt = before
	}
	return err
}

// merged writes the files of the merged point, and returns the manifest that
// makes it the truth.
func (x *instance) merged(ctx context.Context, p *plan.Merge) (m store.Manifest, err error) {
	c, err := x.store.OpenChain(x.name, p.Chain)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	id, err := store.NewID(x.Random)
	if err != nil {
		return m, err
	}
	a := &merging{instance: x, chain: c, id: id}
	if err := a.choose(p); err != nil {
		return m, err
	}
	probes := map[string][]format.Entry{}
	for n, d := range a.into.Disks {
		if d.Base { // nothing of the older points shows through
			continue
		}
		disk, check, err := a.disk(ctx, d)
		if err != nil {
			return m, fmt.Errorf("disk %s: %w", d.Target, err)
		}
		a.into.Disks[n], probes[d.Target] = disk, check
	}
	m = a.manifest()
	for target, entries := range probes {
		if err := a.verify(ctx, m, target, entries); err != nil {
			return m, fmt.Errorf("disk %s: what was merged is not what it was made from, and nothing is changed: %w", target, err)
		}
	}
	return m, nil
}

// choose finds the points, and refuses what is no run of neighbours.
func (a *merging) choose(p *plan.Merge) error {
	m := a.chain.Manifest()
	last := slices.IndexFunc(m.Points, func(point store.Point) bool { return point.Sequence == p.Into })
	if m.Stream != store.V3 {
		return fmt.Errorf("chain %s has files of stream %q, which cannot be merged", m.Chain, m.Stream)
	}
	if last < len(p.Gone) || len(p.Gone) == 0 {
		return &StaleError{fmt.Sprintf("chain %s has no points %v before a point %d", m.Chain, p.Gone, p.Into)}
	}
	points := m.Points[last-len(p.Gone) : last+1]
	for i, point := range points {
		switch {
		case i < len(p.Gone) && point.Sequence != p.Gone[i], i > 0 && point.Parent != points[i-1].Sequence:
			return &StaleError{fmt.Sprintf("points %v and %d of chain %s do not follow one another", p.Gone, p.Into, m.Chain)}
		case i < len(p.Attempts) && p.Attempts[i] != "" && p.Attempts[i] != point.Attempt:
			return &StaleError{fmt.Sprintf("point %d of chain %s is not the one that was reviewed", point.Sequence, m.Chain)}
		case i < len(p.Gone) && point.Protected.Holds(a.Now()):
			return fmt.Errorf("point %s.%d is protected by %s: %s", m.Chain, point.Sequence, point.Protected.By, point.Protected.Why)
		}
	}
	for _, point := range m.Points[last+1:] {
		if slices.Contains(p.Gone, point.Parent) {
			return fmt.Errorf("point %s.%d builds on point %d, which is to go", m.Chain, point.Sequence, point.Parent)
		}
	}
	a.gone, a.into = points[:len(p.Gone)], points[len(p.Gone)]
	a.into.Disks = slices.Clone(a.into.Disks)
	return nil
}

// manifest is the chain's without the points that go.
func (a *merging) manifest() store.Manifest {
	m := a.chain.Manifest()
	m.Number++
	m.Written, m.Version = a.Now().UTC(), a.Version
	a.into.Parent = a.gone[0].Parent
	if a.into.Parent < 0 {
		a.into.Kind = store.Full
	}
	for _, p := range a.gone {
		a.into.Merged += 1 + p.Merged
	}
	first := slices.IndexFunc(m.Points, func(p store.Point) bool { return p.Sequence == a.gone[0].Sequence })
	m.Points = slices.Concat(m.Points[:first], []store.Point{a.into}, m.Points[first+len(a.gone)+1:])
	return m
}

// disk writes the merged file of a disk. Some of its chunks are to be read back.
func (a *merging) disk(ctx context.Context, d store.PointDisk) (_ store.PointDisk, probes []format.Entry, err error) {
	var open chainFiles
	defer func() { err = errors.Join(err, open.Close()) }()
	all, err := layers(a.chain.Manifest(), a.into.Sequence, d.Target)
	if err != nil {
		return d, nil, err
	}
	var files []format.Named
	for _, l := range all {
		if l.point.Sequence < a.gone[0].Sequence {
			continue
		}
		file, closer, err := openV3(a.chain, l.PointDisk)
		if err != nil {
			return d, nil, err
		}
		open, files = append(open, closer), append(files, format.Named{Name: l.File, File: file})
		if err := isSound(ctx, file); err != nil {
			return d, nil, fmt.Errorf("%s: %w", l.File, err)
		}
		d.Base = d.Base || l.Base
	}
	d.File = store.DataFileName(d.Target, d.Base, a.into.Sequence, a.id)
	merged, err := a.write(ctx, d.File, files)
	if err != nil {
		return d, nil, err
	}
	d.FileSize, d.Data, d.Stored, d.Shares = merged.FileSize, merged.Data, merged.Stored, nil
	d.FooterHash = fmt.Sprintf("%016x", merged.FooterHash)
	for _, s := range merged.Slots {
		d.Shares = append(d.Shares, s.Name)
	}
	return d, merged.Probes, nil
}

// write makes a durable file of what others show.
func (a *merging) write(ctx context.Context, name string, files []format.Named) (_ format.Merged, err error) {
	chain := a.chain.Manifest().Chain
	out, err := a.newFile(ctx, chain, name, func() {})
	if err != nil {
		return format.Merged{}, err
	}
	o := format.MergeOptions{Version: a.Version}
	if a.folder.CanShare(chain, files[0].Name) {
		o.Share = out.Share
	}
	merged, err := format.Merge(ctx, out, files, o)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return merged, err
}

// isSound checks the structure of a file: no chunk is read.
func isSound(ctx context.Context, f *format.File) error {
	var first error
	err := f.Check(ctx, false, func(d format.Damage) {
		if first == nil {
			first = damaged(cmp.Or(d.Unread, errors.New(d.String())))
		}
	})
	return errors.Join(err, first)
}

// verify wants the disk to be the same before and after, extent by extent; the
// new file to be sound; and what was moved for it to be there.
func (a *merging) verify(ctx context.Context, m store.Manifest, target string, probes []format.Entry) (err error) {
	now, err := layers(m, a.into.Sequence, target)
	if err != nil {
		return err
	}
	file, closer, err := openV3(a.chain, now[len(now)-1].PointDisk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	if err := isSound(ctx, file); err != nil {
		return err
	}
	if err := file.CheckStored(ctx, probes); err != nil {
		return err
	}
	old, err := OpenDisk(a.chain, a.into.Sequence, target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	merged, err := openLayers(a.chain, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, merged.Close()) }()
	return format.SameMapping(old.Image, merged.Image)
}
