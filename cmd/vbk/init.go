package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/store"
	"vbk/store/local"
)

func (env *environment) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "check hosts and scratch space, mark new stores, write a starter configuration",
		UsageText: "vbk init\n       vbk init -from-host URI [-store DIR]",
		Description: "Without a configuration it writes a starter, backup.vbk.hcl, that claims all machines of the host\n" +
			"but those that the planner would refuse; with -store it goes on at once. With a configuration\n" +
			"it marks each new store with vbk.json (nothing else ever does), tries what stores and scratch\n" +
			"directories are needed for, and looks whether the hosts answer. It says what mends what fails.\n\n" +
			"  vbk init -from-host qemu:///system -store /srv/backup && vbk plan",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from-host", Usage: "write a starter for the machines of the libvirt at `URI`", Value: defaultURI},
			&cli.BoolFlag{Name: "new-store", Usage: "mark a new store though machines have checkpoints of one that is not here"},
			&cli.StringFlag{Name: "store", Usage: "the store of the starter is `DIR`", Value: "/srv/backup"},
		},
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			begun := env.configurations()
			if len(begun) > 0 && (c.IsSet("from-host") || c.IsSet("store")) {
				return hint(fmt.Errorf("a starter is not written beside %s", filepath.Base(begun[0])), "vbk -chdir DIR init ... writes it elsewhere")
			}
			if len(begun) == 0 {
				store, err := filepath.Abs(env.path(c.String("store")))
				if err == nil {
					err = env.writeStarter(c.Context, c.String("from-host"), store, c.IsSet("from-host"))
				}
				if err != nil {
					return err
				}
				if !c.IsSet("store") {
					fmt.Fprintln(env.stdout, "Set the path of the store in it, then run vbk init again: it marks the store.")
					return nil
				}
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			return env.prepare(c.Context, cfg, c.Bool("new-store"))
		},
	}
}

const defaultURI = "qemu:///system"

// configurations are the files of the directory that hold one.
func (env *environment) configurations() []string {
	var all []string
	for _, pattern := range []string{"*.vbk.hcl", "*.vbk.json"} {
		found, _ := filepath.Glob(filepath.Join(env.dir, pattern)) // the pattern is well formed
		all = append(all, found...)
	}
	return all
}

// prepare marks the stores and looks at the hosts, and tells of each.
func (env *environment) prepare(ctx context.Context, cfg *config.Config, newStore bool) error {
	var failed []string
	look := func(object string, problems ...error) {
		for _, err := range problems {
			if err != nil {
				env.complain(hint(fmt.Errorf("%s: %w", object, err), "%s", hintOf(err)))
				failed = append(failed, object)
			}
		}
	}
	known := map[string]bool{} // stores that machines have checkpoints of
	for _, h := range cfg.Hosts {
		domains, problems := env.prepareHost(ctx, h)
		look("host."+h.Name, problems...)
		for _, d := range domains {
			for _, c := range d.Checkpoints {
				if id, _, _, _, ok := store.ParseCheckpoint(c.Name); ok {
					known[id] = true
				}
			}
		}
	}
	var elsewhere []string
	if !newStore {
		elsewhere = storesElsewhere(cfg, known)
	}
	for _, s := range cfg.Stores {
		look(s.Address(), env.prepareStore(s, elsewhere))
	}
	paint := painter(env.color)
	if len(failed) > 0 {
		fmt.Fprintf(env.stdout, "\n%s Mend it, and run vbk init again.\n", paint.red(paint.bold("Not ready: "+strings.Join(slices.Compact(failed), ", ")+".")))
		return exit(exitUsage)
	}
	fmt.Fprintf(env.stdout, "\n%s Next: vbk plan\n", paint.green(paint.bold("Ready.")))
	return nil
}

// storesElsewhere are those of the known stores that the configuration does not lead to.
func storesElsewhere(cfg *config.Config, known map[string]bool) []string {
	for _, s := range cfg.Stores {
		if opened, err := local.Open(s.Path); s.Kind == "local" && err == nil {
			delete(known, opened.ID())
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// fine tells of something that was looked at and serves.
func (env *environment) fine(object, format string, args ...any) {
	fmt.Fprintf(env.stdout, "%s %s: %s\n", painter(env.color).green("ok"), object, fmt.Sprintf(format, args...))
}
