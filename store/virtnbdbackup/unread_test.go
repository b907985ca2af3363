package virtnbdbackup

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"vbk/format"
)

// unreadable lets one read of a folder fail, as a disk or the way to it does.
type unreadable struct {
	fs.FS
	at, count int
}

func (u *unreadable) read() error {
	if u.count++; u.count == u.at {
		return syscall.EIO
	}
	return nil
}

func (u *unreadable) Open(name string) (fs.File, error) {
	if strings.HasPrefix(name, "checkpoints/") || strings.HasSuffix(name, ".qcow.json") { // when and from what a point was made need not be known
		return u.FS.Open(name)
	}
	if err := u.read(); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := u.FS.Open(name)
	if d, ok := f.(fs.ReadDirFile); ok {
		return d, err
	}
	if err != nil {
		return nil, err
	}
	return &unreadableFile{f, u}, nil
}

type unreadableFile struct {
	fs.File
	u *unreadable
}

func (f *unreadableFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.u.read(); err != nil {
		return 0, err
	}
	return f.File.(io.ReaderAt).ReadAt(p, off)
}

func (f *unreadableFile) Read(p []byte) (int, error) {
	if err := f.u.read(); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

// TestUnreadIsNoDamage: whichever read of a folder fails, a check says that, and calls
// nothing damaged.
func TestUnreadIsNoDamage(t *testing.T) {
	folders := fixtures(t)
	for _, name := range []string{"v2-lz4-2.47", "v2-plain-1.9.15"} {
		tree, ok := folders[name]
		if !ok {
			t.Fatalf("no fixture %s", name)
		}
		for at, fired := 1, true; fired; at++ {
			fsys := &unreadable{FS: tree, at: at}
			var found []Problem
			f, err := Open(fsys)
			if err == nil {
				err = f.Check(context.Background(), true, func(p Problem) { found = append(found, p) })
			}
			fired = fsys.count >= at
			if err != nil && !format.IsUnread(err) || (err != nil || len(found) > 0) != fired {
				t.Fatalf("%s, read %d: %v, found %+v", name, at, err, found)
			}
			for _, p := range found {
				if !p.Unread {
					t.Fatalf("%s, read %d: found %+v", name, at, p)
				}
			}
			if err != nil {
				continue
			}
			for _, p := range f.Points {
				for _, d := range p.Disks {
					_, err := f.OpenDisk(p.Name, d.Target)
					if in := new(UnsoundError); errors.As(err, &in) && !in.Problem.Unread {
						t.Fatalf("%s, read %d: %v", name, at, err)
					}
				}
			}
		}
	}
}
