package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
)

const addresses = `ADDR is a block or one of its machines: domain.web or 'domain.web["local/web01"]'.`

// planFlags choose what is planned; plan and apply have them.
func planFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "target", Usage: "only this block or instance `ADDR`; repeatable"},
		&cli.StringSliceFlag{Name: "exclude", Usage: "all but this block or instance `ADDR`; repeatable"},
		&cli.StringSliceFlag{Name: "full", Usage: "open a new chain for `ADDR`; repeatable"},
		&cli.StringSliceFlag{Name: "allow-prune", Usage: "lift max_prune for `ADDR`; repeatable"},
		&cli.BoolFlag{Name: "no-prune", Usage: "delete no chain"},
		&cli.BoolFlag{Name: "fail-on-check", Usage: "exit 4 if a check block does not pass"},
	}
}

func planOptions(c *cli.Context) plan.Options {
	return plan.Options{
		Target: c.StringSlice("target"), Exclude: c.StringSlice("exclude"), Full: c.StringSlice("full"),
		AllowPrune: c.StringSlice("allow-prune"), NoPrune: c.Bool("no-prune"), Version: version,
	}
}

func (env *environment) planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show what apply would do, and why; changes nothing",
		UsageText: "vbk plan [-out FILE] [FLAGS]\n       vbk plan -base DIR [-json] [FLAGS]",
		Description: addresses + `

With -base it shows what the edit from DIR's configuration to this one causes, and nothing else.

  vbk plan -out tonight.plan
  vbk plan -target domain.db -full 'domain.db["local/db-7"]'
  vbk plan -base ../main -detailed-exitcode
  vbk plan -inventory inventory.json -now 2026-12-24T03:00`,
		Before: func(c *cli.Context) error {
			if c.IsSet("base") { // one document, if any
				return nil
			}
			return env.openStreams(c)
		},
		Flags: append(append(append(planFlags(), streamFlags()...), vantageFlags()...),
			&cli.StringFlag{Name: "out", Usage: "save the plan to `FILE` for vbk apply FILE"},
			&cli.StringFlag{Name: "base", Usage: "compare with the configuration in `DIR`"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit 2 if there are changes"}),
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			if isConfiguration(c.String("out")) {
				return fmt.Errorf("flag -out: %s is the name of a configuration", c.String("out"))
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			v, err := env.vantage(c, cfg)
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			if c.IsSet("base") {
				return w.compare(c, cfg, v)
			}
			return w.present(c, cfg, v)
		},
	}
}

// present plans, prints and saves.
func (w *world) present(c *cli.Context, cfg *config.Config, v vantage) error {
	have, err := w.survey(c.Context, cfg, v)
	if err != nil {
		return err
	}
	p, err := makePlan(cfg, have, planOptions(c), v)
	if err != nil {
		return err
	}
	env := w.env
	env.logs().planned(p)
	env.showPlan(p)
	if out := c.String("out"); out != "" {
		if err := savePlan(env.path(out), p); err != nil {
			return err
		}
		do := fmt.Sprintf("To do exactly this:\n  vbk apply %s", out)
		if p.NotApplicable != "" {
			do = fmt.Sprintf("To see it again:\n  vbk show %s", out)
		}
		fmt.Fprintf(env.stdout, "\nSaved the plan to %s. %s\n", out, do)
	}
	code := planCode(c, p)
	if code == exitOK && !p.Empty() && c.Bool("detailed-exitcode") {
		code = exitChanges
	}
	return exit(code)
}

// plan surveys and decides, here and now.
func (w *world) plan(ctx context.Context, cfg *config.Config, o plan.Options) (plan.Plan, error) {
	v := vantage{now: w.env.now()}
	have, err := w.survey(ctx, cfg, v)
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := makePlan(cfg, have, o, v)
	if err == nil {
		w.env.logs().planned(p)
	}
	return p, err
}

func makePlan(cfg *config.Config, have plan.Inventory, o plan.Options, v vantage) (plan.Plan, error) {
	o.NotApplicable = v.unreal
	p := plan.Make(cfg, have, o, v.now)
	if unknown := plan.UnknownAddresses(cfg, p, o); len(unknown) > 0 {
		return plan.Plan{}, unknownAddress(unknown[0], plan.KnownAddresses(cfg, p))
	}
	p.Checks = cfg.EvalChecks(plan.Results(cfg, p, have, v.now))
	return p, nil
}

func unknownAddress(address string, known []string) error {
	return hint(fmt.Errorf("no block or instance has the address %s%s", address, didYouMean(address, "", known)),
		"addresses look like domain.web or 'domain.web[\"local/web01\"]'; vbk plan prints them")
}

func planCode(c *cli.Context, p plan.Plan) int {
	switch {
	case p.Failed():
		return exitFailed
	case c.Bool("fail-on-check") && slices.ContainsFunc(p.Checks, failed):
		return exitUnsound
	}
	return exitOK
}

func savePlan(path string, p plan.Plan) error {
	text, err := plan.Encode(p)
	if err == nil {
		err = replaceFile(path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	return nil
}

// isConfiguration keeps a plan from being written over a configuration, or a
// configuration from being read as one.
func isConfiguration(name string) bool {
	return strings.HasSuffix(name, ".vbk.hcl") || strings.HasSuffix(name, ".vbk.json")
}
