package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"vbk/config"
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
					err = env.writeStarter(c.Context, c.String("from-host"), store)
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
			return env.prepare(c.Context, cfg)
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
func (env *environment) prepare(ctx context.Context, cfg *config.Config) error {
	failed := false
	for _, s := range cfg.Stores {
		if err := env.prepareStore(s); err != nil {
			failed = true
			env.complain(hint(fmt.Errorf("%s: %w", s.Address(), err), "%s", hintOf(err)))
		}
	}
	for _, h := range cfg.Hosts {
		if err := env.prepareHost(ctx, h); err != nil {
			failed = true
			env.complain(hint(fmt.Errorf("host.%s: %w", h.Name, err), "%s", hintOf(err)))
		}
	}
	if failed {
		return exit(exitUsage)
	}
	fmt.Fprintln(env.stdout, "\nReady. Next: vbk plan")
	return nil
}
