package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"vbk/config"
)

// varArgs collects -var and -var-file in the order of the command line.
type varArgs struct{ list []config.VarArg }

// flags are for the commands that load a configuration. The two share one
// list: the later one wins, whichever it is.
func (v *varArgs) flags(path func(string) string) []cli.Flag {
	return []cli.Flag{
		&cli.GenericFlag{Name: "var", Usage: "set a variable, `NAME=VALUE`; repeatable", Value: varFlag(func(text string) {
			v.list = append(v.list, config.VarArg{Assignment: text})
		})},
		&cli.GenericFlag{Name: "var-file", Usage: "set the variables in `FILE`; repeatable", Value: varFlag(func(text string) {
			v.list = append(v.list, config.VarArg{File: path(text)})
		})},
	}
}

// varFlag is a flag that hands on each of its values. It shows none: a value
// may be a secret.
type varFlag func(text string)

func (f varFlag) Set(text string) error {
	f(text)
	return nil
}

func (f varFlag) String() string { return "" }

// loadsConfiguration says whether a command takes -var and -var-file.
func loadsConfiguration(command string) bool {
	return !slices.Contains([]string{"fmt", "show", "dump", "version", "completion", "manual"}, command)
}

// inputs are what configurations are evaluated with.
func (env *environment) inputs() config.Inputs {
	return config.Inputs{Vars: env.vars.list, Getenv: env.getenv, Version: version}
}
