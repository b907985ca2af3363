package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
)

const instantHelp = "-instant defines and starts the machine at once. Its disks are new qcow2 images in DIR that lie\n" +
	"on the point, which a server beside it exports; QEMU copies what is missing, one disk after the\n" +
	"other, while the machine runs. Ctrl-C, or the end of this command, leaves that at work, with the\n" +
	"disk that it is at; the same command with -resume goes on with all, from whatever state they are in."

// checkInstant looks at the arguments of -instant alone.
func checkInstant(c *cli.Context) error {
	switch {
	case !hasLibvirt:
		return hint(errors.New("this is the static build of vbk, which starts no machines"), "install the .deb or .rpm, or build vbk with cgo")
	case c.IsSet("format") && c.String("format") != "qcow2":
		return errors.New("flag -format: the disks of -instant are qcow2")
	case c.IsSet("preallocate"):
		return errors.New("flags -instant and -preallocate exclude each other")
	}
	_, err := rateOf(c)
	return err
}

// rateOf is the value of -rate, bytes a second; 0 is any.
func rateOf(c *cli.Context) (int64, error) {
	if !c.IsSet("rate") {
		return 0, nil
	}
	n, err := config.ParseRate(c.String("rate"))
	if err != nil {
		return 0, fmt.Errorf("flag -rate: %w", err)
	}
	return n, nil
}

// instant is a machine that runs before its disks are restored.
type instant struct {
	executor.Instant
	env    *environment
	host   hypervisor
	point  opened
	server detached // if this vbk has started it
	dir    string
}

func (env *environment) instant(c *cli.Context, p opened) error {
	if p.warning != "" {
		env.complain(errors.New("warning: " + p.warning))
	}
	m, err := env.machine(c)
	if err != nil {
		return err
	}
	r := executor.Restoration{Disks: c.StringSlice("disk"), Dir: env.path(c.String("o")), Resume: c.Bool("resume")}
	i := instant{env: env, point: p, dir: r.Dir}
	if i.Instant, err = m.Instant(p, r, p.exact); err != nil {
		return failWith(exitFailed, err)
	}
	if i.Rate, err = rateOf(c); err != nil {
		return err
	}
	var uri string
	if i.host, uri, err = env.openMachines(c); err != nil {
		return err
	}
	defer i.host.Close()
	if guard := env.guards(guardPaused); guard != nil {
		i.Guard = func() (func() error, error) { return guard(uri, i.UUID) }
	}
	if err := i.Check(c.Context, i.host); err != nil {
		return failWith(exitFailed, err)
	}
	lock, err := i.Lock()
	if err != nil {
		return failWith(exitFailed, err)
	}
	defer lock.Close()
	if err := i.Write(c.Context, p); err != nil {
		return p.failed(err)
	}
	if !i.Alone() {
		if err := i.begin(c.Context, uri); err != nil {
			return failWith(exitFailed, err)
		}
	}
	return i.finish(c.Context)
}

// begin has the point served and the machine run.
func (i *instant) begin(ctx context.Context, uri string) error {
	env := i.env
	fmt.Fprintf(env.stdout, "Restoring %s of %s to %s while it runs.\n", i.point.name, i.point.when, i.dir)
	if err := i.serve(ctx); err != nil {
		return hint(err, "the same command with -resume tries again")
	}
	if err := i.Start(ctx, i.host, uri); err != nil {
		return hint(err, "%s", cmp.Or(hintOf(err), "the same command with -resume tries again; or remove "+i.dir+", which ends the server"))
	}
	for _, change := range i.Changes {
		fmt.Fprintf(env.stdout, "  %s\n", change)
	}
	fmt.Fprintf(env.stdout, "\n%s, UUID %s, runs on %s. Until its disks are copied it needs the backup and\n", i.Name, i.UUID, uri)
	if i.server.pid != 0 {
		fmt.Fprintf(env.stdout, "process %d, which serves it. This command may be interrupted; that process may not: if it ends, the machine\n", i.server.pid)
	} else {
		fmt.Fprintf(env.stdout, "the process that serves %s. This command may be interrupted; that one may not: if it ends, the machine\n", i.Socket())
	}
	fmt.Fprintf(env.stdout, "stops, as if its power were cut at worst: the same command with -resume goes on.\n")
	return nil
}

// serve has the point served on the socket by a process of its own.
func (i *instant) serve(ctx context.Context) (err error) {
	if i.Served(ctx) {
		return nil
	}
	if err := i.RemoveSocket(); err != nil {
		return err
	}
	args := append([]string{"serve", "-socket", i.Socket()}, i.point.path...)
	for _, target := range i.Disks() {
		args = append(args, "-disk", target)
	}
	for _, image := range i.Images() {
		args = append(args, "-while", image)
	}
	if i.server, err = i.env.detach(args, i.log()); err != nil {
		return fmt.Errorf("start the server of the disks: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !i.Served(ctx) {
		select {
		case <-tick.C:
		case err := <-i.server.ended:
			said, _ := os.ReadFile(i.log())
			return fmt.Errorf("the server of the disks has ended (%v): %s", err, strings.TrimSpace(string(said)))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (i *instant) log() string { return filepath.Join(i.dir, "serve.log") }

// finish follows the copying to its end.
func (i *instant) finish(ctx context.Context) error {
	view := restoreView{env: i.env, bars: i.env.newBars(), last: i.env.now()}
	err := i.Follow(ctx, i.host, view.progress)
	i.env.endBars()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %s runs on, and QEMU goes on with the disk that it is at; -resume goes on with all", i.Name)
	}
	if err != nil {
		return failWith(exitFailed, err)
	}
	if i.server.ended != nil {
		<-i.server.ended // it sees the same
	}
	_ = os.Remove(i.log()) // all went well
	for _, path := range i.Images() {
		fmt.Fprintf(i.env.stdout, "  %s\n", path)
	}
	fmt.Fprintf(i.env.stdout, "Copied. %s is defined on its own disks, and nothing of it refers to the backup any more.\n", i.Name)
	return nil
}
