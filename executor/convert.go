package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vbk/format"
	"vbk/store"
)

// Conversion says which chain is to get files of another stream or codec.
type Conversion struct {
	Folder, Chain string
	Stream        store.Stream // V3 or VirtNBDBackup
	Options       format.Options
	Self          store.Attempt // host, boot id and pid of this process
	Now           time.Time
	Random        io.Reader
	Version       string
	Progress      func(disk string, done, total int64) // bytes of a disk at a point; called from several goroutines at once
}

// Converted is a chain after a conversion.
type Converted struct {
	Manifest      store.Manifest
	Before, After int64 // bytes of its files
	InUse         bool  // a reader holds the old files; they go with the next run
}

// Convert writes all files of a chain anew, beside the old ones, compares every
// byte of every disk at every point, and only then commits one manifest that
// lists them: until that moment nothing has changed, and from it on the old files
// are leftovers, which it removes. Points stay what they are. It works under the
// folder's lock; what an interrupted run has left in a hypervisor is refused.
func Convert(ctx context.Context, s Store, c Conversion) (done Converted, err error) {
	f, err := s.Lock(ctx, c.Folder, c.Self)
	if err != nil {
		return Converted{}, err
	}
	defer func() { err = errors.Join(err, giveBack(f, err)) }()
	if p := f.Previous(); p != nil && (p.Checkpoint != "" || p.RunFolder != "") {
		return Converted{}, &hintError{errors.New("an interrupted run has left something in its hypervisor"), "vbk apply cleans it up; convert then"}
	}
	x, err := c.begin(ctx, s, f)
	if err != nil {
		return Converted{}, err
	}
	err = x.write(ctx)
	if err == nil {
		err = x.verify(ctx)
	}
	if err = errors.Join(err, x.old.Close()); err == nil {
		err = f.Commit(ctx, x.to)
	}
	if errors.Is(err, store.ErrUncertain) {
		return Converted{}, &hintError{err, "the next vbk apply finds out, and loses nothing either way"}
	}
	tidied := x.tidy(context.WithoutCancel(ctx))
	if err != nil {
		return Converted{}, errors.Join(err, tidied)
	}
	done = Converted{Manifest: x.to, Before: stored(x.from), After: stored(x.to), InUse: errors.Is(tidied, store.ErrInUse)}
	if done.InUse {
		tidied = nil
	}
	return done, tidied
}

func stored(m store.Manifest) (sum int64) {
	for _, p := range m.Points {
		sum += p.Stored()
	}
	return sum
}

// conversion is one at work.
type conversion struct {
	Conversion
	folder Folder
	old    Chain
	from   store.Manifest
	to     store.Manifest // with the points that are written so far
	id     string         // of the attempt
}

// begin finds the chain, records the attempt, and draws what the new files need.
func (c Conversion) begin(ctx context.Context, s Store, f Folder) (*conversion, error) {
	d, err := f.Look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at folder %s: %w", c.Folder, err)
	}
	i := slices.IndexFunc(d.Chains, func(x store.Chain) bool { return x.Name == c.Chain })
	if i < 0 {
		return nil, fmt.Errorf("folder %s has no chain %s", c.Folder, c.Chain)
	}
	x := &conversion{Conversion: c, folder: f, from: d.Chains[i].Manifest}
	if n := len(d.Chains[i].Problems); n > 0 {
		p := d.Chains[i].Problems[0]
		return nil, &DamageError{fmt.Errorf("chain %s is not sound: %s: %s", c.Chain, p.File, p.Detail)}
	}
	if err := x.possible(); err != nil {
		return nil, err
	}
	if x.id, err = store.NewID(c.Random); err != nil {
		return nil, err
	}
	record := c.Self
	record.Domain, record.Chain, record.ID = x.from.UUID, c.Chain, x.id
	if err := f.Record(record); err != nil {
		return nil, err
	}
	if err := x.tidy(ctx); err != nil { // names of an interrupted conversion
		return nil, err
	}
	if err := x.empty(); err != nil {
		return nil, err
	}
	x.old, err = s.OpenChain(c.Folder, c.Chain)
	return x, err
}

// possible says why the chain cannot get such files.
func (x *conversion) possible() error {
	m := x.from
	if x.Stream == m.Stream && x.Stream != store.V3 {
		return &hintError{fmt.Errorf("chain %s has files for virtnbdbackup already", m.Chain), "for another codec convert it to v3, and back"}
	}
	if x.Stream != store.VirtNBDBackup {
		return nil
	}
	m.Stream = x.Stream
	for _, p := range m.Points {
		var targets []string
		for _, d := range p.Disks {
			if err := holds(m, p, d); err != nil {
				return err
			}
			targets = append(targets, d.Target)
		}
		if err := apart(targets); err != nil {
			return fmt.Errorf("point %d: %w", p.Sequence, err)
		}
	}
	return nil
}

// empty is the new manifest without its points.
func (x *conversion) empty() error {
	x.to = x.from
	x.to.Number++
	x.to.Stream, x.to.HashKey, x.to.Points = x.Stream, "", nil
	x.to.Written, x.to.Version = x.Now.UTC(), x.Version
	if x.Stream == store.V3 {
		var key format.Key
		if _, err := io.ReadFull(x.Random, key[:]); err != nil {
			return fmt.Errorf("draw hash key: %w", err)
		}
		x.to.HashKey = key.String()
	}
	return nil
}

// write writes the files of all points, oldest first.
func (x *conversion) write(ctx context.Context) error {
	for _, p := range x.from.Points {
		q, err := x.point(ctx, p)
		if err != nil {
			return fmt.Errorf("point %s.%d: %w", x.Chain, p.Sequence, err)
		}
		x.to.Points = append(x.to.Points, q)
	}
	return nil
}

// point writes the files of a point.
func (x *conversion) point(ctx context.Context, p store.Point) (store.Point, error) {
	q := p
	q.Disks, q.Files = nil, nil
	sums := map[string]bool{}
	for _, d := range p.Disks {
		sums[store.ChecksumFileName(d.File)] = true
		written, err := x.disk(ctx, p, &q, d)
		if err != nil {
			return q, fmt.Errorf("disk %s: %w", d.Target, err)
		}
		q.Disks = append(q.Disks, written)
	}
	config := domainFileName(x.to, p, x.tag(p))
	for _, f := range p.Files {
		switch {
		case sums[f.Name]:
		case x.Stream != store.V3 && f.Name == p.DomainXML() && f.Name != config:
			text, err := x.old.ReadFile(f.Name)
			if err == nil {
				err = x.save(&q, config, text)
			}
			if err != nil {
				return q, err
			}
		default:
			q.Files = append(q.Files, f)
		}
	}
	return q, nil
}

// tag makes the names of new files differ from those of the old ones. Those for
// virtnbdbackup are named by the checkpoint, and there are none yet.
func (x *conversion) tag(p store.Point) string {
	if x.Stream == store.V3 {
		return x.id
	}
	return p.Attempt
}

func (x *conversion) save(p *store.Point, name string, data []byte) error {
	f, err := x.folder.Write(x.Chain, name, data)
	p.Files = append(p.Files, f)
	return err
}

// disk writes the file of a disk at a point: what the old one holds.
func (x *conversion) disk(ctx context.Context, p store.Point, q *store.Point, d store.PointDisk) (_ store.PointDisk, err error) {
	if err := checkSum(ctx, x.old, diskLayer{d, p}); err != nil {
		return d, fmt.Errorf("%s: %w", d.File, err)
	}
	image, err := OpenDisk(x.old, p.Sequence, d.Target)
	if err != nil {
		return d, err
	}
	defer image.Close()
	r := x.recipe(p, q, d)
	var out NewFile
	r.create = func(name string) (NewFile, error) {
		file, err := x.folder.Create(x.Chain, name)
		if err == nil {
			out = file
		}
		return file, err
	}
	defer func() {
		if out == nil {
			return
		}
		if closed := out.Close(); err == nil { // else it says the same again
			err = closed
		}
	}()
	before, _ := r.parent.Disk(d.Target)
	file, err := r.open(ctx, newLayerSource(image.Image, d.Base, before.Size))
	if err != nil {
		return d, err
	}
	var done counter
	name := fmt.Sprintf("%s at point %d", d.Target, p.Sequence)
	if err := Copy(ctx, file.Sink, file.source, func(n int64) { x.Progress(name, done.add(n), d.Data) }); err != nil {
		return d, err
	}
	return file.close()
}

// recipe is what the new file of a disk says besides its content.
func (x *conversion) recipe(p store.Point, q *store.Point, d store.PointDisk) recipe {
	r := recipe{
		chain: x.to, point: p, parent: pointAt(x.from, p.Parent), options: x.Options, version: x.Version, tag: x.tag(p),
		disk: store.PointDisk{Target: d.Target, Base: d.Base, Size: d.Size, Source: d.Source, Format: d.Format,
			Identity: d.Identity, DataState: d.DataState, Image: d.Image},
		write: func(name string, data []byte) error { return x.save(q, name, data) },
	}
	for _, other := range p.Disks {
		r.targets = append(r.targets, other.Target)
	}
	return r
}

// asConverted is the chain as its new manifest lists it.
type asConverted struct {
	Chain
	manifest store.Manifest
}

func (c asConverted) Manifest() store.Manifest { return c.manifest }

// verify compares every disk at every point with what it was.
func (x *conversion) verify(ctx context.Context) error {
	for _, p := range x.to.Points {
		for _, d := range p.Disks {
			if err := x.same(ctx, p.Sequence, d.Target); err != nil {
				return fmt.Errorf("point %s.%d, disk %s, as converted: %w", x.Chain, p.Sequence, d.Target, err)
			}
		}
	}
	return nil
}

func (x *conversion) same(ctx context.Context, sequence int, target string) error {
	want, err := OpenDisk(x.old, sequence, target)
	if err != nil {
		return err
	}
	defer want.Close()
	found, err := OpenDisk(asConverted{x.old, x.to}, sequence, target)
	if err != nil {
		return err
	}
	defer found.Close()
	return wantSame(ctx, found.Image, want.Image)
}

// tidy removes what no manifest of the chain needs: the new files before the
// commit, the old ones after it.
func (x *conversion) tidy(ctx context.Context) error {
	d, err := x.folder.Look(ctx)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(d.Leftovers, func(name string) bool { return !strings.HasPrefix(name, x.Chain+"/") })
	return x.folder.RemoveLeftovers(ctx, left)
}
