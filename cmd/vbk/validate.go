package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"vbk/config"
)

func (env *environment) validateCommand() *cli.Command {
	return &cli.Command{
		Name: "validate", Usage: "check the configuration; needs neither hypervisor nor store",
		UsageText: "vbk validate [-json | -effective]",
		Description: `A variable without a value is no mistake here: what hangs on it is checked as far as
its type goes. With -effective every value must be known.

  vbk validate
  vbk validate -effective -var site=ams`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print the diagnostics in Terraform's shape"},
			&cli.BoolFlag{Name: "effective", Usage: "print every value of every domain block, and where it comes from"},
		},
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			switch {
			case c.Bool("json") && c.Bool("effective"):
				return fmt.Errorf("flags -json and -effective exclude each other")
			case c.Bool("json"):
				return env.validateJSON()
			case c.Bool("effective"):
				return env.effective()
			}
			return env.validate()
		},
	}
}

func (env *environment) validate() error {
	in := env.inputs()
	in.Partial = true
	cfg, err := env.loadWith(env.dir, in)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "Success! The configuration is valid: %s, %s, %s.\n",
		count(len(cfg.Domains), "domain block"), count(len(cfg.Stores), "store"), count(len(cfg.Hosts), "host"))
	return nil
}

// effective prints what holds for each domain block.
func (env *environment) effective() error {
	cfg, err := env.load()
	if err != nil {
		return err
	}
	for i, e := range cfg.Effective() {
		if i > 0 {
			fmt.Fprintln(env.stdout)
		}
		fmt.Fprintf(env.stdout, "%s (%s:%d)\n", e.Domain.Address(), e.Domain.Range.Filename, e.Domain.Range.Start.Line)
		paths, values := 0, 0
		for _, s := range e.Settings {
			paths, values = max(paths, len(s.Path)), max(values, min(len(s.Value), 40))
		}
		for _, s := range e.Settings {
			fmt.Fprintf(env.stdout, "  %-*s = %-*s  # %s\n", paths, s.Path, values, s.Value, origin(s))
		}
	}
	return nil
}

// origin is where a setting comes from.
func origin(s config.Setting) string {
	if s.Origin == (config.Origin{}) {
		return "default"
	}
	return fmt.Sprintf("%s (%s:%d)", s.Origin.Block, s.Origin.Range.Filename, s.Origin.Range.Start.Line)
}
