package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/store"
)

func (env *environment) verifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "check stores: structure, or with -read-data every byte", ArgsUsage: "[POINT|DOMAIN...]",
		UsageText:   "vbk verify [-read-data] [POINT|DOMAIN...]\n       vbk verify [-read-data] -i PATH",
		Description: "It checks the whole folder of each machine; without arguments, of all.\n\n" + pathHelp + " Modes of files are not looked at there.",
		Flags:       []cli.Flag{pathFlag(), &cli.BoolFlag{Name: "read-data", Usage: "read, decode and hash every chunk"}},
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
				return env.verify(c, all)
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			folders, err := w.verifiable(c, cfg)
			if err != nil {
				return err
			}
			var all []shelf
			for _, l := range folders {
				all = append(all, l.shelf(l.folder.Folder))
			}
			return env.verify(c, all)
		},
	}
}

// verifiable lists the folders to check: those of the arguments, or all.
func (w *world) verifiable(c *cli.Context, cfg *config.Config) ([]located, error) {
	all, problems := w.folders(c.Context, cfg)
	if len(problems) > 0 {
		return nil, failWith(exitFailed, errors.Join(problems...))
	}
	if c.NArg() == 0 {
		return all, nil
	}
	var some []located
	for _, word := range c.Args().Slice() {
		if strings.Contains(word, "@") {
			f, err := w.find(c.Context, cfg, word)
			if err != nil {
				return nil, err
			}
			some = append(some, f.located)
			continue
		}
		matching := named(all, word)
		if len(matching) == 0 {
			return nil, hint(fmt.Errorf("no domain %q has a folder on the stores", word), "vbk list shows all")
		}
		some = append(some, matching...)
	}
	return some, nil
}

// verify checks folder after folder and lists every violation.
func (env *environment) verify(c *cli.Context, all []shelf) error {
	points, lost, notes := 0, 0, 0
	for _, s := range all {
		err := s.check(c.Context, c.Bool("read-data"), func(finding string, costs bool) {
			if costs {
				lost++
			} else {
				notes++
			}
			fmt.Fprintln(env.stdout, finding)
		})
		if err != nil {
			return failWith(exitFailed, err)
		}
		points += len(s.points)
	}
	how := "structure checked"
	if c.Bool("read-data") {
		how = "every byte read"
	}
	if lost+notes > 0 {
		fmt.Fprintf(env.stdout, "\n%s of %s, %s: not sound. Findings that cost points: %d, others: %d.\n",
			count(points, "point"), count(len(all), "domain"), how, lost, notes)
		return exit(exitUnsound)
	}
	fmt.Fprintf(env.stdout, "%s of %s, %s: all is sound.\n", count(points, "point"), count(len(all), "domain"), how)
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
	switch f.Problem.From {
	case store.NoPoint:
		return text
	case 0:
		return text + " (no point of the chain restores)"
	}
	return fmt.Sprintf("%s (points from %s.%d on do not restore)", text, f.Chain, f.Problem.From)
}
