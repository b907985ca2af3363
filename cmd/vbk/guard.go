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

// guardTime is how long a guard tries to thaw a guest.
const guardTime = 10 * time.Minute

// guard starts a process that outlives this one for as long as it takes to thaw a
// guest: it waits on a pipe, and whoever holds the other end may be killed. What
// it returns sends the guard home.
func guard(uri, uuid string) (release func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, "guard-frozen", uri, uuid)
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not meant for it
	line, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() error {
		_, err := line.Write([]byte{'\n'})
		return errors.Join(err, line.Close(), command.Wait())
	}, nil
}

// guardCommand is what guard starts; it is not for people.
func (env *environment) guardCommand() *cli.Command {
	return &cli.Command{
		Name: "guard-frozen", Hidden: true, Usage: "thaw a guest when standard input ends", ArgsUsage: "URI UUID",
		Action: func(c *cli.Context) error {
			n, err := io.ReadFull(env.stdin, make([]byte, 1))
			if n > 0 {
				return nil // it was thawed
			}
			if err != nil && err != io.EOF {
				env.complain(fmt.Errorf("guard of %s: %w", c.Args().Get(1), err))
			}
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context), guardTime)
			defer cancel()
			return env.thaw(ctx, c.Args().Get(0), c.Args().Get(1))
		},
	}
}

func (env *environment) thaw(ctx context.Context, uri, uuid string) error {
	err := executor.Thaw(ctx, func(ctx context.Context) error {
		host, err := env.openHost(ctx, uri, false)
		if err != nil {
			return err
		}
		defer host.Close()
		return host.Thaw(ctx, uuid)
	})
	if err != nil {
		return hint(fmt.Errorf("vbk ended while a guest was frozen, which cannot be thawed: %w", err), "virsh -c %s domfsthaw %s", uri, uuid)
	}
	return nil
}
