package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"vbk/store"
)

// Release deletes a whole chain. It commits a manifest without points, from
// when on the chain does not exist, and then removes the files, newest first. What
// vbk did not make stays, and the folders that hold it.
// While a reader holds the chain they stay as leftovers and the error is
// store.ErrInUse. Releasing a chain that is gone is no error; a damaged chain
// is refused.
func (f *Folder) Release(ctx context.Context, chain string) error {
	if err := f.release(ctx, chain); err != nil {
		return fmt.Errorf("release %s/%s: %w", f.name, chain, err)
	}
	return nil
}

func (f *Folder) release(ctx context.Context, chain string) error {
	if !store.IsChainName(chain) {
		return errors.New("not the name of a chain")
	}
	if err := f.held(); err != nil {
		return err
	}
	v, err := f.s.view(f.name, chain)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if v.listed() {
		m := v.manifest
		m.Number++
		m.Points, m.Deleted = nil, true
		if err := f.commit(ctx, m); err != nil {
			return err
		}
	}
	return f.sweep(ctx, chain, nil)
}

// RemoveLeftovers removes files, and emptied chain folders, that Look reports
// as leftovers now; a path that is gone already is no error. A file of an
// attempt that is still to be committed is a leftover too. store.ErrInUse: a
// reader holds one of the chains, its leftovers stay.
func (f *Folder) RemoveLeftovers(ctx context.Context, paths []string) error {
	if err := f.removeLeftovers(ctx, paths); err != nil {
		return fmt.Errorf("remove leftovers of %s: %w", f.name, err)
	}
	return nil
}

func (f *Folder) removeLeftovers(ctx context.Context, paths []string) error {
	d, err := f.Look(ctx)
	if err != nil {
		return err
	}
	chains := map[string][]string{}
	for _, p := range paths {
		if !slices.Contains(d.Leftovers, p) {
			if err := f.gone(p); err != nil {
				return err
			}
			continue
		}
		chain, name, inside := strings.Cut(p, "/")
		if !inside {
			name = "."
		}
		chains[chain] = append(chains[chain], name)
	}
	for _, chain := range slices.Sorted(maps.Keys(chains)) {
		err = errors.Join(err, f.sweep(ctx, chain, chains[chain]))
	}
	return err
}

// gone refuses a path that exists and is no leftover.
func (f *Folder) gone(p string) error {
	if !fs.ValidPath(p) || p == "." {
		return fmt.Errorf("%q is not a path below the folder", p)
	}
	_, err := f.s.fsys.Stat(path.Join(f.name, p))
	if err == nil {
		return fmt.Errorf("%s is not a leftover", p)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sweep removes leftovers of one chain: those in names, or all of them if
// names is nil or the chain has been released.
func (f *Folder) sweep(ctx context.Context, chain string, names []string) error {
	return f.alone(chain, func() error { return f.removeNamed(ctx, chain, names) })
}

// alone does what no reader of the chain may see. A chain that is gone needs
// nothing.
func (f *Folder) alone(chain string, do func() error) (err error) {
	h, err := f.s.fsys.Open(path.Join(f.name, chain))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := h.Lock(true); errors.Is(err, ErrBusy) {
		return fmt.Errorf("%s: %w", chain, store.ErrInUse)
	} else if err != nil {
		return err
	}
	return do()
}

func (f *Folder) removeNamed(ctx context.Context, chain string, names []string) error {
	v, err := f.twice(ctx, chain)
	if err != nil {
		return err
	}
	victims := slices.DeleteFunc(v.leftovers(), func(name string) bool {
		return names != nil && !v.manifest.Deleted && !slices.Contains(names, name) && !v.isOutdated(name)
	})
	slices.SortFunc(victims, v.removalOrder)
	for i, name := range victims {
		if i > 0 && v.isOutdated(victims[i-1]) && !v.isOutdated(name) {
			if err := syncFolder(f.s.fsys, v.dir); err != nil {
				return err
			}
		}
		if err := f.remove(ctx, v, name); err != nil {
			return err
		}
	}
	dir := v.dir
	if slices.Contains(victims, ".") {
		dir = f.name
	}
	return syncFolder(f.s.fsys, dir)
}

// twice looks at a chain. Manifests of points whose files the newest does not have
// go before those files do; before they go, the newest is committed once more, so
// that one that rots is not the only one.
func (f *Folder) twice(ctx context.Context, chain string) (*view, error) {
	v, err := f.s.view(f.name, chain)
	if err != nil || v.stuck || !v.isOutdated(store.ManifestName(v.manifest.Number-1)) {
		return v, err
	}
	m := v.manifest
	m.Number++
	if err := f.supersede(ctx, v, m); err != nil {
		return nil, err
	}
	return f.s.view(f.name, chain)
}

// remove removes one leftover. The manifest that says that a chain is deleted
// goes when nothing else can come back after a power failure.
func (f *Folder) remove(ctx context.Context, v *view, name string) error {
	if err := errors.Join(ctx.Err(), f.held()); err != nil {
		return err
	}
	if name == store.ManifestName(v.manifest.Number) || name == "." {
		if err := syncFolder(f.s.fsys, v.dir); err != nil {
			return err
		}
	}
	if name == store.VerifiedFolder {
		if err := (book{f.s.fsys, path.Join(v.dir, name)}).clear(); err != nil || len(v.beside) > 0 {
			return err
		}
	}
	err := f.s.fsys.Remove(path.Join(v.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removalOrder is newest to oldest for files of points, then manifests with
// the newest last, then the folder; but manifests that are outdated go first.
func (v *view) removalOrder(a, b string) int {
	rank := func(name string) (class, within int) {
		if n, _ := store.ParseManifestName(name); v.isOutdated(name) {
			return -1, n
		}
		if n, ok := store.ParseManifestName(name); ok {
			return 2, n
		}
		if n, _, ok := store.ParseFileName(name); ok {
			return 0, -n
		}
		if name == "." {
			return 3, 0
		}
		return 1, 0
	}
	classA, withinA := rank(a)
	classB, withinB := rank(b)
	return cmp.Or(cmp.Compare(classA, classB), cmp.Compare(withinA, withinB), cmp.Compare(a, b))
}
