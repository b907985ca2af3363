package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell runs command lines as a user types them, with the vbk of a script in them.
type shell struct {
	runner   *interp.Runner
	out, err bytes.Buffer // of the last one
}

func newShell(ts *testscript.TestScript) *shell {
	th, s := of(ts), &shell{}
	ts.Check(ts.Exec("env")) // programs get it from the shell only if it is listed
	environ := expand.ListEnviron(strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")...)
	var err error
	s.runner, err = interp.New(interp.Env(environ), interp.Dir(ts.MkAbs(".")), interp.StdIO(nil, &s.out, &s.err),
		interp.ExecHandlers(func(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error {
				if args[0] != "vbk" {
					return next(ctx, args)
				}
				at := interp.HandlerCtx(ctx)
				env := th.environment(ts)
				env.dir, env.stdout, env.stderr = at.Dir, at.Stdout, at.Stderr
				env.getenv = func(name string) string { return at.Env.Get(name).String() }
				if code := env.main(ctx, args); code != 0 {
					return interp.ExitStatus(code)
				}
				return nil
			}
		}))
	ts.Check(err)
	return s
}

// run wants an exit code of a command line.
func (s *shell) run(ts *testscript.TestScript, line string, want int) error {
	ts.Logf("$ %s", line)
	program, err := syntax.NewParser().Parse(strings.NewReader(line), "")
	if err != nil {
		return err
	}
	s.out.Reset()
	s.err.Reset()
	err = s.runner.Run(context.Background(), program)
	said.hear(s.err.String())
	fmt.Fprint(ts.Stdout(), s.out.String())
	fmt.Fprint(ts.Stderr(), s.err.String())
	var status interp.ExitStatus
	if err != nil && !errors.As(err, &status) {
		return err
	}
	if int(status) != want {
		return fmt.Errorf("%s: exit code %d, want %d\n%s%s", line, status, want, &s.out, &s.err)
	}
	return nil
}
