package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/store/local"
)

const points = "POINT is DOMAIN@latest, DOMAIN@TIME (that or the next older point) or DOMAIN@CHAIN.N, as\nvbk list prints it."

// address is a point as it is typed: web01@latest, web01@CHAIN.SEQ or
// web01@2026-11-22T12:00.
type address struct{ domain, when string }

func parseAddress(text string) (address, error) {
	domain, when, ok := strings.Cut(text, "@")
	if !ok || domain == "" || when == "" {
		return address{}, hint(fmt.Errorf("%q is no point: DOMAIN@latest, DOMAIN@CHAIN.N or DOMAIN@TIME", text), "vbk list shows the points")
	}
	return address{domain, when}, nil
}

// located is a folder with the store it lies on.
type located struct {
	store  config.Store // zero if it was found by -i
	repo   *local.Store
	folder store.Domain
}

// found is a point with the place where it lives.
type found struct {
	located
	chain store.Chain
	point store.Point
}

func (f found) String() string {
	return fmt.Sprintf("%s@%s.%d", f.folder.Name, f.chain.Name, f.point.Sequence)
}

// targets are the disks of a point.
func targets(p store.Point) []string {
	var all []string
	for _, d := range p.Disks {
		all = append(all, d.Target)
	}
	return all
}

// folders surveys the stores of a configuration. A store that does not answer
// is an error only if no other has what is asked for, so it comes back beside
// the folders.
func (w *world) folders(ctx context.Context, cfg *config.Config) (all []located, problems []error) {
	for _, s := range cfg.Stores {
		opened, err := w.openStore(s)
		if err != nil {
			problems = append(problems, hint(fmt.Errorf("%s: %w", s.Address(), err), "%s", hintOf(err)))
			continue
		}
		domains, err := opened.Domains(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", s.Address(), err))
			continue
		}
		for _, d := range domains {
			all = append(all, located{s, opened, d})
		}
	}
	return all, problems
}

// named picks the folders that a word means: a domain's name, a folder's name,
// a UUID.
func named(all []located, word string) []located {
	var some []located
	for _, l := range all {
		if l.folder.Name == word || l.folder.Folder == word || strings.EqualFold(l.folder.UUID, word) {
			some = append(some, l)
		}
	}
	return some
}

// find resolves a typed address to one point.
func (w *world) find(ctx context.Context, cfg *config.Config, text string) (found, error) {
	a, err := parseAddress(text)
	if err != nil {
		return found{}, err
	}
	all, problems := w.folders(ctx, cfg)
	some := named(all, a.domain)
	switch {
	case len(some) == 0:
		err := fmt.Errorf("no domain %q has a folder on the stores", a.domain)
		return found{}, hint(errors.Join(append([]error{err}, problems...)...), "vbk list shows the points")
	case len(some) > 1:
		var names []string
		for _, l := range some {
			names = append(names, l.store.Address()+"/"+l.folder.Folder)
		}
		return found{}, hint(fmt.Errorf("%q has several folders: %s", a.domain, strings.Join(names, ", ")), "name the folder instead of the domain, such as %s@%s", some[0].folder.Folder, a.when)
	}
	chain, point, newer, err := pick(some[0].folder, a.when, cfg.TimeZone)
	if err != nil {
		return found{}, hint(fmt.Errorf("%s: %w", a.domain, err), "vbk list %s shows the points", a.domain)
	}
	f := found{some[0], chain, point}
	if newer > 0 {
		w.env.complain(hint(fmt.Errorf("warning: %s is older than what %s means: %s, damaged", f, text, count(newer, "newer point")),
			"vbk verify %s tells what is lost", a.domain))
	}
	return f, nil
}

// pick finds the point of a folder that "when" means, and how many damaged ones
// it has passed over.
func pick(d store.Domain, when string, zone *time.Location) (chain store.Chain, point store.Point, damaged int, err error) {
	if name, sequence, ok := chainPoint(when); ok {
		for _, c := range d.Chains {
			for _, p := range c.Manifest.Points {
				if c.Name == name && p.Sequence == sequence {
					return c, p, 0, nil
				}
			}
		}
		return chain, point, 0, fmt.Errorf("no point %s", when)
	}
	limit := time.Time{}
	if when != "latest" {
		var err error
		if limit, err = parseTime(when, zone); err != nil {
			return chain, point, 0, err
		}
	}
	return newest(d, limit)
}

// newest is the newest sound point, at or before limit if that is set, and how
// many points are newer and damaged.
func newest(d store.Domain, limit time.Time) (chain store.Chain, point store.Point, damaged int, err error) {
	var unsound []time.Time
	ok := false
	for _, c := range d.Chains {
		for _, p := range c.Manifest.Points {
			switch {
			case !limit.IsZero() && p.Start.After(limit):
			case !c.Sound(p.Sequence):
				unsound = append(unsound, p.Start)
			case !ok || !p.Start.Before(point.Start):
				chain, point, ok = c, p, true
			}
		}
	}
	if !ok && limit.IsZero() {
		return chain, point, 0, errors.New("no sound point")
	}
	if !ok {
		return chain, point, 0, fmt.Errorf("no sound point of %s UTC or before", shortTime(limit))
	}
	for _, t := range unsound {
		if t.After(point.Start) {
			damaged++
		}
	}
	return chain, point, damaged, nil
}

func chainPoint(when string) (chain string, sequence int, ok bool) {
	chain, number, ok := strings.Cut(when, ".")
	sequence, err := strconv.Atoi(number)
	return chain, sequence, ok && err == nil && store.IsChainName(chain)
}

// parseTime reads a time; without an offset it is meant in the configuration's
// time zone.
func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither latest, nor CHAIN.N, nor a time such as 2026-11-22T12:00", text)
}
