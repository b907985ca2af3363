package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/executor"
)

// guardTime is how long a guard tries.
const guardTime = 10 * time.Minute

// Commands that are guards, see guard.
const (
	guardFrozen = "guard-frozen" // URI UUID
	guardPaused = "guard-paused" // URI UUID
	guardDrill  = "guard-drill"  // URI UUID FOLDER
)

// guard starts a process that outlives this one for as long as it takes to put right
// what this one has under way: it waits on a pipe, and whoever holds the other end may
// be killed. What it returns sends the guard home.
func guard(command string, args ...string) (release func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	process := exec.Command(program, append([]string{command}, args...)...)
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not meant for it
	line, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, err
	}
	return func() error {
		_, err := line.Write([]byte{'\n'})
		return errors.Join(err, line.Close(), process.Wait())
	}, nil
}

// guards makes guards of a kind; nil where there are none.
func (env *environment) guards(command string) func(uri, uuid string) (release func() error, err error) {
	if env.guard == nil {
		return nil
	}
	return func(uri, uuid string) (func() error, error) { return env.guard(command, uri, uuid) }
}

// guardCommands are what guard starts; they are not for people.
func (env *environment) guardCommands() []*cli.Command {
	return []*cli.Command{
		env.guardCommand(guardFrozen, "thaw a guest", "URI UUID", func(ctx context.Context, host hypervisor, args []string) error {
			return host.Thaw(ctx, args[1])
		}, "vbk ended while a guest was frozen, which cannot be thawed: %w", "virsh -c %s domfsthaw %s"),
		env.guardCommand(guardPaused, "let a machine run on", "URI UUID", func(ctx context.Context, host hypervisor, args []string) error {
			return host.Unpause(ctx, args[1])
		}, "vbk ended while it had paused a machine, which cannot be resumed: %w", "virsh -c %s resume %s"),
		env.guardCommand(guardDrill, "remove what a drill has left", "URI UUID FOLDER", func(ctx context.Context, host hypervisor, args []string) error {
			return executor.EndDrill(ctx, host, args[0], args[1], args[2])
		}, "vbk ended during a drill, of which something is left: %w", "virsh -c %s destroy %s; and remove the folder vbk-drill-... below -scratch"),
	}
}

// guardCommand does something with a host if its standard input ends before a byte
// came: again and again, until it is done.
func (env *environment) guardCommand(name, usage, arguments string, do func(context.Context, hypervisor, []string) error, failed, mend string) *cli.Command {
	return &cli.Command{
		Name: name, Hidden: true, Usage: usage + " when standard input ends", ArgsUsage: arguments,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) < 2 || name == guardDrill && len(args) < 3 {
				return fmt.Errorf("vbk %s takes %s", name, arguments)
			}
			n, err := io.ReadFull(env.stdin, make([]byte, 1))
			if n > 0 {
				return nil // it was put right
			}
			if err != nil && err != io.EOF {
				env.complain(fmt.Errorf("guard of %s: %w", args[1], err))
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), guardTime)
			defer cancel()
			err = executor.Insist(ctx, func(ctx context.Context) error {
				host, err := env.openHost(ctx, args[0], false)
				if err != nil {
					return err
				}
				defer host.Close()
				return do(ctx, host, args)
			})
			if err != nil {
				return hint(fmt.Errorf(failed, err), mend, args[0], args[1])
			}
			return nil
		},
	}
}
