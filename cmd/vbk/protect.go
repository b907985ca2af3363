package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/store"
)

func (env *environment) protectCommand() *cli.Command {
	return &cli.Command{
		Name: "protect", Usage: "keep a point whatever the rules say, or lift that", ArgsUsage: "POINT",
		UsageText: "vbk protect POINT -why TEXT [-until TIME]\n       vbk protect POINT -off",
		Description: points + "\n\nA protected point, and what it needs, is never deleted and never merged into another.\n\n" +
			"  vbk protect web01@latest -why 'before the upgrade' -until 90d\n  vbk protect web01@latest -off",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "why", Usage: "the reason `TEXT`, which vbk list and vbk plan show"},
			&cli.StringFlag{Name: "until", Usage: "until `TIME`: 2027-01-31, 2027-01-31T12:00, or 90d from now"},
			&cli.BoolFlag{Name: "off", Usage: "lift the protection"},
		},
		Action: func(c *cli.Context) error {
			if err := checkProtect(c); err != nil {
				return err
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			p, err := env.protection(c, cfg)
			if err != nil {
				return err
			}
			w := env.newWorld(false)
			defer w.close()
			return w.protect(c, cfg, p)
		},
	}
}

// checkProtect looks at the arguments alone.
func checkProtect(c *cli.Context) error {
	switch {
	case c.NArg() != 1:
		return hint(errors.New("vbk protect needs one point"), "vbk list shows the points")
	case c.Bool("off") && (c.IsSet("until") || c.IsSet("why")):
		return errors.New("flag -off lifts a protection: it goes with neither -until nor -why")
	case !c.Bool("off") && strings.TrimSpace(c.String("why")) == "":
		return hint(errors.New("vbk protect needs a reason: -why TEXT"), "vbk protect %s -why 'before the upgrade'", c.Args().First())
	}
	return nil
}

// protection is what the flags ask for; nil for none.
func (env *environment) protection(c *cli.Context, cfg *config.Config) (*store.Protection, error) {
	if c.Bool("off") {
		return nil, nil
	}
	hostname, _ := os.Hostname() // only for people
	user := cmp.Or(env.getenv("SUDO_USER"), env.getenv("USER"), "unknown")
	p := &store.Protection{By: user + "@" + hostname, Why: c.String("why")}
	if !c.IsSet("until") {
		return p, nil
	}
	if d, err := config.ParseDuration(c.String("until")); err == nil {
		p.Until = env.now().Add(time.Duration(d)).UTC()
	} else if t, err := parseTime(c.String("until"), cfg.TimeZone); err == nil {
		p.Until = t.UTC()
	} else {
		return nil, fmt.Errorf("flag -until: %q is neither a time such as 2027-01-31 or 2027-01-31T12:00, nor a span such as 90d", c.String("until"))
	}
	if !p.Until.After(env.now()) {
		return nil, fmt.Errorf("flag -until: %s UTC is over already", shortTime(p.Until))
	}
	return p, nil
}

func (w *world) protect(c *cli.Context, cfg *config.Config, p *store.Protection) error {
	f, err := w.find(c.Context, cfg, c.Args().First())
	if err != nil {
		return err
	}
	now := w.env.now()
	err = executor.Protect(c.Context, bind.Store{Store: f.repo}, w.self(f.folder.UUID), f.folder.Folder, f.chain.Name, f.point.Sequence, p, now)
	if err != nil {
		return failWith(exitFailed, mended(fmt.Errorf("protect %s: %w", f, err), f.repo.Path()))
	}
	switch {
	case p == nil:
		fmt.Fprintf(w.env.stdout, "%s is not protected any more.\n", f)
	case p.Until.IsZero():
		fmt.Fprintf(w.env.stdout, "%s is protected until vbk protect -off: %s\n", f, p.Why)
	default:
		fmt.Fprintf(w.env.stdout, "%s is protected until %s UTC: %s\n", f, shortTime(p.Until), p.Why)
	}
	return nil
}

// self is the record of this process in the lock of a domain's folder.
func (w *world) self(uuid string) store.Attempt {
	record := w.bindings(1, nil).Self
	record.Since, record.Domain = w.env.now().UTC(), uuid
	return record
}
