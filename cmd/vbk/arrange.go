package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v2"
)

// standingArguments is the environment variable with arguments for every command;
// with _COMMAND behind it, for that one.
const standingArguments = "VBK_CLI_ARGS"

// withStandingArguments puts the arguments that the environment has for a command
// behind its name, so that typed ones come later and win.
func (env *environment) withStandingArguments(app *cli.App, args []string) ([]string, error) {
	at, err := commandIndex(app, args)
	if err != nil || at >= len(args) {
		return args, nil // arrange says what is wrong
	}
	command := app.Command(args[at])
	if command == nil || command.Hidden {
		return args, nil
	}
	var standing []string
	for _, name := range []string{standingArguments, standingArguments + "_" + command.Name} {
		words, err := shellwords.Parse(env.getenv(name))
		if err != nil {
			return nil, fmt.Errorf("environment variable %s cannot be read as words of a shell: %w", name, err)
		}
		standing = append(standing, words...)
	}
	return slices.Insert(slices.Clone(args), at+1, standing...), nil
}

// commandIndex is where the command stands: behind the flags before it.
func commandIndex(app *cli.App, args []string) (int, error) {
	global := takesValue(app.Flags)
	at := 1
	for at < len(args) && strings.HasPrefix(args[at], "-") {
		name, inline, err := flagName(args[at], global, "vbk")
		if err != nil {
			return 0, err
		}
		at++
		if global[name] && !inline {
			at++
		}
	}
	return at, nil
}

// arrange puts the flags of a command before its arguments, because the library
// parses none after the first argument, and refuses unknown commands and flags
// with the nearest known one. "--" ends the flags.
func arrange(app *cli.App, args []string) ([]string, error) {
	at, err := commandIndex(app, args)
	if err != nil || at >= len(args) {
		return args, err
	}
	command := app.Command(args[at])
	if command == nil {
		return nil, hint(fmt.Errorf("unknown command %q%s", args[at], didYouMean(args[at], "", commandNames(app))), "vbk -help lists the commands")
	}
	flags, rest, err := permute(args[at+1:], takesValue(command.Flags), command.Name)
	if err != nil {
		return nil, err
	}
	ordered := append(slices.Clone(args[:at+1]), flags...)
	return append(append(ordered, "--"), rest...), nil
}

func permute(args []string, known map[string]bool, command string) (flags, rest []string, err error) {
	for n := 0; n < len(args); n++ {
		a := args[n]
		if a == "--" {
			return flags, append(rest, args[n+1:]...), nil
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		name, inline, err := flagName(a, known, command)
		if err != nil {
			return nil, nil, err
		}
		flags = append(flags, a)
		if known[name] && !inline {
			if n+1 == len(args) {
				return nil, nil, fmt.Errorf("flag -%s of vbk %s needs a value", name, command)
			}
			n++
			flags = append(flags, args[n])
		}
	}
	return flags, rest, nil
}

// flagName is the name in -name, --name or -name=value, and whether the value
// is in it.
func flagName(arg string, known map[string]bool, command string) (name string, inline bool, err error) {
	name, _, inline = strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if _, ok := known[name]; !ok {
		var names []string
		for k := range known {
			names = append(names, k)
		}
		if command != "vbk" {
			command = "vbk " + command
		}
		next := command + " -help lists the flags"
		if name == "chdir" || name == "no-color" {
			next = "it stands before the command: vbk -" + name + " ... " + strings.TrimPrefix(command, "vbk ")
		}
		return "", false, hint(fmt.Errorf("unknown flag -%s%s", name, didYouMean(name, "-", names)), "%s", next)
	}
	return name, inline, nil
}

// takesValue maps each flag's names to whether it needs a value.
func takesValue(flags []cli.Flag) map[string]bool {
	known := map[string]bool{"help": false, "h": false}
	for _, f := range flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			known[name] = !isBool
		}
	}
	return known
}

func commandNames(app *cli.App) []string {
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	return names
}

// didYouMean is `; did you mean "apply"?` for the nearest name, "" if none is
// near; prefix comes before it.
func didYouMean(given, prefix string, names []string) string {
	slices.Sort(names)
	best, distance := "", max(3, 1+len(given)/6)
	for _, name := range names {
		if d := levenshtein.Distance(given, name, nil); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", prefix+best)
}
