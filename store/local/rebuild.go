package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"vbk/store"
)

// LeftOut are files of a chain that a rebuilt manifest does not list. They are
// set aside: their names begin with "left-out~" now, so that nothing deletes them.
type LeftOut struct {
	Files []string // their names before
	Why   string
}

const setAside = "left-out~" // no name of a point's file has a tilde

// Lost names the chains that have no manifest, or whose newest cannot be read.
func (f *Folder) Lost() ([]string, error) {
	names, err := f.s.chainNames(f.name)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", f.name, err)
	}
	var lost []string
	for _, name := range names {
		v, err := f.s.view(f.name, name)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", f.name, err)
		}
		if v.stuck || v.manifest.Number == 0 {
			lost = append(lost, name)
		}
	}
	return lost, nil
}

// errNothingLost is what Rebuild says of a chain whose newest manifest can be read.
var errNothingLost = errors.New("its newest manifest can be read: there is nothing to rebuild")

// Rebuild commits a manifest of a chain that has lost its newest one, from the
// headers of its files and the manifests that can still be read. A point is listed
// if all its files are there, whole as far as their structure tells, and it
// builds on a listed one; of two attempts at one point, if only one is so. What a
// header does not tell, such as protection, is lost with the manifest.
func (f *Folder) Rebuild(ctx context.Context, chain string, now time.Time, version string) (store.Manifest, []LeftOut, error) {
	m, left, err := f.rebuild(ctx, chain, now, version)
	if err != nil {
		return m, left, fmt.Errorf("rebuild the manifest of %s/%s: %w", f.name, chain, err)
	}
	return m, left, nil
}

func (f *Folder) rebuild(ctx context.Context, chain string, now time.Time, version string) (m store.Manifest, left []LeftOut, err error) {
	if !store.IsChainName(chain) {
		return m, nil, errors.New("not the name of a chain")
	}
	if err := f.held(); err != nil {
		return m, nil, err
	}
	v, err := f.s.view(f.name, chain)
	if err != nil {
		return m, nil, err
	}
	if v.manifest.Number > 0 && !v.stuck {
		return m, nil, errNothingLost
	}
	if v.manifest.Deleted {
		return m, nil, errors.New("it has been released")
	}
	if v.manifest.Stream != store.V3 {
		return m, nil, fmt.Errorf("its files are of stream %q, whose headers do not tell enough", v.manifest.Stream)
	}
	r := &rebuilder{v: v, ctx: ctx, storeID: f.s.ID(), chain: chain}
	if n := v.manifest.Number; n > 0 { // as it is, without what the survey says of the chain
		if r.known, err = readManifest(v.fsys, v.dir, n); err != nil {
			return m, nil, err
		}
	}
	points, err := r.points()
	if err != nil {
		return m, r.left, err
	}
	if len(points) == 0 {
		return m, r.left, errors.New("no point of it has all its files")
	}
	if m, err = f.rebuilt(ctx, r, points); err != nil {
		return m, r.left, err
	}
	m.Written, m.Version = now.UTC(), version
	return m, r.left, f.recommit(ctx, v, m, r.left)
}

// rebuilt is the manifest with these points.
func (f *Folder) rebuilt(ctx context.Context, r *rebuilder, points []store.Point) (store.Manifest, error) {
	d, err := f.s.Domain(ctx, f.name)
	if err != nil {
		return store.Manifest{}, err
	}
	m := r.known
	m.FormatVersion, m.StoreID, m.Chain, m.Points = store.FormatVersion, r.storeID, r.chain, points
	m.UUID, m.HashKey, m.Domain = r.like.UUID, r.like.HashKey, r.like.Domain
	m.Number = 1
	if n := len(r.v.numbers); n > 0 {
		m.Number = r.v.numbers[n-1] + 1
	}
	for _, c := range d.Chains {
		if other := c.Manifest.UUID; other != "" && other != m.UUID {
			return m, fmt.Errorf("its files are of domain %s, and chain %s of %s", m.UUID, c.Name, other)
		}
		if m.Owner.Address == "" {
			m.Owner = c.Manifest.Owner
		}
	}
	if m.ChainNumber == 0 {
		m.ChainNumber, err = numberBetween(d.Chains, r.chain)
	}
	return m, err
}

// numberBetween is a chain number for a chain that has lost its own: names begin
// with a time, so it is one between those of its neighbours.
func numberBetween(chains []store.Chain, name string) (int, error) {
	before, after := 0, 0
	for _, c := range chains {
		n := c.Manifest.ChainNumber
		if n > 0 && c.Name < name {
			before = max(before, n)
		}
		if n > 0 && c.Name > name && (after == 0 || n < after) {
			after = n
		}
	}
	if after > 0 && before+1 >= after {
		return 0, fmt.Errorf("its place among the other chains cannot be known: it would be between number %d and %d", before, after)
	}
	return before + 1, nil
}

// recommit sets aside what is left out, makes the rest durable, and publishes m.
func (f *Folder) recommit(ctx context.Context, v *view, m store.Manifest, left []LeftOut) error {
	needed := map[string]bool{}
	for _, p := range m.Points {
		for _, file := range pointFiles(p) {
			needed[file.name] = true
		}
		for _, d := range p.Disks {
			for _, name := range d.Shares {
				needed[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if _, err := f.syncAdopted(v.dir, name); err != nil {
			return err
		}
	}
	for _, l := range left {
		for _, name := range l.Files {
			if needed[name] { // for its chunks
				continue
			}
			if err := f.setAside(v.dir, name); err != nil {
				return err
			}
		}
	}
	return f.supersede(ctx, v, m)
}

// setAside renames a file to what no vbk calls its own.
func (f *Folder) setAside(dir, name string) error {
	if err := f.s.fsys.Link(path.Join(dir, name), path.Join(dir, setAside+name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.s.fsys.Remove(path.Join(dir, name))
}
