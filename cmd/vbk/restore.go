package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/plan"
)

func (env *environment) restoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "write the disks of a point, and the domain's XML", ArgsUsage: "POINT",
		UsageText: "vbk restore POINT -o DIR [-format qcow2|raw] [-disk TARGET] [-define [-start] ...]\n" +
			"       vbk restore POINT -o DIR -instant ...\n" +
			"       vbk restore POINT -to DEVICE|IMAGE -format raw|qcow2 [-disk TARGET]\n" +
			"       vbk restore -i PATH [-until POINT] -o DIR ...",
		Description: points + "\n\n  vbk restore web01@latest -o /srv/restore\n  vbk restore web01@2026-11-22T12:00 -o /srv/restore -format raw -disk vda\n\n" +
			pathHelp + " The newest point that is sound is restored,\nunless -until names another: CHAIN.N, N, a checkpoint, or a time in UTC; of virtnbdbackup a\ncheckpoint, or how its name begins. Files of virtnbdbackup are first compared with the .chksum\nbeside them.\n\n" +
			machineHelp + "\n\n" + instantHelp + "\n\n" +
			"  vbk restore -i /mnt/usb/web01-4c1f9d2a -o /srv/restore -until 2026-11-22T12:00",
		Flags: append([]cli.Flag{
			pathFlag(),
			&cli.StringFlag{Name: "until", Usage: "with -i: the `POINT` to restore instead of the newest"},
			&cli.StringFlag{Name: "o", Usage: "write into `DIR`, which is made if absent; nothing in it is overwritten"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the disks: qcow2, or raw (sparse)", Value: "qcow2"},
			&cli.StringSliceFlag{Name: "disk", Usage: "only the disk `TARGET`; repeatable"},
			&cli.StringFlag{Name: "to", Usage: "write one disk over `PATH`, a block device or an image of -format; asks first"},
			&cli.BoolFlag{Name: "preallocate", Usage: "give the files all their space at once"},
			&cli.BoolFlag{Name: "resume", Usage: "complete the .partial files of a restore that was killed, or go on with -instant"},
			&cli.BoolFlag{Name: "instant", Usage: "define and start the machine at once, and copy its disks while it runs"},
			&cli.StringFlag{Name: "rate", Usage: "with -instant: copy each disk at `RATE` at most, such as 50MiB/s"},
		}, machineFlags()...),
		Action: func(c *cli.Context) error {
			if err := checkRestore(c); err != nil {
				return err
			}
			p, err := env.openPoint(c)
			if err != nil {
				return err
			}
			defer p.Close()
			for _, target := range c.StringSlice("disk") {
				if all := p.Targets(); !slices.Contains(all, target) {
					return fmt.Errorf("flag -disk: the point %s has no disk %s, only %s", p.name, target, strings.Join(all, ", "))
				}
			}
			if c.IsSet("to") {
				return env.restoreOver(c, p)
			}
			if c.Bool("instant") {
				return env.instant(c, p)
			}
			return env.restore(c, p)
		},
	}
}

// checkRestore looks at the arguments alone.
func checkRestore(c *cli.Context) error {
	what, err := pointArgument(c)
	if err != nil {
		return err
	}
	if err := checkMachine(c); err != nil {
		return err
	}
	if c.IsSet("rate") && !c.Bool("instant") {
		return errors.New("flag -rate belongs to -instant")
	}
	if c.IsSet("to") {
		return checkOver(c)
	}
	if c.String("o") == "" {
		return hint(errors.New("vbk restore needs a folder to write into: -o DIR"), "vbk restore %s -o /srv/restore", what)
	}
	if c.Bool("instant") {
		return checkInstant(c)
	}
	if f := c.String("format"); f != "qcow2" && f != "raw" {
		return fmt.Errorf("flag -format: %q is neither qcow2 nor raw", f)
	}
	return nil
}

// pointArgument is the point as the command line names it: POINT, or -i PATH with
// -until.
func pointArgument(c *cli.Context) (what string, err error) {
	path, byPath, err := fromPath(c, "a point")
	what = c.Args().First()
	switch {
	case err != nil:
		return "", err
	case byPath:
		return "-i " + path, nil
	case c.NArg() != 1:
		return "", hint(fmt.Errorf("vbk %s needs one point", c.Command.Name), "vbk list shows the points")
	case c.IsSet("until"):
		return "", fmt.Errorf("flag -until belongs to -i PATH: the point %s says itself until when", what)
	}
	return what, nil
}

// openPoint opens the point of the command line.
func (env *environment) openPoint(c *cli.Context) (opened, error) {
	if path := c.String("i"); path != "" {
		s, err := env.shelf(c.Context, path)
		if err != nil {
			return opened{}, err
		}
		return env.open(c.Context, s, c.String("until"), c.StringSlice("disk"))
	}
	cfg, err := env.load()
	if err != nil {
		return opened{}, err
	}
	f, err := env.newWorld(true).find(c.Context, cfg, c.Args().First())
	if err != nil {
		return opened{}, err
	}
	o, err := f.open()
	o.next = fmt.Sprintf("vbk verify -read-data '%s' tells what is lost; vbk list shows older points", f)
	o.drilled = f.recordDrill
	return o, o.failed(err)
}

func (env *environment) restore(c *cli.Context, p opened) error {
	r := executor.Restoration{Disks: c.StringSlice("disk"), Dir: env.path(c.String("o")), Format: c.String("format"), Enter: c.Bool("define"),
		Preallocate: c.Bool("preallocate"), Resume: c.Bool("resume")}
	if p.warning != "" {
		env.complain(errors.New("warning: " + p.warning))
	}
	var machine rebuild
	if c.Bool("define") {
		var err error
		if machine, err = env.prepareMachine(c, p, r); err != nil {
			return err
		}
		defer machine.close()
	}
	fmt.Fprintf(env.stdout, "Restoring %s of %s to %s.\n", p.name, p.when, r.Dir)
	view := restoreView{env: env, bars: env.newBars(), last: env.now()}
	files, err := executor.Restore(c.Context, p, r, view.progress)
	env.endBars()
	xml := false
	for _, file := range files {
		if file.Disk == "" {
			xml = xml || filepath.Base(file.Path) == "domain.xml"
			fmt.Fprintf(env.stdout, "  %s\n", file.Path)
		} else {
			fmt.Fprintf(env.stdout, "  %s  %s\n", file.Path, plan.Bytes(file.Size))
		}
	}
	if err == nil && !xml {
		fmt.Fprintln(env.stdout, "  (no definition of the domain is stored with this point)")
	}
	if err == nil && c.Bool("define") {
		return machine.finish(c, env)
	}
	return p.failed(mended(err, r.Dir))
}

// restoreView shows bars on a terminal, and prints a line every 30 s otherwise.
type restoreView struct {
	env  *environment
	what string // what is shown is of: "disk", or "machine"
	bars *bars
	mu   sync.Mutex
	last time.Time

	first map[string]seen // of each disk: what was done already is not the work of this run
}

// seen is how far a disk was at a time, in bytes.
type seen struct {
	at   time.Time
	done int64
}

func (v *restoreView) progress(disk string, done, total int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bars != nil {
		v.bars.set(disk, "", disk, done, total)
		return
	}
	now := v.env.now()
	if _, known := v.first[disk]; !known {
		if v.first == nil {
			v.first = map[string]seen{}
		}
		v.first[disk] = seen{now, done}
	}
	if now.Sub(v.last) >= quietInterval {
		v.last = now
		from := v.first[disk]
		_, left := pace(done-from.done, total-from.done, now.Sub(from.at))
		fmt.Fprintf(v.env.stdout, "  %s %s: %s of %s, %s left\n", cmp.Or(v.what, "disk"), disk, plan.Bytes(done), plan.Bytes(total), left)
	}
}
