package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (env *environment) validateCommand() *cli.Command {
	return &cli.Command{
		Name: "validate", Usage: "check the configuration; needs neither hypervisor nor store",
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			fmt.Fprintf(env.stdout, "Success! The configuration is valid: %s, %s, %s.\n",
				count(len(cfg.Domains), "domain block"), count(len(cfg.Stores), "store"), count(len(cfg.Hosts), "host"))
			return nil
		},
	}
}

func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("vbk %s takes no argument, got %q", c.Command.Name, c.Args().First())
	}
	return nil
}
