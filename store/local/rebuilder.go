package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"vbk/format"
	"vbk/store"
)

// rebuilder makes points of the files in a chain's folder.
type rebuilder struct {
	v       *view
	ctx     context.Context
	storeID string
	chain   string
	known   store.Manifest // the newest that can be read; zero if there is none
	like    format.Header  // a header with the identity of the chain
	files   []found
	left    []LeftOut
	unread  error // what could not be read, so that nothing can be said of the rest
}

// found is a v3 file whose structure is sound.
type found struct {
	name     string
	sequence int
	header   format.Header
	sum      format.Summary
}

func (r *rebuilder) leave(why string, files ...string) {
	r.left = append(r.left, LeftOut{Files: files, Why: why})
}

// why says why a file is left out. One that cannot be read is not: nothing is.
func (r *rebuilder) why(err error) string {
	if format.IsUnread(err) {
		r.unread = errors.Join(r.unread, err)
	}
	return err.Error()
}

func (r *rebuilder) points() ([]store.Point, error) {
	if err := r.read(); err != nil {
		return nil, err
	}
	var points []store.Point
	at := map[int]store.Point{}
	attempts := r.complete()
	for _, sequence := range slices.Sorted(maps.Keys(attempts)) {
		some := attempts[sequence]
		if len(some) > 1 {
			for _, a := range some {
				r.leave(fmt.Sprintf("there are several complete attempts at point %d, and nothing tells which counts", sequence), a.names()...)
			}
			continue
		}
		p, why := r.point(sequence, some[0], at)
		if why != "" {
			r.leave(why, some[0].names()...)
			continue
		}
		at[sequence] = p
		points = append(points, p)
	}
	r.leaveExtras(points)
	return points, errors.Join(r.unread, r.ctx.Err())
}

// read opens every v3 file of the folder.
func (r *rebuilder) read() error {
	for _, name := range slices.Sorted(maps.Keys(r.v.entries)) {
		sequence, _, ok := store.ParseFileName(name)
		if !ok || !strings.HasSuffix(name, ".v3") {
			continue
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		h, sum, err := r.open(name, false)
		if err == nil {
			err = r.belongs(sequence, h)
		}
		if err != nil {
			r.leave(r.why(err), name)
			continue
		}
		r.files = append(r.files, found{name, sequence, h, sum})
	}
	return r.dropPunched()
}

// open reads the structure of a file, and with all every byte.
func (r *rebuilder) open(name string, all bool) (h format.Header, sum format.Summary, err error) {
	var opened []io.Closer
	defer func() {
		for _, c := range opened {
			err = errors.Join(err, c.Close())
		}
	}()
	open := func(name string) (io.ReaderAt, int64, error) {
		src, err := openSource(r.v.fsys, r.v.dir, name)
		if err != nil {
			return nil, 0, err
		}
		opened = append(opened, src)
		return src, src.Size(), nil
	}
	src, size, err := open(name)
	if err != nil {
		return h, sum, err
	}
	file, err := format.OpenWith(src, size, open)
	if err != nil {
		return h, sum, err
	}
	damaged := file.Check(r.ctx, all, func(d format.Damage) {
		if err == nil {
			err = cmp.Or(d.Unread, errors.New(d.String()))
		}
	})
	return file.Header(), file.Summary(), errors.Join(err, damaged)
}

// belongs says why a file with this header is not of this chain.
func (r *rebuilder) belongs(sequence int, h format.Header) error {
	switch {
	case h.StoreID != r.storeID || h.Chain != r.chain:
		return fmt.Errorf("it belongs to chain %s of store %s", h.Chain, h.StoreID)
	case h.Sequence != sequence:
		return fmt.Errorf("its header is of point %d", h.Sequence)
	}
	if r.like.UUID == "" {
		r.like = h
		if r.known.Number > 0 {
			r.like.UUID, r.like.HashKey = r.known.UUID, r.known.HashKey
		}
	}
	if h.UUID != r.like.UUID || h.HashKey != r.like.HashKey {
		return fmt.Errorf("it is of domain %s, or has another hash key, than the others", h.UUID)
	}
	r.like.Domain = h.Domain // of the newest
	return nil
}

// dropPunched leaves out files of which others hold the points and name chunks:
// what those do not need may have been punched out.
func (r *rebuilder) dropPunched() error {
	named := map[string]bool{}
	for _, x := range r.files {
		for _, s := range x.header.Files {
			named[s.Name] = true
		}
	}
	r.files = slices.DeleteFunc(r.files, func(x found) bool {
		if !named[x.name] {
			return false
		}
		_, _, err := r.open(x.name, true)
		if err != nil {
			_ = r.why(err)
		}
		return err != nil // it stays where it is, as it is needed
	})
	return r.ctx.Err()
}

// try is an attempt at a point: its file of each disk.
type try struct {
	attempt string
	disks   map[string]found
}

func (t try) names() (names []string) {
	for _, x := range t.disks {
		names = append(names, x.name)
	}
	slices.Sort(names)
	return names
}

// complete groups the files by the attempt that wrote them, and leaves out the
// attempts of which a file is not there. Of two files for a disk the one counts
// that covers more: a merge wrote it last.
func (r *rebuilder) complete() map[int][]try {
	type key struct {
		sequence int
		attempt  string
	}
	tries := map[key]try{}
	for _, x := range r.files {
		k := key{x.sequence, x.header.Attempt}
		if tries[k].disks == nil {
			tries[k] = try{x.header.Attempt, map[string]found{}}
		}
		other, twice := tries[k].disks[x.header.Disk]
		if twice && other.header.Covers[0] < x.header.Covers[0] {
			x, other = other, x
		}
		if twice {
			r.leave("another file holds the same disk of that point", other.name)
		}
		tries[k].disks[x.header.Disk] = x
	}
	whole := map[int][]try{}
	for k, t := range tries {
		if missing := t.missing(); missing != "" {
			r.leave(fmt.Sprintf("point %d, attempt %s: there is no whole file of disk %s", k.sequence, k.attempt, missing), t.names()...)
			continue
		}
		whole[k.sequence] = append(whole[k.sequence], t)
	}
	for _, some := range whole {
		slices.SortFunc(some, func(a, b try) int { return strings.Compare(a.attempt, b.attempt) })
	}
	slices.SortFunc(r.left, func(a, b LeftOut) int { return slices.Compare(a.Files, b.Files) })
	return whole
}

// missing is a disk that the headers name, and of which there is no file.
func (t try) missing() string {
	for _, x := range t.disks {
		for _, target := range x.header.Disks {
			if _, ok := t.disks[target]; !ok {
				return target
			}
		}
	}
	return ""
}

// point is the point that an attempt made, or why it cannot be listed.
func (r *rebuilder) point(sequence int, t try, at map[int]store.Point) (p store.Point, why string) {
	p = store.Point{Sequence: sequence, Attempt: t.attempt, Kind: store.Full, Parent: -1,
		Checkpoint: store.CheckpointName(r.storeID, r.chain, t.attempt, sequence), Reason: "rebuilt from the headers of its files"}
	for _, target := range slices.Sorted(maps.Keys(t.disks)) {
		x := t.disks[target]
		h := x.header
		p.Disks = append(p.Disks, x.disk())
		p.Start, p.End, p.Version = h.Time.UTC(), h.Time.UTC(), h.Version
		p.Merged = max(p.Merged, h.Covers[1]-h.Covers[0])
		if h.Base {
			continue
		}
		on := h.Covers[0] - 1
		if parent, ok := at[on]; !ok {
			return p, fmt.Sprintf("it builds on point %d, which is not there", on)
		} else if _, ok := parent.Disk(target); !ok {
			return p, fmt.Sprintf("it builds on point %d, which has no disk %s", on, target)
		}
		if p.Parent >= 0 && p.Parent != on {
			return p, fmt.Sprintf("its disks build on points %d and %d", p.Parent, on)
		}
		p.Kind, p.Parent = store.Increment, on
	}
	if why := r.addExtras(&p); why != "" {
		return p, why
	}
	return r.remember(p), ""
}

// disk is what a manifest says of the file.
func (x found) disk() store.PointDisk {
	d := store.PointDisk{Target: x.header.Disk, File: x.name, Base: x.header.Base, Size: x.header.Size, Source: x.header.Source,
		FileSize: x.sum.FileSize, Data: x.sum.Data, Stored: x.sum.Stored, FooterHash: fmt.Sprintf("%016x", x.sum.FooterHash)}
	for _, s := range x.header.Files {
		d.Shares = append(d.Shares, s.Name)
	}
	return d
}

// addExtras lists the other files of a point's attempt.
func (r *rebuilder) addExtras(p *store.Point) (why string) {
	for _, name := range slices.Sorted(maps.Keys(r.v.entries)) {
		sequence, attempt, ok := store.ParseFileName(name)
		if !ok || sequence != p.Sequence || attempt != p.Attempt || strings.HasSuffix(name, ".v3") {
			continue
		}
		data, err := readFile(r.v.fsys, path.Join(r.v.dir, name), maxSmallFile)
		if err != nil {
			return fmt.Sprintf("%s: %s", name, r.why(err))
		}
		p.Files = append(p.Files, store.File{Name: name, Size: int64(len(data)), Hash: store.Hash(data)})
	}
	return ""
}

// remember takes over what an older manifest says of the point. The files of
// disks tell better of themselves; of the others it knows what they should hold.
func (r *rebuilder) remember(p store.Point) store.Point {
	i := slices.IndexFunc(r.known.Points, func(k store.Point) bool { return k.Sequence == p.Sequence && k.Attempt == p.Attempt })
	if i < 0 {
		return p
	}
	k := r.known.Points[i]
	for n, d := range p.Disks {
		if old, ok := k.Disk(d.Target); ok {
			p.Disks[n].Format, p.Disks[n].Image = old.Format, old.Image
		}
	}
	if k.Kind == store.Full || p.Kind == store.Full {
		k.Kind = p.Kind
	}
	k.Parent, k.Disks, k.Merged = p.Parent, p.Disks, p.Merged
	k.Files = slices.DeleteFunc(slices.Clone(k.Files), func(f store.File) bool {
		_, there := r.v.entries[f.Name]
		if !there {
			r.leave(fmt.Sprintf("%s of point %d is gone", f.Name, p.Sequence))
		}
		return !there
	})
	return k
}

// leaveExtras leaves out the other files of attempts that are not listed.
func (r *rebuilder) leaveExtras(points []store.Point) {
	for _, name := range slices.Sorted(maps.Keys(r.v.entries)) {
		sequence, attempt, ok := store.ParseFileName(name)
		if ok && !strings.HasSuffix(name, ".v3") && !slices.ContainsFunc(points, func(p store.Point) bool { return p.Sequence == sequence && p.Attempt == attempt }) {
			r.leave("it is of an attempt that made no point", name)
		}
	}
}
