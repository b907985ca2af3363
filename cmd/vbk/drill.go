package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/store"
)

func (env *environment) drillCommand() *cli.Command {
	return &cli.Command{
		Name: "drill", Usage: "boot a point, apart from everything, and tell how long it takes", ArgsUsage: "POINT",
		UsageText: "vbk drill POINT [-wait boot|agent] [-boot TEXT] [-timeout D]\n" +
			"       vbk drill -i PATH [-until POINT] ...",
		Description: points + "\n\nA copy of the machine runs on disks that are served from the point, under another name, without\n" +
			"network and without devices of the host. What it writes is forgotten, also to its copies of\nthe firmware's variables and the TPM; the point and the original are not touched. The store\nremembers how it went, unless by -i: vbk status tells. Exit code 4: it has not booted.\n\n" +
			"  vbk drill web01@latest -boot 'web01 login:'\n  vbk drill web01@latest -wait agent -timeout 5m\n\n" + pathHelp,
		Flags: append([]cli.Flag{
			pathFlag(),
			&cli.StringFlag{Name: "until", Usage: "with -i: the `POINT` to boot instead of the newest"},
			&cli.StringFlag{Name: "wait", Usage: "`FOR` boot (a text on the serial console) or agent (it connects)", Value: "boot"},
			&cli.StringFlag{Name: "boot", Usage: "`TEXT` on the console that says it has booted", Value: "login:"},
			&cli.DurationFlag{Name: "timeout", Usage: "wait no longer than `D`", Value: 3 * time.Minute},
			&cli.StringFlag{Name: "scratch", Usage: "keep what it writes in `DIR`, which QEMU's user can enter", DefaultText: "TMPDIR"},
		}, hostFlags()...),
		Action: func(c *cli.Context) error {
			if err := checkDrill(c); err != nil {
				return err
			}
			p, err := env.openPoint(c)
			if err != nil {
				return err
			}
			defer p.Close()
			host, uri, err := env.openMachines(c)
			if err != nil {
				return err
			}
			return errors.Join(env.drill(c, p, host, uri), host.Close())
		},
	}
}

// checkDrill looks at the arguments alone.
func checkDrill(c *cli.Context) error {
	_, byPath, err := fromPath(c, "a point")
	switch {
	case err != nil:
		return err
	case !byPath && c.NArg() != 1:
		return hint(errors.New("vbk drill needs one point"), "vbk list shows the points")
	case !byPath && c.IsSet("until"):
		return fmt.Errorf("flag -until belongs to -i PATH: the point %s says itself until when", c.Args().First())
	case c.String("wait") != "boot" && c.String("wait") != "agent":
		return fmt.Errorf("flag -wait: %q is neither boot nor agent", c.String("wait"))
	case c.String("boot") == "" || c.IsSet("boot") && c.String("wait") == "agent":
		return errors.New("flag -boot: a text, and not with -wait agent")
	case c.Duration("timeout") <= 0:
		return errors.New("flag -timeout: more than nothing")
	}
	return checkHost(c)
}

func (env *environment) drill(c *cli.Context, p opened, host hypervisor, uri string) error {
	d, err := env.drillFor(c, uri)
	if err != nil {
		return err
	}
	if p.warning != "" {
		env.complain(errors.New("warning: " + p.warning))
	}
	fmt.Fprintf(env.stdout, "Booting %s of %s as %s.\n", p.name, p.when, d.Name)
	limit := fmt.Errorf("it had %v", c.Duration("timeout"))
	ctx, cancel := context.WithTimeoutCause(c.Context, c.Duration("timeout"), limit)
	defer cancel()
	began := env.now()
	result, err := d.Run(ctx, p, host)
	if p.drilled != nil && c.Context.Err() == nil {
		if err := p.drilled(c.Context, drillOf(began, result, err)); err != nil {
			env.complain(fmt.Errorf("warning: %w", err))
		}
	}
	for _, change := range result.Changes {
		fmt.Fprintf(env.stdout, "  %s\n", change)
	}
	var silent *executor.NotBootedError
	if errors.As(err, &silent) {
		if said := strings.TrimSpace(printable(result.Console)); said != "" {
			fmt.Fprintf(env.stdout, "The end of its console:\n%s\n", said)
		}
		return failWith(exitUnsound, err)
	}
	if err != nil {
		return p.failed(mended(err, d.Scratch))
	}
	fmt.Fprintf(env.stdout, "Booted after %v.\n", result.Took.Round(100*time.Millisecond))
	return nil
}

// drillFor is the drill that the flags ask for.
func (env *environment) drillFor(c *cli.Context, uri string) (executor.Drill, error) {
	id, err := drawUUID(env.random)
	if err != nil {
		return executor.Drill{}, err
	}
	d := executor.Drill{
		Name: "vbk-drill-" + id[:8], UUID: id, URI: uri, Scratch: env.path(c.String("scratch")), Boot: c.String("boot"), Trust: c.Bool("trust-xml"),
		Now: env.now, Report: env.servingFailed,
	}
	if c.String("scratch") == "" {
		d.Scratch = os.TempDir()
	}
	if c.String("wait") == "agent" {
		d.Boot = ""
	}
	if env.guard != nil {
		d.Guard = func(folder string) (func() error, error) { return env.guard(guardDrill, uri, id, folder) }
	}
	return d, nil
}

// drillOf is what the store remembers of a drill, vbk status tells it.
func drillOf(began time.Time, result executor.Drilled, err error) store.Drill {
	d := store.Drill{Began: began.UTC(), TookMS: result.Took.Milliseconds()}
	if err != nil {
		d.Error = store.OneLine(err)
	}
	return d
}

// recordDrill notes how a drill of the point went.
func (f found) recordDrill(ctx context.Context, d store.Drill) error {
	d.Point = pointName(f.chain, f.point)
	return f.repo.RecordDrill(ctx, f.folder.Folder, store.Outcomes{UUID: f.folder.UUID, Domain: f.folder.Name, Version: version}, d)
}

// printable is what a guest said, without what a terminal would obey.
func printable(said []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(said), "?"))
}
