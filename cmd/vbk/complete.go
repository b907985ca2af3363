package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mattn/go-shellwords"
	"github.com/urfave/cli/v2"
)

// completeWords is the command that completions of shells ask what could stand in
// the place of the word under the cursor.
const completeWords = "complete-words"

// completeCommand takes the words behind vbk up to the cursor. It prints a line
// for each word that fits: the word, a tab, and what it is; and lines that
// begin with a colon: ":files", ":directories", and ":nospace" where the word
// goes on. It never fails.
func (env *environment) completeCommand() *cli.Command {
	return &cli.Command{
		Name: completeWords, Hidden: true, Usage: "tell a shell what could stand under the cursor", ArgsUsage: "WORD...",
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) == 0 {
				words = []string{""}
			}
			t := newTyped(c.App, words, env.getenv)
			for _, o := range env.offers(t) {
				fmt.Fprintln(env.stdout, o)
			}
			return nil
		},
	}
}

// typed is a command line that is not complete.
type typed struct {
	flags    []flagRow // that may be given: before the command those before it
	commands []commandRow
	command  *commandRow // nil before it
	unknown  bool        // the command is
	help     bool        // the command is help: what follows is another
	ended    bool        // by --
	pending  *flagRow    // the word is its value
	given    []setting   // flags, in their order
	args     []string
	word     string // under the cursor
}

type setting struct{ flag, value string }

func newTyped(app *cli.App, words []string, getenv func(string) string) *typed {
	global, commands := commandTable(app)
	t := &typed{flags: global, commands: commands}
	for _, w := range words[:len(words)-1] {
		before := t.command
		t.read(unquoted(w))
		if t.command != before { // what the environment adds stands behind the command
			for _, name := range []string{standingArguments, standingArguments + "_" + t.command.name} {
				standing, _ := shellwords.Parse(getenv(name)) // the command itself tells what is wrong
				for _, s := range standing {
					t.read(s)
				}
				t.pending = nil
			}
		}
	}
	t.word = unquoted(words[len(words)-1])
	return t
}

// unquoted is a word without the quotes of a shell, if they are closed; an open one
// is dropped.
func unquoted(word string) string {
	if words, err := shellwords.Parse(word); err == nil && len(words) == 1 {
		return words[0]
	}
	return strings.TrimLeft(word, `'"`)
}

// read takes one more word.
func (t *typed) read(w string) {
	switch {
	case t.pending != nil:
		t.given = append(t.given, setting{t.pending.name, w})
		t.pending = nil
	case !t.ended && w == "--":
		t.ended = true
	case !t.ended && isFlag(w):
		f := t.flag(flagName(w))
		_, value, inline := strings.Cut(w, "=")
		if f != nil && f.value != "" && !inline {
			t.pending = f
		} else if f != nil {
			t.given = append(t.given, setting{f.name, value})
		}
	case t.command == nil && w == "help":
		t.help = true
	case t.command == nil:
		t.unknown = true
		for n, c := range t.commands {
			if c.name == w {
				t.command, t.flags, t.ended, t.unknown = &t.commands[n], append(slices.Clone(c.flags), t.flags[slices.IndexFunc(t.flags, isNoColor)]), false, false
			}
		}
	default:
		t.args = append(t.args, w)
	}
}

func isNoColor(f flagRow) bool { return f.name == noColor }

func (t *typed) flag(name string) *flagRow {
	for n, f := range t.flags {
		if f.name == name {
			return &t.flags[n]
		}
	}
	return nil
}

// value is that of a flag which was given, "" if it was not.
func (t *typed) value(flag string) (value string) {
	for _, s := range t.given {
		if s.flag == flag {
			value = s.value
		}
	}
	return value
}

// offers are the lines that completeCommand prints.
func (env *environment) offers(t *typed) []string {
	switch {
	case t.unknown:
		return nil
	case t.pending != nil:
		return env.valuesFor(t, t.pending.takes, "")
	case !t.ended && strings.HasPrefix(t.word, "-"):
		return env.flagOffers(t)
	case t.command == nil || t.help:
		return t.matching("", t.commandWords())
	case t.value("i") != "" || len(t.args) > 0 && !t.command.repeats:
		return nil
	}
	return env.valuesFor(t, t.command.takes, "")
}

func (t *typed) commandWords() (all []string) {
	for _, c := range t.commands {
		all = append(all, c.name+"\t"+c.usage)
	}
	return all
}

// flagOffers are flags that were not given yet, with as many dashes as were typed;
// or values of one, behind its =.
func (env *environment) flagOffers(t *typed) []string {
	if name, value, inline := strings.Cut(t.word, "="); inline {
		f := t.flag(flagName(name))
		if f == nil {
			return nil
		}
		t.word = value
		return env.valuesFor(t, f.takes, name+"=")
	}
	dashes := "-"
	if strings.HasPrefix(t.word, "--") {
		dashes = "--"
	}
	var all []string
	for _, f := range append(slices.Clone(t.flags), flagRow{name: "help", usage: "print help"}) {
		known := slices.ContainsFunc(t.given, func(s setting) bool { return s.flag == f.name })
		if f.repeats || !known {
			all = append(all, dashes+f.name+"\t"+f.usage)
		}
	}
	return t.matching("", all)
}

// valuesFor are the words that can stand for a value; before stands before each.
func (env *environment) valuesFor(t *typed, v values, before string) []string {
	switch {
	case v.files && before == "":
		return []string{":files"}
	case v.directories && before == "":
		return []string{":directories"}
	case v.live != "":
		words, goesOn := env.live(t, v.live)
		all := t.matching(before, words)
		if goesOn && len(all) > 0 {
			all = append(all, ":nospace")
		}
		return all
	}
	return t.matching(before, v.words)
}

// matching are those of all that begin with the word.
func (t *typed) matching(before string, all []string) (some []string) {
	for _, w := range all {
		if strings.HasPrefix(w, t.word) {
			some = append(some, before+w)
		}
	}
	return some
}
