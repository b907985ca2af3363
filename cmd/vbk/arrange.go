package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v2"
)

// standingArguments is the environment variable with arguments for every command;
// with _COMMAND behind it, for that one.
const standingArguments = "VBK_CLI_ARGS"

// noColor is the flag that stands before the command or behind it.
const noColor = "no-color"

// arrange puts the flags of a command before its arguments, because the library
// parses none after the first argument, and those that the environment has
// before typed ones, so that these win. It refuses unknown commands and flags with
// the nearest known one. "--" ends the flags.
func arrange(app *cli.App, args []string, getenv func(string) string) ([]string, error) {
	at, err := commandIndex(app, args)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(args[1:at], func(word string) bool { return slices.Contains([]string{"version", "v"}, flagName(word)) }) {
		return []string{args[0], "version"}, nil
	}
	if at >= len(args) {
		return args, nil
	}
	if args[at] == "help" { // vbk help plan is vbk plan -help
		args = slices.Concat(args[:at], args[at+1:], []string{"-help"})
		if args[at] == "-help" {
			return args, nil
		}
	}
	name := args[at]
	command := app.Command(name)
	if command == nil {
		return nil, hint(fmt.Errorf("unknown command %q%s", name, meantCommand(app, name)), "vbk -help lists the commands")
	}
	line := sorted{command: name, known: flagTable(command.Flags), global: flagTable(app.Flags)}
	line.known[noColor] = line.global[noColor]
	if !command.Hidden {
		if err := line.takeStanding(getenv); err != nil {
			return nil, err
		}
	}
	if err := line.take(args[at+1:]); err != nil {
		return nil, err
	}
	return slices.Concat(args[:at], line.before, []string{name}, line.flags, []string{"--"}, line.rest), nil
}

// commandIndex is where the command stands: behind the flags before it.
func commandIndex(app *cli.App, args []string) (int, error) {
	line := sorted{command: "vbk", known: flagTable(app.Flags)}
	at := 1
	for at < len(args) && isFlag(args[at]) {
		if args[at] == "--" {
			return at + 1, nil
		}
		taken, err := line.flag(args[at:])
		if err != nil {
			return 0, err
		}
		at += taken
	}
	return at, nil
}

func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

// sorted are the words behind a command, flags and arguments apart.
type sorted struct {
	command             string
	known, global       map[string]cli.Flag
	before, flags, rest []string // before: what stands before the command
}

// takeStanding takes the arguments that the environment has for the command.
func (s *sorted) takeStanding(getenv func(string) string) error {
	for _, name := range []string{standingArguments, standingArguments + "_" + s.command} {
		words, err := shellwords.Parse(getenv(name))
		if err != nil {
			return fmt.Errorf("environment variable %s cannot be read as words of a shell: %w", name, err)
		}
		if err := s.take(words); err != nil {
			return hint(fmt.Errorf("environment variable %s: %w", name, err), "%s", hintOf(err))
		}
	}
	return nil
}

func (s *sorted) take(words []string) error {
	for len(words) > 0 {
		if words[0] == "--" {
			s.rest = append(s.rest, words[1:]...)
			return nil
		}
		if !isFlag(words[0]) {
			s.rest, words = append(s.rest, words[0]), words[1:]
			continue
		}
		taken, err := s.flag(words)
		if err != nil {
			return err
		}
		if flagName(words[0]) == noColor {
			s.before = append(s.before, words[0])
		} else {
			s.flags = append(s.flags, words[:taken]...)
		}
		words = words[taken:]
	}
	return nil
}

// flag looks at the flag that words begin with, and returns how many of them it is.
func (s *sorted) flag(words []string) (taken int, err error) {
	name := flagName(words[0])
	f, ok := s.known[name]
	if !ok {
		return 0, s.unknown(name, words)
	}
	_, value, inline := strings.Cut(words[0], "=")
	if _, isBool := f.(*cli.BoolFlag); isBool || f == nil {
		if _, err := strconv.ParseBool(value); inline && err != nil {
			return 0, fmt.Errorf("flag -%s: %q is neither true nor false", name, value)
		}
		return 1, nil
	}
	if !inline {
		if len(words) == 1 {
			return 0, fmt.Errorf("flag -%s needs a value", name)
		}
		value = words[1]
	}
	if err := checkValue(f, value); err != nil {
		return 0, fmt.Errorf("flag -%s: %w", name, err)
	}
	if inline {
		return 1, nil
	}
	return 2, nil
}

// checkValue wants a value: an empty one is most often a variable of a shell that
// is not set, and -out "" would save no plan.
func checkValue(f cli.Flag, value string) error {
	if value == "" {
		return errors.New("the value is empty")
	}
	switch f.(type) {
	case *cli.IntFlag, *cli.Uint64Flag:
		if _, err := strconv.Atoi(value); err != nil {
			return fmt.Errorf("%q is no number", value)
		}
	case *cli.DurationFlag:
		if _, err := time.ParseDuration(value); err != nil {
			return fmt.Errorf("%q is no duration such as 10m", value)
		}
	}
	return nil
}

func (s *sorted) unknown(name string, words []string) error {
	var names []string
	for k := range s.known {
		names = append(names, k)
	}
	next := "vbk " + s.command + " -help lists the flags"
	if s.command == "vbk" {
		next = "vbk -help lists the flags"
	}
	if s.global[name] != nil {
		before := words[0]
		if len(words) > 1 && !strings.Contains(before, "=") {
			before += " " + words[1]
		}
		next = "it stands before the command: vbk " + before + " " + s.command
	}
	return hint(fmt.Errorf("unknown flag -%s%s", name, didYouMean(name, "-", names)), "%s", next)
}

// flagName is the name in -name, --name or -name=value.
func flagName(word string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	return name
}

// flagTable is each flag by each of its names; that of help, which the library has
// of its own, is nil.
func flagTable(flags []cli.Flag) map[string]cli.Flag {
	known := map[string]cli.Flag{"help": nil, "h": nil}
	for _, f := range flags {
		for _, name := range f.Names() {
			known[name] = f
		}
	}
	return known
}

// otherTools are what restic, borgmatic, virtnbdbackup and Terraform call a command.
var otherTools = map[string]string{
	"backup": "apply", "create": "apply", "run": "apply", "prune": "apply", "forget": "apply",
	"snapshots": "list", "ls": "list", "rlist": "list", "info": "status", "check": "verify", "extract": "restore",
	"mount": "serve", "output": "show", "refresh": "survey", "generate": "init", "diff": "plan",
}

// meantCommand is `; did you mean "apply"?`.
func meantCommand(app *cli.App, given string) string {
	if name, ok := otherTools[given]; ok {
		return fmt.Sprintf("; did you mean %q?", name)
	}
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	return didYouMean(given, "", names)
}

// noArguments is for commands without: most often a directory or a saved plan is
// meant.
func (env *environment) noArguments(c *cli.Context) error {
	if c.NArg() == 0 {
		return nil
	}
	name, first := c.Command.Name, c.Args().First()
	err := fmt.Errorf("vbk %s takes no argument, got %q", name, first)
	info, statErr := os.Stat(env.path(first))
	switch {
	case statErr != nil:
		return err
	case info.IsDir():
		return hint(err, "vbk -chdir %s %s", first, name)
	case name == "plan":
		return hint(err, "vbk show %s prints a saved plan, vbk apply %s does it", first, first)
	}
	return err
}
