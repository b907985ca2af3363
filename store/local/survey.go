package local

import (
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

// Domains surveys every domain's folder by names and sizes, without a lock. A
// folder that cannot be surveyed carries its error in Domain.Error; what it
// holds is unknown, not empty. The error is that the folders cannot be listed.
func (s *Store) Domains(ctx context.Context) ([]store.Domain, error) {
	entries, err := s.fsys.List(".")
	if err != nil {
		return nil, fmt.Errorf("survey store %s: %w", s.path, err)
	}
	var domains []store.Domain
	for _, e := range entries {
		if !e.Mode.IsDir() || !store.IsFolderName(e.Name) {
			continue
		}
		d, err := s.domain(ctx, e.Name)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("survey store %s: %w", s.path, err)
		}
		if err != nil {
			d = store.Domain{Folder: e.Name, Name: d.Name, UUID: d.UUID, Error: err.Error()}
		}
		domains = append(domains, d)
	}
	reportTwins(domains)
	return domains, nil
}

// reportTwins adds a problem to the newest chain of folders that hold the same
// domain: which of them goes on cannot be known.
func reportTwins(domains []store.Domain) {
	folders := map[string][]string{}
	for _, d := range domains {
		folders[d.UUID] = append(folders[d.UUID], d.Folder)
	}
	for _, d := range domains {
		if twins := folders[d.UUID]; len(d.Chains) > 0 && d.UUID != "" && len(twins) > 1 {
			c := &d.Chains[len(d.Chains)-1]
			c.Problems = append(c.Problems, store.Problem{From: store.NoPoint,
				Detail: fmt.Sprintf("domain %s has several folders: %s", d.UUID, strings.Join(twins, ", "))})
		}
	}
}

// Domain surveys one folder by names and sizes, without a lock. A folder that
// does not exist is an error that is fs.ErrNotExist.
func (s *Store) Domain(ctx context.Context, folder string) (store.Domain, error) {
	d, err := s.domain(ctx, folder)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("survey %s: %w", folder, err)
	}
	return d, err
}

func (s *Store) domain(ctx context.Context, folder string) (store.Domain, error) {
	d := store.Domain{Folder: folder}
	entries, err := s.domainFolder(folder)
	if err != nil {
		return d, err
	}
	for _, name := range chainsAmong(entries) {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		v, err := s.view(folder, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return d, err
		}
		if err := s.explain(folder, v); err != nil {
			return d, err
		}
		for _, l := range v.leftovers() {
			d.Leftovers = append(d.Leftovers, path.Join(name, l))
		}
		if !v.listed() {
			continue
		}
		c, err := s.verified(v, v.listing())
		if err != nil {
			return d, fmt.Errorf("survey %s: %w", folder, err)
		}
		d.Chains = append(d.Chains, c)
	}
	slices.Sort(d.Leftovers)
	slices.SortStableFunc(d.Chains, func(a, b store.Chain) int {
		return a.Manifest.ChainNumber - b.Manifest.ChainNumber
	})
	for _, c := range d.Chains {
		if c.Manifest.UUID != "" {
			d.Name, d.UUID = c.Manifest.Domain, c.Manifest.UUID
		}
	}
	if d.Attempt, d.Locked, err = s.lockState(folder); err != nil {
		return d, err
	}
	if slices.ContainsFunc(entries, isOutcomes) {
		if o := s.outcomes(folder); o != nil && (d.UUID == "" || d.UUID == o.UUID) {
			d.Outcomes = o
		}
	}
	return d, nil
}

func (s *Store) chainNames(folder string) ([]string, error) {
	entries, err := s.domainFolder(folder)
	return chainsAmong(entries), err
}

// domainFolder lists what the folder of a domain holds.
func (s *Store) domainFolder(folder string) ([]Entry, error) {
	if !store.IsFolderName(folder) {
		return nil, errors.New("not the name of a domain's folder")
	}
	return s.fsys.List(folder)
}

func chainsAmong(entries []Entry) (names []string) {
	for _, e := range entries {
		if e.Mode.IsDir() && store.IsChainName(e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

func isOutcomes(e Entry) bool { return e.Name == store.OutcomesFolder && e.Mode.IsDir() }

// explain makes a chain stuck that has files and no manifest, unless the lock's
// record says that a run began it: its manifests may have been lost, and then
// the files are all there is.
func (s *Store) explain(folder string, v *view) (err error) {
	if len(v.numbers) > 0 || !slices.ContainsFunc(slices.Collect(maps.Keys(v.entries)), isPointFile) {
		return nil
	}
	h, err := s.fsys.Open(path.Join(folder, lockName))
	if err == nil {
		defer func() { err = errors.Join(err, h.Close()) }()
		var last record
		if last, err = readLog(h); err == nil && last.began(path.Base(v.dir)) {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const detail = "there is no manifest, and no interrupted run is known to have left the files"
	v.stuck, v.manifest.Closed = true, detail
	v.problems = append(v.problems, store.Problem{File: store.ManifestName(1), Detail: detail})
	return nil
}

func isPointFile(name string) bool {
	_, _, ours := store.ParseFileName(name)
	return ours
}

// lockState reads the record in a folder's lock file and tries whether a
// living process holds it.
func (s *Store) lockState(folder string) (attempt *store.Attempt, locked bool, err error) {
	h, err := s.fsys.Open(path.Join(folder, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	last, err := readLog(h)
	if err != nil || last.pending() == nil {
		return nil, false, err
	}
	switch err := h.Lock(false); {
	case errors.Is(err, ErrBusy):
		holder := last.holder()
		return &holder, true, nil
	case err != nil && !s.byPath:
		return nil, false, err
	}
	return last.pending(), false, nil
}
