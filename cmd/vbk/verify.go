package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/store"
)

func (env *environment) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "check stores: structure, or with -read-data every byte", ArgsUsage: "[POINT|DOMAIN...]",
		UsageText: "vbk verify [-read-data] [POINT|DOMAIN...]\n       vbk verify [-read-data] -i PATH",
		Description: "It checks the whole folder of each machine; without arguments, of all. With -read-data it\nrecords in the store what it found, unless by -i: list, status, the next plan\nand verify without it know.\n\n" + pathHelp + " Modes of files are not looked at there.\n\n" +
			"  vbk verify\n  vbk verify -read-data web01@latest db\n  vbk verify -read-data -i /mnt/usb/web01-4c1f9d2a",
		Flags: []cli.Flag{pathFlag(), &cli.BoolFlag{Name: "read-data", Usage: "read, decode and hash every chunk"}},
		Action: func(c *cli.Context) error {
			path, given, err := fromPath(c, "points and domains")
			if err != nil {
				return err
			}
			if given {
				all, err := env.shelves(c.Context, path)
				if err != nil {
					return err
				}
				all, unread := readable(all)
				return env.verify(c, all, nil, unread)
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			folders, problems, err := w.verifiable(c, cfg)
			if err != nil {
				return err
			}
			var all []shelf
			for _, l := range folders {
				s := l.shelf(l.folder.Folder, env.now())
				s.check = l.checkAndRecord(env)
				all = append(all, s)
			}
			var strays []string
			if c.NArg() == 0 {
				if strays, err = w.strays(); err != nil {
					return failWith(exitFailed, err)
				}
			}
			return env.verify(c, all, strays, problems)
		},
	}
}

// verifiable lists the folders to check: those of the arguments, or all; and what
// could not be read.
func (w *world) verifiable(c *cli.Context, cfg *config.Config) (some []located, problems []error, err error) {
	all, problems := w.folders(c.Context, cfg)
	if c.NArg() == 0 {
		return all, problems, nil
	}
	for _, word := range c.Args().Slice() {
		domain, _, isPoint := strings.Cut(word, "@")
		matching := named(all, domain)
		if len(matching) == 0 {
			err := hint(noDomain(domain, all), "vbk list shows all")
			if len(problems) > 0 { // it may lie there
				problems = append(problems, err)
				continue
			}
			return nil, nil, err
		}
		if isPoint {
			f, err := w.findAmong(all, cfg, word)
			if err != nil {
				return nil, nil, err
			}
			matching = []located{f.located}
		}
		some = append(some, matching...)
	}
	return some, problems, nil
}

// strays lists what vbk did not make in the roots of the stores.
func (w *world) strays() (all []string, err error) {
	for address, s := range w.stores {
		findings, err := s.CheckRoot()
		if err != nil {
			return nil, err
		}
		for _, f := range findings {
			all = append(all, address+": "+describeFinding(f))
		}
	}
	slices.Sort(all)
	return all, nil
}

// verify checks folder after folder and lists every violation, after what could
// not be read and what does not belong there.
func (env *environment) verify(c *cli.Context, all []shelf, strays []string, unread []error) error {
	for _, err := range unread {
		env.complain(err)
	}
	if len(all) == 0 && len(unread) > 0 {
		return exit(exitFailed)
	}
	for _, s := range strays {
		fmt.Fprintln(env.stdout, s)
	}
	var view *verifyView
	t := tested{domains: len(all), notes: len(strays), unread: len(unread), how: "structure checked"}
	if c.Bool("read-data") {
		t.how = "every byte read"
		view = newVerifyView(env, all)
		defer env.endBars()
	}
	for _, s := range all {
		err := s.check(c.Context, c.Bool("read-data"), view.reading(s), func(f finding) {
			t.add(f)
			if f.unread {
				env.complain(errors.New(f.text))
			} else {
				env.say(f.text + "\n")
			}
		})
		view.finish(s)
		switch {
		case c.Context.Err() != nil:
			return failWith(exitFailed, err)
		case err != nil:
			t.unread++
			env.complain(err)
		}
		t.points += len(s.points)
	}
	env.endBars()
	return t.conclude(env)
}

// tested counts what verify has found.
type tested struct {
	points, domains int
	lost, notes     int // findings that cost points, and others
	unread          int
	how             string
}

func (t *tested) add(f finding) {
	switch {
	case f.unread:
		t.unread++
	case f.costs:
		t.lost++
	default:
		t.notes++
	}
}

// conclude says what comes of it.
func (t tested) conclude(env *environment) error {
	what := fmt.Sprintf("%s of %s, %s", count(t.points, "point"), count(t.domains, "domain"), t.how)
	const missing = "not everything could be read: see the errors"
	unsound := t.lost+t.notes > 0
	switch {
	case unsound:
		fmt.Fprintf(env.stdout, "\n%s: not sound. Findings that cost points: %d, others: %d.\n", what, t.lost, t.notes)
		if t.unread > 0 {
			fmt.Fprintf(env.stdout, "Besides, %s.\n", missing)
		}
	case t.unread > 0:
		fmt.Fprintf(env.stdout, "%s: sound, but %s.\n", what, missing)
	default:
		fmt.Fprintf(env.stdout, "%s: all is sound.\n", what)
	}
	switch {
	case unsound: // known damage counts more than what is not known
		return exit(exitUnsound)
	case t.unread > 0:
		return exit(exitFailed)
	}
	return nil
}

func describeFinding(f store.Finding) string {
	text := f.Problem.Detail
	if f.Problem.File != "" {
		text = f.Problem.File + ": " + text
	}
	if f.Chain == "" {
		return text
	}
	text = f.Chain + "/" + text
	from, last := f.Problem.From, f.Problem.Until-1
	switch {
	case from == store.NoPoint:
		return text
	case last == from:
		return fmt.Sprintf("%s (point %s.%d does not restore)", text, f.Chain, from)
	case last > from:
		return fmt.Sprintf("%s (points %s.%d to %s.%d do not restore)", text, f.Chain, from, f.Chain, last)
	case from == 0:
		return text + " (no point of the chain restores)"
	}
	return fmt.Sprintf("%s (points from %s.%d on do not restore)", text, f.Chain, from)
}

// verifyView shows how far the reading of every byte is, one machine after the other;
// nil shows nothing.
type verifyView struct{ restoreView }

func newVerifyView(env *environment, all []shelf) *verifyView {
	v := &verifyView{restoreView{env: env, what: "machine", bars: env.newBars(), last: env.now()}}
	stored := int64(0)
	for _, s := range all {
		stored += s.stored
	}
	if v.bars != nil && len(all) > 1 {
		v.bars.expect(stored, len(all))
	}
	return v
}

// reading is to be told the bytes that are read of a folder.
func (v *verifyView) reading(s shelf) func(bytes int64) {
	if v == nil {
		return nil
	}
	var done atomic.Int64
	return func(bytes int64) { v.progress(s.domain, done.Add(bytes), s.stored) }
}

func (v *verifyView) finish(s shelf) {
	if v != nil && v.bars != nil {
		v.bars.end(s.domain)
		v.bars.finish()
	}
}
