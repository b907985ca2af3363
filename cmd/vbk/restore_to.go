package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/plan"
)

// checkOver looks at the arguments of -to alone.
func checkOver(c *cli.Context) error {
	for _, name := range []string{"o", "define", "instant", "resume", "preallocate"} {
		if c.IsSet(name) {
			return fmt.Errorf("flags -to and -%s exclude each other", name)
		}
	}
	if f := c.String("format"); !c.IsSet("format") || f != "raw" && f != "qcow2" {
		return hint(errors.New("vbk restore -to needs to know what is there: -format raw or -format qcow2"), "qemu-img info tells of an image; a block device is raw")
	}
	return nil
}

// restoreOver writes one disk over an image or a device.
func (env *environment) restoreOver(c *cli.Context, p opened) error {
	disks := c.StringSlice("disk")
	if len(disks) == 0 {
		disks = p.Targets()
	}
	if len(disks) != 1 {
		return fmt.Errorf("flag -to takes one disk: -disk names %s", strings.Join(p.Targets(), " or "))
	}
	o := executor.Overwriting{Disk: disks[0], Path: env.path(c.String("to")), Format: c.String("format")}
	info, err := os.Stat(o.Path)
	if err != nil {
		return fmt.Errorf("flag -to: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() && (mode&os.ModeDevice == 0 || mode&os.ModeCharDevice != 0) {
		return fmt.Errorf("flag -to: %s is neither a block device nor a file", c.String("to"))
	}
	if info.Mode().IsRegular() && !overwritesImages {
		return hint(errors.New("this is the static build of vbk, which overwrites block devices and no images"), "use -o DIR, or the build with cgo (CGO_ENABLED=1)")
	}
	if p.warning != "" {
		env.complain(errors.New("warning: " + p.warning))
	}
	fmt.Fprintf(env.stdout, "Restoring disk %s of %s of %s over %s.\nWhat is there now is lost. ", o.Disk, p.name, p.when, o.Path)
	if err := env.confirm(c.Context, c.String("to")); err != nil {
		return err
	}
	view := restoreView{env: env, bars: env.newBars(), last: env.now()}
	result, err := executor.RestoreTo(c.Context, p, o, func(done, total int64) { view.progress(o.Disk, done, total) })
	env.endBars()
	if err != nil {
		return p.failed(err)
	}
	fmt.Fprintf(env.stdout, "  %s  %s\n", o.Path, plan.Bytes(result.Size))
	if result.Behind > 0 {
		fmt.Fprintf(env.stdout, "  %s behind the disk's end are as they were\n", plan.Bytes(result.Behind))
	}
	if result.Partitions {
		fmt.Fprintln(env.stdout, "  its partition table was read again")
	}
	if result.Stale != nil {
		env.complain(hint(fmt.Errorf("warning: the kernel still has the old partition table of %s: %w", o.Path, result.Stale), "partprobe %s", o.Path))
	}
	return nil
}
