package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"vbk/format"
	"vbk/store"
)

// Trim removes from a chain what its newest manifest does not name, and frees
// what no index names any more in files that live only because others name chunks
// in them. store.ErrInUse: a reader holds the chain, all stays as it is. It can be
// done at any time, and again.
func (f *Folder) Trim(ctx context.Context, chain string) error {
	err := f.held()
	if err == nil {
		err = f.alone(chain, func() error {
			if err := f.removeNamed(ctx, chain, nil); err != nil {
				return err
			}
			return f.punch(ctx, chain)
		})
	}
	if err != nil {
		return fmt.Errorf("trim %s/%s: %w", f.name, chain, err)
	}
	return nil
}

// punch frees what retired files hold for nobody.
func (f *Folder) punch(ctx context.Context, chain string) (err error) {
	v, err := f.s.view(f.name, chain)
	if err != nil || v.stuck {
		return err
	}
	var open sources
	defer func() { err = errors.Join(err, open.Close()) }()
	retired := retiredFiles(v.manifest)
	users := map[string][]*format.File{}
	for _, p := range v.manifest.Points {
		for _, d := range p.Disks {
			if len(d.Shares) == 0 {
				continue
			}
			file, err := open.disk(f.s.fsys, v.dir, d)
			if err != nil {
				return fmt.Errorf("%s: %w", d.File, err)
			}
			for _, name := range d.Shares {
				users[name] = append(users[name], file)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(retired)) {
		if err := errors.Join(ctx.Err(), f.held()); err != nil {
			return err
		}
		unused, err := format.Unused(name, users[name]...)
		if err != nil {
			return err
		}
		if err := f.s.fsys.Punch(v.dir+"/"+name, unused); errors.Is(err, errors.ErrUnsupported) {
			return nil // the space stays in use until the file is copied
		} else if err != nil {
			return err
		}
	}
	return nil
}

// retiredFiles maps the files that live only because others name chunks in them
// to one of the points that need them.
func retiredFiles(m store.Manifest) map[string]store.Point {
	retired := map[string]store.Point{}
	for _, p := range m.Points {
		for _, d := range p.Disks {
			for _, name := range d.Shares {
				retired[name] = p
			}
		}
	}
	for _, p := range m.Points {
		for _, d := range p.Disks {
			delete(retired, d.File)
		}
	}
	return retired
}

// sources are open files of a chain.
type sources struct {
	files []io.Closer
	read  func(bytes int64) // told what is read; may be nil
}

func (s *sources) Close() error {
	var all []error
	for _, c := range s.files {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}

// disk opens the file of a disk with those in which it has chunks. It must be the
// file that the manifest names.
func (s *sources) disk(fsys FS, dir string, d store.PointDisk) (*format.File, error) {
	file, err := s.open(fsys, dir, d.File)
	if err != nil {
		return nil, err
	}
	if found := fmt.Sprintf("%016x", file.Summary().FooterHash); found != d.FooterHash {
		return nil, fmt.Errorf("footer hash is %s, the manifest says %s", found, d.FooterHash)
	}
	return file, nil
}

// heard tells what is read of a source.
func (s *sources) heard(src Source) Source {
	if s.read == nil {
		return src
	}
	return heardSource{src, s.read}
}

type heardSource struct {
	Source
	read func(bytes int64)
}

func (h heardSource) ReadAt(p []byte, offset int64) (int, error) {
	n, err := h.Source.ReadAt(p, offset)
	h.read(int64(n))
	return n, err
}

func (s *sources) open(fsys FS, dir, name string) (*format.File, error) {
	get := func(name string) (io.ReaderAt, int64, error) {
		src, err := openSource(fsys, dir, name)
		if err != nil {
			return nil, 0, err
		}
		s.files = append(s.files, src)
		return s.heard(src), src.Size(), nil
	}
	r, size, err := get(name)
	if err != nil {
		return nil, err
	}
	return format.OpenWith(r, size, get)
}
