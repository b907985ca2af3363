package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
)

func (env *environment) applyCommand() *cli.Command {
	return &cli.Command{
		Name: "apply", Usage: "do what plan shows, or exactly a saved plan", ArgsUsage: "[PLANFILE]",
		UsageText: "vbk apply [-auto-approve] [-parallelism N] [-lock-timeout D] [plan flags]\n   vbk apply PLANFILE",
		Flags: append(planFlags(),
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask"},
			&cli.IntFlag{Name: "parallelism", Usage: "instances side by side in all", Value: 4},
			&cli.StringFlag{Name: "lock-timeout", Usage: "wait for another vbk for `D`, such as 10m", Value: "0s"}),
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return fmt.Errorf("vbk apply takes one plan file, got %d", c.NArg())
			}
			wait, err := time.ParseDuration(c.String("lock-timeout"))
			if err != nil || wait < 0 {
				return fmt.Errorf("flag -lock-timeout: %q is no duration such as 10m", c.String("lock-timeout"))
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(false)
			defer w.close()
			a := application{world: w, parallel: c.Int("parallelism"), wait: wait}
			if c.NArg() == 1 {
				return a.saved(c.Context, cfg, c.Args().First(), c)
			}
			return a.fresh(c.Context, cfg, planOptions(c), c.Bool("auto-approve"))
		},
	}
}

type application struct {
	*world
	parallel int
	wait     time.Duration
}

// fresh plans, asks and does.
func (a application) fresh(ctx context.Context, cfg *config.Config, o plan.Options, approved bool) error {
	p, err := a.plan(ctx, cfg, o)
	if err != nil {
		return err
	}
	a.env.showPlan(p)
	if p.Empty() {
		return exit(planCode(p))
	}
	if !approved {
		if err := a.env.ask(); err != nil {
			return err
		}
	}
	return a.run(ctx, p, len(p.Failures))
}

// saved does a reviewed plan: its decisions, with everything else from the
// configuration.
func (a application) saved(ctx context.Context, cfg *config.Config, path string, c *cli.Context) error {
	for _, f := range planFlags() {
		if c.IsSet(f.Names()[0]) {
			return fmt.Errorf("flag -%s has no meaning with a saved plan", f.Names()[0])
		}
	}
	reviewed, err := readPlan(a.env.path(path))
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
	return a.run(ctx, bound, len(refused)+len(now.Failures))
}

// run executes and ends with the summary; problems counts what failed before.
func (a application) run(ctx context.Context, p plan.Plan, problems int) error {
	view := newRunView(a.env, p)
	b := a.bindings(a.parallel, view.event)
	b.LockTimeout = a.wait
	result := executor.Run(ctx, p, b)
	view.close(result)
	if result.Failed+problems > 0 || ctx.Err() != nil {
		return exit(exitFailed)
	}
	return nil
}

// ask wants the word yes, as Terraform does.
func (env *environment) ask() error {
	if env.getenv("VBK_INPUT") == "0" {
		return hint(errors.New("apply needs approval, and VBK_INPUT=0 forbids to ask"), "review with vbk plan -out FILE and run vbk apply FILE, or add -auto-approve")
	}
	fmt.Fprintf(env.stdout, "\nDo you want to perform these actions?\n  Only \"yes\" is accepted.\n\n  Enter a value: ")
	answer, err := bufio.NewReader(env.stdin).ReadString('\n')
	if strings.TrimSpace(answer) != "yes" {
		fmt.Fprintln(env.stdout)
		if err != nil && answer == "" {
			return hint(errors.New("apply cancelled: no answer"), "add -auto-approve where nobody can answer")
		}
		return errors.New("apply cancelled")
	}
	fmt.Fprintln(env.stdout)
	return nil
}
