package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/plan"
	"vbk/store"
)

func (env *environment) restoreCommand() *cli.Command {
	return &cli.Command{
		Name: "restore", Usage: "write the disks of a point, and the domain's XML", ArgsUsage: "POINT",
		UsageText:   "vbk restore POINT -o DIR [-format qcow2|raw] [-disk TARGET]",
		Description: points + "\n\n  vbk restore web01@latest -o /srv/restore\n  vbk restore web01@2026-11-22T12:00 -o /srv/restore -format raw -disk vda",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "o", Usage: "write into `DIR`, which is made if absent; nothing in it is overwritten"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the disks: qcow2, or raw (sparse)", Value: "qcow2"},
			&cli.StringSliceFlag{Name: "disk", Usage: "only the disk `TARGET`; repeatable"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return hint(errors.New("vbk restore needs one point"), "vbk list shows the points")
			}
			if c.String("o") == "" {
				return hint(errors.New("vbk restore needs a folder to write into: -o DIR"), "vbk restore %s -o /srv/restore", c.Args().First())
			}
			if f := c.String("format"); f != "qcow2" && f != "raw" {
				return fmt.Errorf("flag -format: %q is neither qcow2 nor raw", f)
			} else if f == "qcow2" && !writesQcow2 {
				return hint(errors.New("this is the static build of vbk, which writes no qcow2"),
					"use -format raw, and qemu-img convert if need be, or the build with cgo (CGO_ENABLED=1)")
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			w := env.newWorld(true)
			defer w.close()
			f, err := w.find(c.Context, cfg, c.Args().First())
			if err != nil {
				return err
			}
			for _, target := range c.StringSlice("disk") {
				if _, ok := f.point.Disk(target); !ok {
					return fmt.Errorf("flag -disk: the point %s has no disk %s, only %s", f, target, strings.Join(targets(f.point), ", "))
				}
			}
			r := executor.Restoration{Folder: f.folder.Folder, Chain: f.chain.Name, Sequence: f.point.Sequence,
				Disks: c.StringSlice("disk"), Dir: env.path(c.String("o")), Format: c.String("format")}
			return w.restore(c, f, r)
		},
	}
}

func (w *world) restore(c *cli.Context, f found, r executor.Restoration) error {
	fmt.Fprintf(w.env.stdout, "Restoring %s of %s UTC to %s.\n", f, shortTime(f.point.Start), r.Dir)
	view := restoreView{env: w.env, bars: w.env.newBars(), last: w.env.now()}
	files, err := executor.Restore(c.Context, localStore{w.stores[f.store.Address()]}, r, view.progress)
	w.env.endBars()
	for _, file := range files {
		if file.Disk == "" {
			fmt.Fprintf(w.env.stdout, "  %s\n", file.Path)
		} else {
			fmt.Fprintf(w.env.stdout, "  %s  %s\n", file.Path, plan.Bytes(file.Size))
		}
	}
	if err != nil {
		if damaged(f.chain, err) {
			return failWith(exitUnsound, hint(err, "vbk verify -read-data '%s' tells what is lost; vbk list shows older points", f))
		}
		return failWith(exitFailed, err)
	}
	return nil
}

// damaged says whether a failure is the chain's: something in it is known to be
// wrong, or a reader found it to be.
func damaged(c store.Chain, err error) bool {
	return len(c.Problems) > 0 || executor.IsDamage(err)
}

// restoreView shows bars on a terminal, and prints a line every 30 s otherwise.
type restoreView struct {
	env  *environment
	bars *bars
	mu   sync.Mutex
	last time.Time
}

func (v *restoreView) progress(disk string, done, total int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.bars != nil {
		v.bars.set(disk, disk, done, total)
		return
	}
	if now := v.env.now(); now.Sub(v.last) >= quietInterval {
		v.last = now
		fmt.Fprintf(v.env.stdout, "  disk %s: %s of %s\n", disk, plan.Bytes(done), plan.Bytes(total))
	}
}
