package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

func (env *environment) listCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "show restore points, and what holds each", ArgsUsage: "[DOMAIN]",
		UsageText:   "vbk list [-json] [DOMAIN]\n       vbk list [-json] -i PATH",
		Description: pathHelp + "\n\n  vbk list\n  vbk list web01\n  vbk list -i /mnt/usb/web01-4c1f9d2a",
		Flags:       []cli.Flag{pathFlag(), &cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error {
			path, given, err := fromPath(c, "a domain")
			switch {
			case err != nil:
				return err
			case given:
				return env.listPath(c.Context, path, c.Bool("json"))
			case c.NArg() > 1:
				return fmt.Errorf("vbk list takes one domain, got %d", c.NArg())
			}
			return env.listStores(c)
		},
	}
}

func (env *environment) listStores(c *cli.Context) error {
	cfg, err := env.load()
	if err != nil {
		return err
	}
	w := env.newWorld(true)
	defer w.close()
	all, problems := w.folders(c.Context, cfg)
	if word := c.Args().First(); word != "" {
		some := named(all, word)
		if len(some) == 0 && len(problems) == 0 {
			return hint(noDomain(word, all), "vbk list shows all")
		}
		all = some
	}
	if c.Bool("json") {
		err = writeJSON(env.stdout, listOf(cfg, all, problems, env.now()))
	} else if len(all) > 0 || len(problems) == 0 {
		env.printPoints(cfg, all)
	}
	for _, p := range problems {
		env.complain(p)
	}
	if err == nil && len(problems) > 0 {
		return exit(exitFailed)
	}
	return err
}

func (env *environment) printPoints(cfg *config.Config, all []located) {
	points := env.table()
	head := []any{"POINT", "TIME (UTC)", "KIND", "DISKS", amounts("STORED"), "HELD BY"}
	verified := slices.ContainsFunc(all, located.verified)
	if verified {
		head = slices.Insert(head, 5, any("VERIFIED"))
	}
	points.row(head...)
	for _, l := range all {
		held := heldBy(cfg, l, env.now())
		for _, c := range l.folder.Chains {
			for _, p := range c.Manifest.Points {
				row := []any{fmt.Sprintf("%s@%s.%d", l.folder.Name, c.Name, p.Sequence), shortTime(p.Start), kindWord(p.Kind),
					strings.Join(targets(p), ","), plan.Bytes(p.Stored()), held(c.Name, p.Sequence)}
				if verified {
					row = slices.Insert(row, 5, any(dayOrNever(c.ReadAt(p.Sequence))))
				}
				points.row(row...)
			}
		}
	}
	switch {
	case len(points.rows) > 1:
		points.print(env.stdout, env.columns())
	case slices.ContainsFunc(all, located.problematic):
		fmt.Fprintln(env.stdout, "No restore point can be read.")
	default:
		fmt.Fprintln(env.stdout, "No restore points yet. vbk apply makes them.")
	}
	for _, l := range all {
		for _, c := range l.folder.Chains {
			for _, p := range c.Manifest.Points {
				for _, note := range p.Notes {
					fmt.Fprintf(env.stdout, "Note on %s@%s.%d: %s\n", l.folder.Name, c.Name, p.Sequence, note)
				}
			}
			env.complainOf(l.problems(c))
		}
	}
}

// problematic says whether anything is known to be wrong with the folder.
func (l located) problematic() bool {
	return slices.ContainsFunc(l.folder.Chains, func(c store.Chain) bool { return len(c.Problems) > 0 })
}

// problems tells of those of a chain.
func (l located) problems(c store.Chain) (all []error) {
	for _, p := range c.Problems {
		all = append(all, l.problem(c, p))
	}
	return all
}

// problem tells of one, and what to do about it.
func (l located) problem(c store.Chain, p store.Problem) error {
	err := fmt.Errorf("%s/%s/%s: %s", l.folder.Folder, c.Name, p.File, p.Detail)
	_, isManifest := store.ParseManifestName(p.File)
	switch {
	case isManifest && strings.Contains(p.Detail, "this vbk knows"):
		return hint(err, "a newer vbk wrote it: use that one; vbk version tells which this is")
	case isManifest:
		return hint(err, "vbk import %s rebuilds what is lost from the headers of the files", filepath.Join(l.repo.Path(), l.folder.Folder))
	}
	return hint(err, "vbk verify -read-data %s tells which points restore", cmp.Or(l.folder.Name, l.folder.Folder))
}

// verified says whether anything of the folder was ever verified.
func (l located) verified() bool {
	return slices.ContainsFunc(l.folder.Chains, func(c store.Chain) bool { return len(c.Verifications) > 0 })
}

func dayOrNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02")
}

// listPath shows what lies at a path.
func (env *environment) listPath(ctx context.Context, path string, asJSON bool) error {
	all, err := env.shelves(ctx, path)
	if err != nil {
		return err
	}
	some, unread := readable(all)
	if asJSON {
		err = writeJSON(env.stdout, listOfShelves(all))
	} else if env.printShelves(some); len(all) == 0 {
		fmt.Fprintln(env.stdout, "No restore points.")
	}
	for _, err := range unread {
		env.complain(err)
	}
	if err == nil && len(unread) > 0 {
		return exit(exitFailed)
	}
	return err
}

func (env *environment) printShelves(all []shelf) {
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(env.stdout)
		}
		env.printShelf(s)
	}
	for _, s := range all {
		env.complainOf(s.problems)
	}
}

func (env *environment) printShelf(s shelf) {
	fmt.Fprintf(env.stdout, "%s, UUID %s, in %s\n", cmp.Or(s.domain, "unknown domain"), cmp.Or(s.uuid, "unknown"), s.path)
	if len(s.points) == 0 {
		fmt.Fprintln(env.stdout, "No restore points.")
		return
	}
	points := env.table()
	points.row("POINT", "TIME", "KIND", "DISKS", amounts("SIZE"), "STATE")
	for _, p := range s.points {
		points.row(p.name, p.when, p.kind, strings.Join(p.disks, ","), plan.Bytes(p.size), p.state())
	}
	points.print(env.stdout, env.columns())
}

// heldBy says what holds each point of a folder.
func heldBy(cfg *config.Config, l located, now time.Time) func(chain string, sequence int) string {
	p := policyOf(cfg, l)
	if p == nil {
		return func(chain string, sequence int) string {
			for _, c := range l.folder.Chains {
				if c.Name == chain && !c.Sound(sequence) {
					return "damaged, departed: kept"
				}
			}
			return "departed: kept"
		}
	}
	return plan.HeldBy(p, cfg.TimeZone.String(), l.folder.Chains, now)
}

// policyOf finds the policy of the block that claims a folder's domain now, on the
// host where its newest chain began; blocks may have been renamed since. If none
// claims it, that of the block which made the chain stands; nil if that is gone.
func policyOf(cfg *config.Config, l located) *config.Policy {
	owner := ""
	for _, c := range l.folder.Chains {
		owner = cmp.Or(c.Manifest.Owner.Address, owner)
	}
	block, instance, _ := strings.Cut(owner, `["`) // domain.BLOCK["HOST/NAME"]
	host, _, _ := strings.Cut(instance, "/")
	var fallback, owning *config.Policy
	for i := range cfg.Domains {
		d := &cfg.Domains[i]
		switch {
		case d.Policy.Store != l.store.Address():
		case d.Claims(host, l.folder.Name, l.folder.UUID, nil):
			return &d.Policy
		case d.Selects(host, l.folder.Name, l.folder.UUID, nil):
			fallback = cmp.Or(fallback, &d.Policy)
		case d.Address() == block:
			owning = &d.Policy
		}
	}
	return cmp.Or(fallback, owning)
}
