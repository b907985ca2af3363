package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
		UsageText:   "vbk plan [-out FILE] [FLAGS]",
		Description: addresses,
		Flags: append(planFlags(),
			&cli.StringFlag{Name: "out", Usage: "save the plan to `FILE` for vbk apply FILE"},
			&cli.BoolFlag{Name: "detailed-exitcode", Usage: "exit 2 if there are changes"}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if isConfiguration(c.String("out")) {
				return fmt.Errorf("flag -out: %s is the name of a configuration", c.String("out"))
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			p, err := w.plan(c.Context, cfg, planOptions(c))
			if err != nil {
				return err
			}
			env.showPlan(p)
			if out := c.String("out"); out != "" {
				if err := savePlan(env.path(out), p); err != nil {
					return err
				}
				fmt.Fprintf(env.stdout, "\nSaved the plan to %s. To do exactly this:\n  vbk apply %s\n", out, out)
			}
			code := planCode(p)
			if code == exitOK && !p.Empty() && c.Bool("detailed-exitcode") {
				code = exitChanges
			}
			return exit(code)
		},
	}
}

// plan surveys and decides.
func (w *world) plan(ctx context.Context, cfg *config.Config, o plan.Options) (plan.Plan, error) {
	inventory := plan.Survey(ctx, cfg, w.openers(), w.env.now())
	if err := ctx.Err(); err != nil {
		return plan.Plan{}, context.Cause(ctx)
	}
	p := plan.Make(cfg, inventory, o, w.env.now())
	if unknown := plan.UnknownAddresses(cfg, p, o); len(unknown) > 0 {
		return plan.Plan{}, hint(fmt.Errorf("no block or instance has the address %s", unknown[0]),
			"addresses look like domain.web or 'domain.web[\"local/web01\"]'; vbk plan prints them")
	}
	return p, nil
}

func planCode(p plan.Plan) int {
	if p.Failed() {
		return exitFailed
	}
	return exitOK
}

// savePlan replaces FILE whole: a reader never sees half a plan.
func savePlan(path string, p plan.Plan) error {
	text, err := plan.Encode(p)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".vbk-plan-*")
	if err != nil {
		return fmt.Errorf("save plan: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(text)
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
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

// readPlan takes the name as it was typed, for the hint.
func (env *environment) readPlan(name string) (plan.Plan, error) {
	if isConfiguration(name) {
		return plan.Plan{}, hint(fmt.Errorf("%s is a configuration, not a saved plan", name), "vbk plan -out FILE saves a plan; -chdir names the directory of the configuration")
	}
	text, err := os.ReadFile(env.path(name))
	if err != nil {
		return plan.Plan{}, fmt.Errorf("read plan: %w", err)
	}
	p, err := plan.Decode(text)
	if err != nil {
		return plan.Plan{}, hint(fmt.Errorf("%s: %w", name, err), "make it again: vbk plan -out %s", name)
	}
	return p, nil
}

func (env *environment) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "print a saved plan, stale or not", UsageText: "vbk show PLANFILE", ArgsUsage: "PLANFILE",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("vbk show needs one plan file")
			}
			p, err := env.readPlan(c.Args().First())
			if err != nil {
				return err
			}
			env.showPlan(p)
			return nil
		},
	}
}
