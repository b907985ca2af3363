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
	// Extra is another file that the definition needs, "nvram", "kernel" or
	// "initrd"; nil if none is stored.
	Extra(what string) ([]byte, error)
}

// Restoration says what is to be brought back, and where to.
type Restoration struct {
	Disks  []string // targets; empty: all of the point
	Dir    string   // made if it is absent
	Format string   // "raw" or "qcow2"
	Enter  bool     // another user, QEMU's, may enter Dir if it is made

	Preallocate bool // disks take all their space at once
	Resume      bool // a .partial that a killed restore left is completed, and left if that fails
}

// Restored is a file that a restore has written.
type Restored struct {
	Disk string // "" for the domain's XML
	Path string
	Size int64 // virtual size of a disk, bytes
}

// Restore writes disks of a point as DIR/<target>.<format>, and what the point has
// besides, beside them: the domain's XML as domain.xml, nvram, kernel and initrd.
// Existing files are never overwritten; of these, one that is the same may be there. Until a file is complete and durable
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
	mode := os.FileMode(0o700)
	if r.Enter {
		mode = 0o711
	}
	if err := os.MkdirAll(r.Dir, mode); err != nil {
		return nil, err
	}
	rest, damage := r.besides(p)
	if err := r.checkFree(targets, rest); err != nil {
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
	for _, f := range rest {
		if err := f.write(); err != nil {
			return done, errors.Join(err, damage)
		}
		done = append(done, Restored{Path: f.path, Size: int64(len(f.data))})
	}
	return done, errors.Join(damage, syncDir(r.Dir))
}

func (r Restoration) path(target string) string { return filepath.Join(r.Dir, target+"."+r.Format) }

// besideFile is a small file beside the disks.
type besideFile struct {
	path string
	data []byte
}

// extraNames are what RestorePoint.Extra has, which are the files' names, too.
var extraNames = []string{"nvram", "kernel", "initrd", tpmFile}

// besides are the files that the point has besides its disks, and why others of
// them cannot be read.
func (r Restoration) besides(p RestorePoint) (files []besideFile, damage error) {
	add := func(name string, data []byte, err error) {
		damage = errors.Join(damage, err)
		if err == nil && data != nil {
			files = append(files, besideFile{filepath.Join(r.Dir, name), data})
		}
	}
	data, err := p.XML()
	add("domain.xml", data, err)
	for _, name := range extraNames {
		data, err := p.Extra(name)
		add(name, data, err)
	}
	return files, damage
}

// checkFree finds out before hours of work that a name is taken.
func (r Restoration) checkFree(targets []string, rest []besideFile) error {
	taken := func(path string) error {
		return &hintError{fmt.Errorf("%s exists already", path), "restore into another folder with -o"}
	}
	for _, t := range targets {
		if _, err := os.Lstat(r.path(t)); err == nil {
			return taken(r.path(t))
		}
	}
	for _, f := range rest {
		found, err := os.ReadFile(f.path)
		if !errors.Is(err, os.ErrNotExist) && !bytes.Equal(found, f.data) {
			return taken(f.path)
		}
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
	return image.Size(), r.writeDisk(r.path(disk), func(f *os.File, fresh bool) error {
		t, err := r.open(f, image, fresh)
		if err != nil {
			return err
		}
		return fill(ctx, t, image.Image, progress)
	})
}

// open opens what a disk is written into. What may hold something already is
// compared.
func (r Restoration) open(f *os.File, image *DiskImage, fresh bool) (target, error) {
	m := fileMedium{f, r.Preallocate}
	var t medium = m
	var err error
	switch r.Format {
	case "raw":
		err = m.resize(image.Size())
	case "qcow2":
		t, err = newQcow2Medium(m, image)
	default:
		err = fmt.Errorf("unknown format %q: raw or qcow2", r.Format)
	}
	if fresh {
		return t, err
	}
	return overwriting{t}, err
}

// writeDisk is writeWhole, or completes what another restore has begun.
func (r Restoration) writeDisk(path string, write func(f *os.File, fresh bool) error) error {
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if !r.Resume || errors.Is(err, os.ErrNotExist) {
		if err == nil {
			_ = f.Close() // writeWhole tells that it is there
		}
		return writeWhole(path, func(f *os.File) error { return write(f, true) })
	}
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("another restore is at work on %s: %w", partial, err), f.Close())
	}
	if err := errors.Join(write(f, false), f.Close()); err != nil {
		return &hintError{err, "what is there stays for another -resume; or remove " + partial}
	}
	return renameNew(partial, path)
}

// writeWhole makes a file that has its name only when it is complete and
// durable: write fills a new file that has another, and syncs it.
func writeWhole(path string, write func(*os.File) error) error {
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return &hintError{err, "another restore is at work there, or one was killed: then -resume completes it, or remove the file"}
	}
	if err != nil {
		return err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil { // -resume keeps away
		err = write(f)
	}
	err = errors.Join(err, f.Close())
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

// fill writes an image into a target and closes that.
func fill(ctx context.Context, t target, image *format.Image, progress func(done, total int64)) error {
	if err := copyImage(ctx, t, image, progress); err != nil {
		t.abandon()
		return err
	}
	return t.finish()
}

func copyImage(ctx context.Context, t target, image *format.Image, progress func(done, total int64)) error {
	var source Source = imageSource{image}
	if _, used := t.(overwriting); used {
		source = wholeSource{imageSource{image}}
	}
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

func (b besideFile) write() error {
	if _, err := os.Lstat(b.path); err == nil { // the same, by checkFree
		return nil
	}
	return writeSmall(b.path, b.data)
}

func writeSmall(path string, data []byte) error {
	return writeWhole(path, func(f *os.File) error {
		_, err := f.Write(data)
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
