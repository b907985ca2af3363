package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/store"
	"vbk/store/local"
)

// vbkShelves are the domains of a store, or of a folder that is seen as one.
func vbkShelves(ctx context.Context, repo *local.Store, path string, now time.Time) ([]shelf, error) {
	domains, err := repo.Domains(ctx)
	if err != nil {
		return nil, fmt.Errorf("flag -i: %w", err)
	}
	var all []shelf
	for _, d := range domains {
		at := path
		if len(domains) > 1 {
			at = filepath.Join(path, d.Folder)
		}
		all = append(all, located{repo: repo, folder: d}.shelf(at, now))
	}
	return all, nil
}

// shelf shows a domain's folder as what -i finds at a path.
func (l located) shelf(path string, now time.Time) shelf {
	s := shelf{domain: l.folder.Name, uuid: l.folder.UUID, path: path, check: l.check}
	if l.folder.Error != "" {
		s.failed = fmt.Errorf("%s: %s", l.folder.Folder, l.folder.Error)
	}
	for _, c := range l.folder.Chains {
		for _, p := range c.Manifest.Points {
			s.points = append(s.points, l.shelved(path, c, p))
			s.stored += p.Stored()
		}
		s.problems = append(s.problems, l.problems(c)...)
	}
	s.choose = func(until string) ([]shelved, bool, error) { return l.choose(s.points, until, now) }
	return s
}

func pointName(c store.Chain, p store.Point) string { return fmt.Sprintf("%s.%d", c.Name, p.Sequence) }

func (l located) shelved(path string, c store.Chain, p store.Point) shelved {
	s := shelved{name: pointName(c, p), when: shortTime(p.Start) + " UTC", start: p.Start, kind: kindWord(p.Kind), disks: targets(p)}
	if p.Parent >= 0 {
		s.parent = fmt.Sprintf("%s.%d", c.Name, p.Parent)
	}
	for _, d := range p.Disks {
		s.size += d.Size
	}
	if !c.Sound(p.Sequence) {
		s.broken = s.disks
	}
	s.open = func() (opened, error) {
		o, err := found{l, c, p}.open()
		o.next = otherwise(path)
		return o, err
	}
	return s
}

// open opens a point to restore it.
func (f found) open() (opened, error) {
	o := opened{name: f.String(), when: shortTime(f.point.Start) + " UTC", unsound: len(f.chain.Problems) > 0}
	o.exact = f.folder.UUID + "/" + pointName(f.chain, f.point)
	o.path = []string{"-i", filepath.Join(f.repo.Path(), f.folder.Folder), "-until", pointName(f.chain, f.point)}
	reader, err := f.repo.OpenChain(f.folder.Folder, f.chain.Name)
	if err != nil {
		return o, err
	}
	p, err := executor.PointOf(bind.Chain{Reader: reader}, f.point.Sequence)
	if err != nil {
		return o, errors.Join(err, reader.Close())
	}
	o.RestorePoint, o.Closer = p, reader
	if why := reader.Unlocked(); why != nil {
		o.warning = fmt.Sprintf("nothing keeps another vbk from deleting chain %s meanwhile: %v", f.chain.Name, why)
	}
	return o, nil
}

// choose finds the points that a text after -until means: CHAIN.N, N, a
// checkpoint; or all up to a time; or all.
func (l located) choose(all []shelved, what string, now time.Time) (some []shelved, exact bool, err error) {
	if what == "" || what == "latest" {
		return all, false, nil
	}
	i := 0
	for _, c := range l.folder.Chains {
		for _, p := range c.Manifest.Points {
			if what == pointName(c, p) || what == strconv.Itoa(p.Sequence) || what == p.Checkpoint {
				some = append(some, all[i])
			}
			i++
		}
	}
	switch {
	case len(some) == 1:
		return some, true, nil
	case len(some) > 1:
		return nil, false, fmt.Errorf("%s is a point of %s: name it as CHAIN.%s", what, count(len(some), "chain"), what)
	}
	limit, err := parseTime(what, time.UTC)
	if err != nil {
		return nil, false, fmt.Errorf("%q is neither a point (CHAIN.N, N, a checkpoint, latest), nor a time such as 2026-11-22T12:00 (UTC)", what)
	}
	some = until(all, func(p shelved) time.Time { return p.start }, limit, now)
	if len(some) == 0 && len(all) > 0 {
		return nil, false, fmt.Errorf("no point of %s UTC or before%s%s", shortTime(limit), futureNote(limit, now), oldestNote(l.folder))
	}
	return some, false, nil
}

// checkAndRecord is check, which notes in the store what reading every byte has found.
func (l located) checkAndRecord(env *environment) func(context.Context, bool, func(int64), func(finding)) error {
	return func(ctx context.Context, readData bool, told func(int64), report func(finding)) error {
		begun := env.now().UTC()
		findings, err := l.repo.Telling(told).Check(ctx, l.folder.Folder, readData)
		reportFindings(l, findings, report)
		if err == nil && !readData {
			reportFindings(l, l.remembered(findings), report)
		}
		if err != nil || !readData {
			return err
		}
		for _, c := range l.folder.Chains {
			var all []store.Verified
			for _, p := range c.Manifest.Points {
				v := store.Verified{Sequence: p.Sequence, Attempt: p.Attempt, Read: begun}
				read := true
				for _, f := range findings {
					switch own := f.Chain == c.Name && p.Own(f.File); {
					case own && f.Unread:
						read = false
					case own && f.From != store.NoPoint:
						v.Problems = append(v.Problems, f.Problem)
					}
				}
				if !read && len(v.Problems) > 0 {
					v, read = c.Partly(p, v), true
				}
				if read {
					all = append(all, v)
				}
			}
			if err := l.repo.RecordVerified(ctx, l.folder.Folder, c.Name, version, all); err != nil {
				env.complain(fmt.Errorf("warning: %w", err))
			}
		}
		return nil
	}
}

// remembered is damage that is known of the chains, because -read-data found it once,
// and that a look at the structure has not seen.
func (l located) remembered(seen []store.Finding) (all []store.Finding) {
	for _, c := range l.folder.Chains {
		for _, p := range c.Problems {
			if !slices.ContainsFunc(seen, func(f store.Finding) bool { return f.Chain == c.Name && f.File == p.File }) {
				all = append(all, store.Finding{Chain: c.Name, Problem: p})
			}
		}
	}
	return all
}

func reportFindings(l located, findings []store.Finding, report func(finding)) {
	for _, f := range findings {
		report(finding{l.folder.Folder + ": " + describeFinding(f), f.Problem.From != store.NoPoint, f.Unread})
	}
}

func (l located) check(ctx context.Context, readData bool, told func(int64), report func(finding)) error {
	findings, err := l.repo.Telling(told).Check(ctx, l.folder.Folder, readData)
	reportFindings(l, findings, report)
	return err
}
