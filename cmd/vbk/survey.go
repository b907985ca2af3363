package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
)

func (env *environment) surveyCommand() *cli.Command {
	return &cli.Command{
		Name: "survey", Usage: "save what exists, to plan from it elsewhere", UsageText: "vbk survey -out FILE",
		Description: `FILE is JSON: hosts with their domains, disks and checkpoints, stores with their points. With it,
vbk plan -inventory FILE and vbk simulate -inventory FILE need neither hypervisor nor store.

  vbk survey -out inventory.json`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "out", Usage: "write `FILE`; - is standard output"}},
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			out := c.String("out")
			if out == "" {
				return hint(errors.New("vbk survey needs -out FILE"), "vbk survey -out inventory.json")
			}
			if isConfiguration(out) {
				return fmt.Errorf("flag -out: %s is the name of a configuration", out)
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			have, err := w.survey(c.Context, cfg, vantage{now: env.now().UTC()})
			if err != nil {
				return err
			}
			return env.saveInventory(out, have)
		},
	}
}

// saveInventory writes what answered; what did not is in it as an error, which
// every plan from it will tell.
func (env *environment) saveInventory(out string, have plan.Inventory) error {
	text, err := plan.EncodeInventory(have)
	if err != nil {
		return err
	}
	if out == "-" {
		if _, err := env.stdout.Write(text); err != nil {
			return fmt.Errorf("write inventory: %w", err)
		}
	} else {
		if err := replaceFile(env.path(out), text, 0o600); err != nil {
			return fmt.Errorf("save inventory: %w", err)
		}
		fmt.Fprintf(env.stdout, "Saved %s and %s, %s, to %s.\n", count(len(have.Hosts), "host"), count(len(have.Stores), "store"), sizeOf(have), out)
	}
	code := exitOK
	told := func(object, problem, next string) {
		if problem != "" {
			env.complain(hint(fmt.Errorf("%s: %s", object, problem), "%s", next))
			code = exitFailed
		}
	}
	for _, h := range have.Hosts {
		told("host."+h.Name, h.Error, h.Hint)
	}
	for _, s := range have.Stores {
		told(s.Address, s.Error, s.Hint)
	}
	return exit(code)
}

// sizeOf is "12 domains, 340 points".
func sizeOf(have plan.Inventory) string {
	var domains, points int
	for _, h := range have.Hosts {
		domains += len(h.Domains)
	}
	for _, s := range have.Stores {
		for _, d := range s.Domains {
			for _, c := range d.Chains {
				points += len(c.Manifest.Points)
			}
		}
	}
	return count(domains, "domain") + ", " + count(points, "point")
}

// vantage is where a plan is made from.
type vantage struct {
	file   *plan.Inventory // of -inventory; nil: a survey
	now    time.Time
	unreal string // why what is planned from here can never be applied
}

// vantageFlags choose it.
func vantageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "inventory", Usage: "plan from `FILE` of vbk survey, at its time; needs neither hypervisor nor store"},
		&cli.StringFlag{Name: "now", Usage: "plan as if it were `TIME`, such as 2026-11-22T12:00; cannot be applied"},
	}
}

func (env *environment) vantage(c *cli.Context, cfg *config.Config) (vantage, error) {
	v := vantage{now: env.now()}
	if name := c.String("inventory"); name != "" {
		have, err := env.readInventory(name)
		if err != nil {
			return v, err
		}
		v.file, v.now = &have, have.Taken
		v.unreal = fmt.Sprintf("it was made from an inventory of %s", fullTime(have.Taken))
	}
	if text := c.String("now"); text != "" {
		now, err := parseTime(text, cfg.TimeZone)
		if err != nil {
			return v, fmt.Errorf("flag -now: %q is no time such as 2026-11-22T12:00 or 2026-11-22T12:00:00Z", text)
		}
		v.now = now
		v.unreal = fmt.Sprintf("it was made as if it were %s", fullTime(now))
	}
	return v, nil
}

func (env *environment) readInventory(name string) (plan.Inventory, error) {
	file, err := os.Open(env.path(name))
	if err != nil {
		return plan.Inventory{}, hint(err, "vbk survey -out FILE makes an inventory")
	}
	defer file.Close()
	have, err := plan.DecodeInventory(file)
	if err != nil {
		return plan.Inventory{}, hint(fmt.Errorf("%s: %w", name, err), "vbk survey -out FILE makes an inventory")
	}
	return have, nil
}

// survey looks at what a configuration names.
func (w *world) survey(ctx context.Context, cfg *config.Config, v vantage) (plan.Inventory, error) {
	if v.file != nil {
		return v.file.For(cfg), nil
	}
	have := plan.Survey(ctx, cfg, w.openers(), v.now)
	if ctx.Err() != nil {
		return plan.Inventory{}, context.Cause(ctx)
	}
	return have, nil
}

// surveyBoth looks once at what two configurations name. A name that means
// something else in each is looked at twice.
func (w *world) surveyBoth(ctx context.Context, base, next *config.Config, v vantage) (b, n plan.Inventory, err error) {
	if v.file != nil {
		return v.file.For(base), v.file.For(next), nil
	}
	both := config.Config{Hosts: slices.Clone(next.Hosts), Stores: slices.Clone(next.Stores)}
	hosts, stores := make([]int, len(base.Hosts)), make([]int, len(base.Stores))
	for k, h := range base.Hosts {
		hosts[k] = slices.IndexFunc(next.Hosts, func(o config.Host) bool { return o.Name == h.Name && o.URI == h.URI })
		if hosts[k] < 0 {
			hosts[k] = len(both.Hosts)
			both.Hosts = append(both.Hosts, h)
		}
	}
	for k, s := range base.Stores {
		stores[k] = slices.IndexFunc(next.Stores, func(o config.Store) bool { return o.Address() == s.Address() && o.Path == s.Path })
		if stores[k] < 0 {
			stores[k] = len(both.Stores)
			both.Stores = append(both.Stores, s)
		}
	}
	have, err := w.survey(ctx, &both, v)
	if err != nil {
		return b, n, err
	}
	n = plan.Inventory{Taken: have.Taken, Hosts: have.Hosts[:len(next.Hosts)], Stores: have.Stores[:len(next.Stores)]}
	b.Taken = have.Taken
	for _, at := range hosts {
		b.Hosts = append(b.Hosts, have.Hosts[at])
	}
	for _, at := range stores {
		b.Stores = append(b.Stores, have.Stores[at])
	}
	return b, n, nil
}
