package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
)

func (env *environment) applyCommand() *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "do what plan shows, or exactly a saved plan", ArgsUsage: "[PLANFILE]",
		UsageText: "vbk apply [FLAGS]\n       vbk apply PLANFILE [-parallelism N] [-lock-timeout D] [-json]",
		Description: addresses + `

Without PLANFILE it plans, shows the plan, and asks. A saved plan is done without a question, and nothing
else: what would be done differently by now is refused.

  vbk apply
  vbk apply tonight.plan
  vbk apply -auto-approve -lock-timeout 10m
  vbk apply -target domain.db -no-prune`,
		Before: env.openStreams,
		Flags: append(append(planFlags(), streamFlags()...),
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask"},
			&cli.IntFlag{Name: "parallelism", Usage: "`N` machines side by side in all; max_parallel bounds each host", Value: 4},
			&cli.StringFlag{Name: "lock-timeout", Usage: "wait so long for another vbk: `D` such as 10m", Value: "0s"}),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return fmt.Errorf("vbk apply takes one plan file, got %d", c.NArg())
			}
			wait, err := time.ParseDuration(c.String("lock-timeout"))
			if err != nil || wait < 0 {
				return fmt.Errorf("flag -lock-timeout: %q is no duration such as 10m", c.String("lock-timeout"))
			}
			if n := c.Int("parallelism"); n < 1 {
				return fmt.Errorf("flag -parallelism: %d is less than 1", n)
			}
			if c.Bool("json") && c.NArg() == 0 && !c.Bool("auto-approve") {
				return hint(errors.New("flag -json: nobody can be asked for approval"), "add -auto-approve, or apply a plan that was reviewed: vbk apply PLANFILE -json")
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(false)
			defer w.close()
			a := application{world: w, parallel: c.Int("parallelism"), wait: wait}
			if c.NArg() == 1 {
				return a.saved(c, cfg, c.Args().First())
			}
			return a.fresh(c, cfg)
		},
	}
}

type application struct {
	*world
	parallel int
	wait     time.Duration
}

// fresh plans, asks and does.
func (a application) fresh(c *cli.Context, cfg *config.Config) error {
	ctx := c.Context
	p, err := a.planAlone(ctx, cfg, planOptions(c))
	if err != nil {
		return err
	}
	a.env.showPlan(p)
	if p.Empty() {
		a.refused(ctx, p)
		return exit(planCode(c, p))
	}
	if c.Bool("auto-approve") {
		fmt.Fprintln(a.env.stdout)
	} else if err := a.env.ask(ctx); err != nil {
		return err
	}
	view := newRunView(a.env, p)
	for _, i := range p.Instances {
		view.known[i.Want.Address] = i.Error
	}
	err = a.run(ctx, p, view, len(p.Failures))
	if err == nil {
		err = exit(planCode(c, p))
	}
	return err
}

// refused runs a plan without actions: what could not be planned is for the fail hooks,
// and for whoever asks for the status later. The plan has told it here.
func (a application) refused(ctx context.Context, p plan.Plan) {
	view := newRunView(a.env, p)
	executor.Run(ctx, p, a.bindings(a.parallel, func(e executor.Event) {
		if e.Kind == executor.Warned {
			view.event(e)
		}
	}))
}

// planAlone plans again, as long as -lock-timeout allows, while another vbk is
// at work.
func (a application) planAlone(ctx context.Context, cfg *config.Config, o plan.Options) (plan.Plan, error) {
	deadline := time.After(a.wait)
	for {
		p, err := a.plan(ctx, cfg, o)
		locked := slices.ContainsFunc(p.Instances, func(i plan.Instance) bool { return i.Locked })
		if err != nil || a.wait == 0 || !locked {
			return p, err
		}
		select {
		case <-time.After(time.Second):
			a.close()
		case <-deadline:
			return p, nil
		case <-ctx.Done():
			return p, context.Cause(ctx)
		}
	}
}

// saved does a reviewed plan: its decisions, with everything else from the
// configuration.
func (a application) saved(c *cli.Context, cfg *config.Config, path string) error {
	ctx := c.Context
	for _, f := range planFlags() {
		if c.IsSet(f.Names()[0]) {
			return fmt.Errorf("flag -%s has no meaning with a saved plan", f.Names()[0])
		}
	}
	reviewed, err := a.env.readPlan(path)
	if err != nil {
		return err
	}
	now, err := a.plan(ctx, cfg, plan.Options{Version: version})
	if err != nil {
		return err
	}
	bound, refused := plan.Bind(reviewed, now)
	for _, f := range now.Failures {
		a.env.complain(hint(fmt.Errorf("%s: %s", f.Object, f.Error), "%s", f.Hint))
	}
	for _, r := range refused {
		a.env.complain(hint(fmt.Errorf("%s: the plan is stale: %s", r.Address, r.Why), "run vbk plan again and review it"))
	}
	a.env.tellPlan(bound)
	return a.run(ctx, bound, newRunView(a.env, bound), len(refused)+len(now.Failures))
}

// run executes and ends with the summary; problems counts what failed before.
func (a application) run(ctx context.Context, p plan.Plan, view *runView, problems int) error {
	b := a.bindings(a.parallel, view.event)
	b.LockTimeout = a.wait
	result := executor.Run(ctx, p, b)
	result.Failed += problems
	view.close(result, ctx.Err() != nil)
	if problems > 0 || ctx.Err() != nil {
		return exit(graver(view.code, exitFailed))
	}
	return exit(view.code)
}
