package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"vbk/format"
	"vbk/store"
)

// Restoration says what is to be brought back, and where to.
type Restoration struct {
	Folder   string // of the domain on the store
	Chain    string
	Sequence int
	Disks    []string // targets; empty: all of the point
	Dir      string   // made if it is absent
	Format   string   // "raw" or "qcow2"
}

// Restored is a file that a restore has written.
type Restored struct {
	Disk string // "" for the domain's XML
	Path string
	Size int64 // virtual size of a disk, bytes
}

// Restore writes disks of a point as DIR/<target>.<format>, and the domain's
// XML beside them. Existing files are never overwritten. Until a disk is
// complete and durable its file ends in .partial, and a failed restore leaves
// nothing else. progress is told the bytes of each piece that is done.
func Restore(ctx context.Context, s Store, r Restoration, progress func(disk string, done, total int64)) ([]Restored, error) {
	chain, err := s.OpenChain(r.Folder, r.Chain)
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	point, err := findPoint(chain.Manifest(), r.Sequence)
	if err != nil {
		return nil, err
	}
	targets, err := chooseDisks(point, r.Disks)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, err
	}
	for _, t := range targets {
		if _, err := os.Lstat(r.path(t)); err == nil {
			return nil, &hintError{fmt.Errorf("%s exists already", r.path(t)), "restore into another folder with -o"}
		}
	}
	var done []Restored
	for _, t := range targets {
		size, err := restoreDisk(ctx, chain, r, t, func(n, total int64) { progress(t, n, total) })
		if err != nil {
			return done, fmt.Errorf("restore disk %s: %w", t, err)
		}
		done = append(done, Restored{t, r.path(t), size})
	}
	xml, err := restoreXML(chain, point, r.Dir)
	if err != nil {
		return done, err
	}
	return append(done, xml), syncDir(r.Dir)
}

func (r Restoration) path(target string) string { return filepath.Join(r.Dir, target+"."+r.Format) }

func findPoint(m store.Manifest, sequence int) (store.Point, error) {
	for _, p := range m.Points {
		if p.Sequence == sequence {
			return p, nil
		}
	}
	return store.Point{}, fmt.Errorf("chain %s has no point %d", m.Chain, sequence)
}

func chooseDisks(p store.Point, wanted []string) ([]string, error) {
	var all []string
	for _, d := range p.Disks {
		all = append(all, d.Target)
	}
	if len(wanted) == 0 {
		return all, nil
	}
	for _, w := range wanted {
		if !slices.Contains(all, w) {
			return nil, fmt.Errorf("the point has no disk %s, only %v", w, all)
		}
	}
	return wanted, nil
}

func restoreDisk(ctx context.Context, chain Chain, r Restoration, disk string, progress func(done, total int64)) (int64, error) {
	image, err := OpenDisk(chain, r.Sequence, disk)
	if err != nil {
		return 0, err
	}
	defer image.Close()
	partial := r.path(disk) + ".partial"
	t, err := r.open(ctx, partial, image.Size())
	if err != nil {
		return 0, err
	}
	if err := fill(ctx, t, image.Image, progress); err != nil {
		t.abandon()
		return 0, err
	}
	if err := t.finish(); err != nil {
		return 0, err
	}
	// A link instead of a rename: it never replaces what has appeared meanwhile.
	if err := os.Link(partial, r.path(disk)); err != nil {
		return 0, err
	}
	return image.Size(), os.Remove(partial)
}

func (r Restoration) open(ctx context.Context, path string, size int64) (target, error) {
	switch r.Format {
	case "raw":
		return newRawTarget(path, size)
	case "qcow2":
		return newQcow2Target(ctx, path, size)
	}
	return nil, fmt.Errorf("unknown format %q: raw or qcow2", r.Format)
}

func fill(ctx context.Context, t target, image *format.Image, progress func(done, total int64)) error {
	source := imageSource{image}
	extents, err := source.Extents(ctx, 0, image.Size())
	if err != nil {
		return err
	}
	var total int64
	for _, e := range extents {
		total += e.Length
	}
	var done counter
	return Copy(ctx, t, source, func(bytes int64) { progress(done.add(bytes), total) })
}

// restoreXML writes the domain's definition as it was at the point.
func restoreXML(chain Chain, p store.Point, dir string) (Restored, error) {
	name := store.ExtraFileName(p.Sequence, p.Attempt, "domain.xml")
	f, err := chain.Open(name)
	if err != nil {
		return Restored{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return Restored{}, err
	}
	path := filepath.Join(dir, "domain.xml")
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Restored{}, err
	}
	_, err = out.Write(text)
	return Restored{Path: path, Size: int64(len(text))}, errors.Join(err, out.Sync(), out.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
