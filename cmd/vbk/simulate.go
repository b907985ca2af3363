package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
)

func (env *environment) simulateCommand() *cli.Command {
	return &cli.Command{
		Name: "simulate", Usage: "show what the policies would make and keep, day by day", ArgsUsage: "[ADDR...]",
		UsageText: "vbk simulate -for 400d [-o FILE.svg] [-days | -json] [FLAGS] [ADDR...]\n" +
			"       vbk simulate -for 400d -inventory FILE [FLAGS] [ADDR...]",
		Description: addresses + `

Without -inventory each domain block is played for one machine without points. With it, each
instance goes on from the points that it has, with its own size and measured changes.

  vbk simulate -for 400d domain.db
  vbk simulate -for 90d -size 200GiB -change 3% -o policy.svg
  vbk simulate -inventory inventory.json -change auto -json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "play so long: `D` such as 400d", Value: "400d"},
			&cli.StringFlag{Name: "from", Usage: "begin at `TIME` (default: now, or when -inventory was taken)"},
			&cli.StringFlag{Name: "jitter", Usage: "the timer is late by up to `D`, like RandomizedDelaySec of systemd", Value: "20m"},
			&cli.Uint64Flag{Name: "seed", Usage: "of the jitter: equal `N` give equal results"},
			&cli.StringFlag{Name: "change", Usage: "`SHARE` of the data that changes in a day (default: 2%, or auto: measured)"},
			&cli.StringFlag{Name: "size", Usage: "`SIZE` that a full stores (default: 100GiB, or measured)"},
			&cli.StringFlag{Name: "inventory", Usage: "play the machines in `FILE` of vbk survey, from the points that they have"},
			&cli.BoolFlag{Name: "days", Usage: "print every day"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.StringFlag{Name: "o", Usage: "write a picture to `FILE`.svg or FILE.html"},
		},
		Action: func(c *cli.Context) error {
			picture := c.String("o")
			if ext := filepath.Ext(picture); picture != "" && ext != ".svg" && ext != ".html" {
				return fmt.Errorf("flag -o: %s ends neither in .svg nor in .html", picture)
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			plays, err := env.plays(c, cfg)
			if err != nil {
				return err
			}
			all := plan.SimulateAll(plays)
			if picture != "" {
				if err := replaceFile(env.path(picture), drawing(all, filepath.Ext(picture)), 0o644); err != nil {
					return fmt.Errorf("write picture: %w", err)
				}
			}
			return env.showSimulations(all, c.Bool("json"), c.Bool("days"))
		},
	}
}

// plays are what is to be simulated: blocks, or the machines of an inventory.
func (env *environment) plays(c *cli.Context, cfg *config.Config) ([]plan.Play, error) {
	o := plan.SimulateOptions{From: env.now(), Seed: c.Uint64("seed"), Lives: c.IsSet("o")}
	var have *plan.Inventory
	if name := c.String("inventory"); name != "" {
		found, err := env.readInventory(name)
		if err != nil {
			return nil, err
		}
		have, o.From = &found, found.Taken
	}
	if err := assumeTimes(c, cfg, &o); err != nil {
		return nil, err
	}
	auto, err := assumeBytes(c, have != nil, &o)
	if err != nil {
		return nil, err
	}
	if have == nil {
		return chosen(plan.BlockPlays(cfg, o), c.Args().Slice())
	}
	return chosen(plan.InstancePlays(cfg, have.For(cfg), o, auto), c.Args().Slice())
}

// assumeTimes takes -for, -jitter and -from.
func assumeTimes(c *cli.Context, cfg *config.Config, o *plan.SimulateOptions) (err error) {
	if o.For, err = config.ParseDuration(c.String("for")); err != nil {
		return fmt.Errorf("flag -for: %w", err)
	}
	if o.For > maxSimulated {
		return fmt.Errorf("flag -for: %s is longer than 20 years", c.String("for"))
	}
	if text := c.String("jitter"); text != "0" {
		if o.Jitter, err = config.ParseDuration(text); err != nil {
			return fmt.Errorf("flag -jitter: %w", err)
		}
	}
	if text := c.String("from"); text != "" {
		if o.From, err = parseTime(text, cfg.TimeZone); err != nil {
			return fmt.Errorf("flag -from: %q is no time such as 2026-11-22T02:00", text)
		}
	}
	o.From = o.From.UTC()
	return nil
}

// assumeBytes takes -size and -change; auto asks to measure the changes.
func assumeBytes(c *cli.Context, measured bool, o *plan.SimulateOptions) (auto bool, err error) {
	switch text := c.String("change"); {
	case text == "auto" && !measured:
		return false, hint(errors.New("flag -change: auto needs -inventory: nothing else tells what changes"), "vbk survey -out FILE writes one")
	case text == "auto", text == "" && measured:
		auto = true
	case text == "":
		o.Change = plan.AssumedChange
	default:
		if o.Change, err = parseShare(text); err != nil {
			return false, fmt.Errorf("flag -change: %w", err)
		}
	}
	if text := c.String("size"); text != "" {
		if o.Full, err = config.ParseSize(text); err != nil {
			return false, fmt.Errorf("flag -size: %w", err)
		}
	} else if !measured {
		o.Full = 100 << 30
	}
	return auto, nil
}

// maxSimulated keeps a slip of the finger from running for hours.
const maxSimulated = config.Duration(20 * 366 * 24 * time.Hour)

// parseShare reads "2%" or "0.5%".
func parseShare(text string) (float64, error) {
	percent, isPercent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(percent, 64)
	if err != nil || !isPercent || !(n >= 0 && n <= 100) {
		return 0, fmt.Errorf("%q is no share such as 2%%, or auto", text)
	}
	return n / 100, nil
}

// chosen are the plays that the arguments name; all without any.
func chosen(plays []plan.Play, addresses []string) ([]plan.Play, error) {
	if len(addresses) == 0 {
		return plays, nil
	}
	var some []plan.Play
	used := make([]bool, len(addresses))
	for _, p := range plays {
		wanted := false
		for n, a := range addresses {
			if p.Want.Named(a) {
				wanted, used[n] = true, true
			}
		}
		if wanted {
			some = append(some, p)
		}
	}
	if n := slices.Index(used, false); n >= 0 {
		var known []string
		for _, p := range plays {
			known = append(known, p.Want.Address, p.Want.Block)
		}
		return nil, unknownAddress(addresses[n], known)
	}
	return some, nil
}
