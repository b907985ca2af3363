package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	if domain != "" && when == "" {
		return address{}, hint(fmt.Errorf("%q is a domain, and of which point?", text), "%s@latest is its newest; vbk list %s shows all", domain, domain)
	}
	if !ok || domain == "" {
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

// folders surveys the stores of a configuration. Stores that do not answer and
// folders that cannot be read do not hide the others: they come back beside them.
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
			if d.Error != "" {
				problems = append(problems, fmt.Errorf("%s/%s: %s", s.Address(), d.Folder, d.Error))
				continue
			}
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
		name := l.folder.Name
		if name == "" { // no manifest can be read
			name = folder{name: l.folder.Folder}.domain()
		}
		if name == word || l.folder.Folder == word || strings.EqualFold(l.folder.UUID, word) {
			some = append(some, l)
		}
	}
	return some
}

// noDomainError is that no folder is of the domain that was named.
type noDomainError struct{ word, meant string }

func (e *noDomainError) Error() string {
	return fmt.Sprintf("no domain %q has a folder on the stores%s", e.word, e.meant)
}

func noDomain(word string, all []located) error {
	var names []string
	for _, l := range all {
		names = append(names, l.folder.Name)
	}
	return &noDomainError{word, didYouMean(word, "", names)}
}

// find resolves a typed address to one point.
func (w *world) find(ctx context.Context, cfg *config.Config, text string) (found, error) {
	all, problems := w.folders(ctx, cfg)
	f, err := w.findAmong(all, cfg, text)
	var none *noDomainError
	switch {
	case err == nil:
		for _, p := range problems {
			w.env.complain(fmt.Errorf("warning: %w", p))
		}
	case errors.As(err, &none) && len(problems) > 0: // it may lie there
		for _, p := range problems {
			w.env.complain(p)
		}
		return f, failWith(exitFailed, err)
	}
	return f, err
}

// findAmong resolves a typed address to a point of these folders.
func (w *world) findAmong(all []located, cfg *config.Config, text string) (found, error) {
	a, err := parseAddress(text)
	if err != nil {
		return found{}, err
	}
	some := named(all, a.domain)
	switch {
	case len(some) == 0:
		return found{}, hint(noDomain(a.domain, all), "vbk list shows the points")
	case len(some) > 1:
		var names []string
		for _, l := range some {
			names = append(names, l.store.Address()+"/"+l.folder.Folder)
		}
		return found{}, hint(fmt.Errorf("%q has several folders: %s", a.domain, strings.Join(names, ", ")), "name the folder instead of the domain, such as %s@%s", some[0].folder.Folder, a.when)
	}
	chain, point, newer, err := pick(some[0].folder, a.when, cfg.TimeZone, w.env.now())
	if err != nil {
		if some[0].folder.Name == "" {
			c := some[0].folder.Chains
			if n := slices.IndexFunc(c, func(c store.Chain) bool { return len(c.Problems) > 0 }); n >= 0 {
				err = some[0].problem(c[n], c[n].Problems[0])
				return found{}, failWith(exitUnsound, hint(fmt.Errorf("%s: no point can be read: %w", a.domain, err), "%s", hintOf(err)))
			}
		}
		next := fmt.Sprintf("vbk list %s shows the points", a.domain)
		if codeOf(err) == exitUnsound {
			next += "; one that is named as there is restored as far as its disks are whole, which vbk verify -read-data " + a.domain + " tells"
		}
		return found{}, hint(fmt.Errorf("%s: %w", a.domain, err), "%s", next)
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
func pick(d store.Domain, when string, zone *time.Location, now time.Time) (chain store.Chain, point store.Point, damaged int, err error) {
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
	return newest(d, limit, now)
}

// newest is the newest sound point, and how many damaged ones are newer. Without
// a limit the order is that of chain numbers and sequences, so a run whose clock
// was wrong does not decide; with one it is the clock's, as a time is asked for.
func newest(d store.Domain, limit, now time.Time) (chain store.Chain, point store.Point, damaged int, err error) {
	type candidate struct {
		chain store.Chain
		point store.Point
	}
	var all []candidate
	for _, c := range d.Chains {
		for _, p := range c.Manifest.Points {
			all = append(all, candidate{c, p})
		}
	}
	if !limit.IsZero() {
		all = until(all, func(c candidate) time.Time { return c.point.Start }, limit, now)
	}
	for n, c := range slices.Backward(all) {
		if c.chain.Sound(c.point.Sequence) {
			return c.chain, c.point, len(all) - 1 - n, nil
		}
	}
	err = errors.New("no sound point")
	if !limit.IsZero() {
		err = fmt.Errorf("no sound point of %s UTC or before%s%s", shortTime(limit), futureNote(limit, now), oldestNote(d))
	}
	if len(all) > 0 { // they are all damaged
		err = failWith(exitUnsound, err)
	}
	return chain, point, 0, err
}

// clockSlack is how far ahead of the clock a point may start.
const clockSlack = 10 * time.Minute

// until are the points, given in their order, that started at or before a time,
// oldest first by their clock. One from the future does not count: its clock was
// wrong.
func until[P any](all []P, start func(P) time.Time, limit, now time.Time) []P {
	if last := now.Add(clockSlack); limit.After(last) {
		limit = last
	}
	var some []P
	for _, p := range all {
		if !start(p).After(limit) {
			some = append(some, p)
		}
	}
	slices.SortStableFunc(some, func(a, b P) int { return start(a).Compare(start(b)) })
	return some
}

// futureNote tells of the clock of this machine if it may be why no point is found.
func futureNote(limit, now time.Time) string {
	if !limit.After(now.Add(clockSlack)) {
		return ""
	}
	return fmt.Sprintf(" (points after now, %s UTC by the clock here, do not count)", shortTime(now))
}

// oldestNote tells from when on there are points.
func oldestNote(d store.Domain) string {
	var oldest time.Time
	for _, c := range d.Chains {
		for _, p := range c.Manifest.Points {
			if oldest.IsZero() || p.Start.Before(oldest) {
				oldest = p.Start
			}
		}
	}
	if oldest.IsZero() {
		return ""
	}
	return fmt.Sprintf("; the oldest is of %s UTC", shortTime(oldest))
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
