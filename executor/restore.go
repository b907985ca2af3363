package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"vbk/format"
	"vbk/store"
)

// RestorePoint is what Restore reads: a ChainPoint, or a point that another
// program wrote.
type RestorePoint interface {
	Targets() []string // of its disks
	OpenDisk(ctx context.Context, target string) (*DiskImage, error)
	XML() ([]byte, error) // the domain's definition; nil if none is stored
}

// Restoration says what is to be brought back, and where to.
type Restoration struct {
	Disks  []string // targets; empty: all of the point
	Dir    string   // made if it is absent
	Format string   // "raw" or "qcow2"
}

// Restored is a file that a restore has written.
type Restored struct {
	Disk string // "" for the domain's XML
	Path string
	Size int64 // virtual size of a disk, bytes
}

// Restore writes disks of a point as DIR/<target>.<format>, and the domain's
// XML, if the point has it, beside them as domain.xml. Existing files are never overwritten; a
// domain.xml that is the same may be there. Until a file is complete and durable
// its name ends in .partial, and a restore that fails removes that one: what is
// returned with the error is whole. progress is told the bytes of each piece
// that is done.
func Restore(ctx context.Context, p RestorePoint, r Restoration, progress func(disk string, done, total int64)) ([]Restored, error) {
	targets, err := chooseDisks(p.Targets(), r.Disks)
	if err != nil {
		return nil, err
	}
	if r.Dir, err = filepath.Abs(r.Dir); err != nil { // QEMU takes "a:b" for something else
		return nil, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return nil, err
	}
	xml, damage := p.XML()
	if err := r.checkFree(targets, xml); err != nil {
		return nil, err
	}
	var done []Restored
	for _, t := range targets {
		size, err := restoreDisk(ctx, p, r, t, func(n, total int64) { progress(t, n, total) })
		if err != nil {
			return done, fmt.Errorf("restore disk %s: %w", t, err)
		}
		done = append(done, Restored{t, r.path(t), size})
	}
	if damage != nil || xml == nil {
		return done, errors.Join(damage, syncDir(r.Dir))
	}
	if err := restoreXML(r.xmlPath(), xml); err != nil {
		return done, err
	}
	return append(done, Restored{Path: r.xmlPath(), Size: int64(len(xml))}), syncDir(r.Dir)
}

func (r Restoration) path(target string) string { return filepath.Join(r.Dir, target+"."+r.Format) }

func (r Restoration) xmlPath() string { return filepath.Join(r.Dir, "domain.xml") }

// checkFree finds out before hours of work that a name is taken.
func (r Restoration) checkFree(targets []string, xml []byte) error {
	taken := func(path string) error {
		return &hintError{fmt.Errorf("%s exists already", path), "restore into another folder with -o"}
	}
	for _, t := range targets {
		if _, err := os.Lstat(r.path(t)); err == nil {
			return taken(r.path(t))
		}
	}
	if xml == nil {
		return nil
	}
	found, err := os.ReadFile(r.xmlPath())
	if !errors.Is(err, os.ErrNotExist) && !bytes.Equal(found, xml) {
		return taken(r.xmlPath())
	}
	return nil
}

func chooseDisks(all, wanted []string) ([]string, error) {
	for _, target := range all {
		if !store.IsPlainFileName(target) { // it becomes the name of a file
			return nil, &DamageError{fmt.Errorf("the point has a disk %q", target)}
		}
	}
	if len(wanted) == 0 {
		return all, nil
	}
	for _, w := range wanted {
		if !slices.Contains(all, w) {
			return nil, fmt.Errorf("the point has no disk %s, only %v", w, all)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(wanted))), nil
}

func restoreDisk(ctx context.Context, p RestorePoint, r Restoration, disk string, progress func(done, total int64)) (size int64, err error) {
	image, err := p.OpenDisk(ctx, disk)
	if err != nil {
		return 0, err
	}
	defer image.Close()
	return image.Size(), writeWhole(r.path(disk), func(f *os.File) error {
		t, err := r.open(ctx, f, image.Size())
		if err != nil {
			return err
		}
		if err := fill(ctx, t, image.Image, progress); err != nil {
			t.abandon()
			return err
		}
		return t.finish()
	})
}

func (r Restoration) open(ctx context.Context, f *os.File, size int64) (target, error) {
	switch r.Format {
	case "raw":
		return newRawTarget(f, size)
	case "qcow2":
		return newQcow2Target(ctx, f.Name(), size)
	}
	return nil, fmt.Errorf("unknown format %q: raw or qcow2", r.Format)
}

// writeWhole makes a file that has its name only when it is complete and
// durable: write fills a new file that has another, and syncs it.
func writeWhole(path string, write func(*os.File) error) error {
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return &hintError{err, "another restore is at work there, or one was killed: then remove the file"}
	}
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err == nil {
		err = renameNew(partial, path)
	}
	if err != nil {
		_ = os.Remove(partial) // it is of no use, and the error says why
	}
	return err
}

// renameNew is a rename that never replaces what has appeared meanwhile.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS { // NFS has only links for this
		if err := os.Link(from, to); err != nil {
			return err
		}
		return os.Remove(from)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
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

func restoreXML(path string, xml []byte) error {
	if _, err := os.Lstat(path); err == nil { // the same, by checkFree
		return nil
	}
	return writeWhole(path, func(f *os.File) error {
		_, err := f.Write(xml)
		return errors.Join(err, f.Sync())
	})
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
