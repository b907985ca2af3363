package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"vbk/store"
)

// VerifyPoint reads every byte of the files that a point of a chain has for itself,
// and returns what is wrong with them. read is told what was read, from several
// goroutines. The error is that it could not be done; where not
// all can be read, what is wrong with the rest is returned as well.
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
	for _, f := range c.findings {
		if !f.Unread {
			found.Problems = append(found.Problems, f.Problem)
		}
	}
	err = errors.Join(c.unreadable...)
	if err != nil && len(found.Problems) > 0 {
		found = r.chain.Partly(p, found)
	}
	return found, err
}

// RecordVerified notes what was found in files of points. It needs no lock of the
// domain's folder: no point depends on it.
func (s *Store) RecordVerified(ctx context.Context, folder, chain, version string, some []store.Verified) error {
	if err := s.recordVerified(ctx, folder, chain, version, some); err != nil {
		return fmt.Errorf("record what was verified of %s/%s: %w", folder, chain, err)
	}
	return nil
}

func (s *Store) recordVerified(ctx context.Context, folder, chain, version string, some []store.Verified) error {
	v, err := s.view(folder, chain)
	if err != nil {
		return err
	}
	if v.manifest.Number == 0 || v.manifest.Deleted {
		return nil // it has gone meanwhile
	}
	b := book{s.fsys, path.Join(v.dir, store.VerifiedFolder)}
	var known store.Verification
	return b.update(ctx, knownVerification(&known, chain), func() ([]byte, error) {
		known.FormatVersion, known.Chain, known.Version = store.FormatVersion, chain, version
		known.Update(v.manifest, some)
		return known.Encode()
	})
}

// knownVerification reads a verification of a chain.
func knownVerification(known *store.Verification, chain string) func([]byte) error {
	return func(data []byte) error {
		v, err := store.DecodeVerification(data)
		if err == nil && v.Chain != chain {
			err = fmt.Errorf("it is of chain %s", v.Chain)
		}
		if err == nil {
			*known = v
		}
		return err
	}
}

// verified adds to a chain when its points were read, and what was found then in
// files that are still theirs. What is damaged itself is as if nobody had looked.
func (s *Store) verified(v *view, c store.Chain) (store.Chain, error) {
	if e, there := v.entries[store.VerifiedFolder]; !there || !e.Mode.IsDir() {
		return c, nil
	}
	var known store.Verification
	b := book{s.fsys, path.Join(v.dir, store.VerifiedFolder)}
	_, err := b.read(knownVerification(&known, c.Name))
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
