package main

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"

	"vbk/format"
)

func (env *environment) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, and what this build can do",
		Action: func(c *cli.Context) error {
			fmt.Fprintf(env.stdout, "vbk %s, stream format v%d, %s, %s/%s, %s\n", version, format.Version, build, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
}
