package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"vbk/format"
	"vbk/store"
)

// maxVerification bounds what is read of a verification.
const maxVerification = store.MaxManifest

// VerifyPoint reads every byte of the files that a point of a chain has for itself,
// and returns what is wrong with them. read is told what was read, from several
// goroutines. The error is that it could not be done, as where not all can be read.
func (s *Store) VerifyPoint(ctx context.Context, folder, chain string, sequence int, read func(bytes int64)) (found store.Verified, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("verify point %s.%d of %s: %w", chain, sequence, folder, err)
		}
	}()
	c := &checker{s: s, ctx: ctx, readData: true, read: read}
	r, err := c.open(folder, chain)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := s.view(folder, chain)
	if err != nil {
		return found, err
	}
	n := slices.IndexFunc(v.manifest.Points, func(p store.Point) bool { return p.Sequence == sequence })
	if n < 0 {
		return found, errors.New("no manifest lists it")
	}
	p := v.manifest.Points[n]
	found = store.Verified{Sequence: p.Sequence, Attempt: p.Attempt}
	for _, problem := range v.problems { // what names and sizes tell
		if p.Own(problem.File) {
			found.Problems = append(found.Problems, problem)
		}
	}
	if err := c.point(r, v, p); err != nil {
		return found, err
	}
	if err := errors.Join(c.unreadable...); err != nil {
		return found, err
	}
	for _, f := range c.findings {
		found.Problems = append(found.Problems, f.Problem)
	}
	return found, nil
}

// RecordVerified notes what was found in files of points. It needs no lock of the
// domain's folder: no point depends on it.
func (s *Store) RecordVerified(ctx context.Context, folder, chain, version string, some []store.Verified) error {
	if err := s.recordVerified(ctx, folder, chain, version, some); err != nil {
		return fmt.Errorf("record what was verified of %s/%s: %w", folder, chain, err)
	}
	return nil
}

func (s *Store) recordVerified(ctx context.Context, folder, chain, version string, some []store.Verified) (err error) {
	v, err := s.view(folder, chain)
	if err != nil {
		return err
	}
	if v.manifest.Number == 0 || v.manifest.Deleted {
		return nil // it has gone meanwhile
	}
	dir := path.Join(v.dir, store.VerifiedFolder)
	if err := s.fsys.Mkdir(dir); err == nil {
		err = syncFolder(s.fsys, v.dir)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	h, err := s.fsys.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := waitFor(ctx, h); err != nil {
		return err
	}
	numbers, others, err := s.verifications(dir)
	if err != nil {
		return err
	}
	known, number, err := readVerified(s.fsys, dir, numbers)
	if err != nil {
		return err
	}
	known.FormatVersion, known.Chain, known.Version = store.FormatVersion, chain, version
	known.Update(v.manifest, some)
	data, err := known.Encode()
	if err != nil {
		return err
	}
	return s.replaceVerified(dir, number+1, data, others)
}

// waitFor waits for another who records.
func waitFor(ctx context.Context, h Handle) error {
	for {
		err := h.Lock(true)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// replaceVerified makes a verification the newest, all of it or nothing, and removes
// the others.
func (s *Store) replaceVerified(dir string, number int, data []byte, others []string) error {
	name := path.Join(dir, store.VerifiedName(number))
	temporary := name + temporarySuffix
	if err := s.fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFile(s.fsys, temporary, data); err != nil {
		return err
	}
	if err := s.fsys.Link(temporary, name); err != nil {
		return err
	}
	if err := syncFolder(s.fsys, dir); err != nil {
		return err
	}
	return s.removeAll(dir, append(others, path.Base(temporary)))
}

// verifications lists the numbers in a folder of verifications, falling, and all that
// the folder holds of ours.
func (s *Store) verifications(dir string) (numbers []int, ours []string, err error) {
	entries, err := s.fsys.List(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if n, ok := store.ParseVerifiedName(e.Name); ok {
			numbers = append(numbers, n)
		}
		if isVerification(e.Name) {
			ours = append(ours, e.Name)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	return numbers, ours, nil
}

// isVerification says whether a name is that of a verification, or of one being written.
func isVerification(name string) bool {
	_, ours := store.ParseVerifiedName(strings.TrimSuffix(name, temporarySuffix))
	return ours
}

// readVerified reads the newest that is whole, and returns the highest number.
func readVerified(fsys FS, dir string, numbers []int) (v store.Verification, highest int, err error) {
	for _, n := range numbers {
		highest = max(highest, n)
		data, err := readFile(fsys, path.Join(dir, store.VerifiedName(n)), maxVerification)
		switch {
		case format.IsUnread(err): // an older one may not know of damage
			return v, highest, err
		case err != nil:
			continue
		}
		if v, err = store.DecodeVerification(data); err == nil && v.Chain == path.Base(path.Dir(dir)) {
			return v, highest, nil
		}
	}
	return store.Verification{}, highest, nil
}

// verified adds to a chain when its points were read, and what was found then in
// files that are still theirs. What is damaged itself is as if nobody had looked.
func (s *Store) verified(v *view, c store.Chain) (store.Chain, error) {
	if e, there := v.entries[store.VerifiedFolder]; !there || !e.Mode.IsDir() {
		return c, nil
	}
	dir := path.Join(v.dir, store.VerifiedFolder)
	numbers, _, err := s.verifications(dir)
	var known store.Verification
	if err == nil {
		known, _, err = readVerified(s.fsys, dir, numbers)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil // the chain is being deleted
	}
	if err != nil {
		return c, fmt.Errorf("what was verified of %s: %w", v.dir, err)
	}
	known.Update(v.manifest, nil)
	c.Verifications = known.Points
	points := v.manifest.Points
	for _, r := range known.Points {
		n := slices.IndexFunc(points, func(p store.Point) bool { return p.Sequence == r.Sequence })
		for _, found := range r.Problems {
			known := slices.ContainsFunc(v.problems, func(p store.Problem) bool { return p.File == found.File })
			if f, own := ownFile(points[n], found.File); own && !known {
				detail := found.Detail + ", as read on " + r.Read.UTC().Format("2006-01-02 15:04 UTC")
				c.Problems = append(slices.Clip(c.Problems), v.problem(points[n], f, detail))
			}
		}
	}
	return c, nil
}

// ownFile is the file of this name that a point has for itself.
func ownFile(p store.Point, name string) (pointFile, bool) {
	for _, d := range p.Disks {
		if d.File == name {
			return pointFile{d.File, d.Target, d.FileSize}, true
		}
	}
	return pointFile{name: name}, p.Own(name)
}

// verifiedFolder checks what lies among the verifications of a chain.
func (c *checker) verifiedFolder(v *view, chain string) error {
	dir := path.Join(v.dir, store.VerifiedFolder)
	entries, err := c.s.fsys.List(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(store.VerifiedFolder, e.Name)
		if !isVerification(e.Name) {
			c.note(chain, name, "vbk did not make this")
			continue
		}
		c.mode(chain, name, e)
	}
	return nil
}

// removeVerified empties the folder of verifications, so that it can go.
func (f *Folder) removeVerified(dir string) error {
	_, ours, err := f.s.verifications(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.s.removeAll(dir, ours)
}

func (s *Store) removeAll(dir string, names []string) error {
	for _, name := range names {
		if err := s.fsys.Remove(path.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
