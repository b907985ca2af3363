package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// commandRow is a command as completion and manual see it.
type commandRow struct {
	name, usage string
	about       string // the help's longer text
	synopsis    []string
	takes       values // its arguments
	repeats     bool   // and there may be several
	flags       []flagRow
}

type flagRow struct {
	name, usage string
	value       string // the word that stands for its value, "" if it has none
	otherwise   string // its default
	takes       values
	repeats     bool
}

// values says what can stand for a value: files, directories, words, or what a
// look at configuration and stores finds.
type values struct {
	files, directories bool
	words              []string
	live               string
}

// commandTable are the flags before the command, and the commands, of the
// program itself.
func commandTable(app *cli.App) (global []flagRow, commands []commandRow) {
	for _, c := range app.VisibleCommands() {
		row := commandRow{name: c.Name, usage: c.Usage, about: c.Description, takes: valuesOf(c.ArgsUsage, nil),
			repeats: strings.Contains(c.ArgsUsage, "..."), flags: flagRows(c.Flags, c.UsageText)}
		for line := range strings.Lines(c.UsageText) {
			row.synopsis = append(row.synopsis, strings.TrimSpace(line))
		}
		if len(row.synopsis) == 0 {
			row.synopsis = []string{strings.TrimSpace("vbk " + c.Name + " " + c.ArgsUsage)}
		}
		commands = append(commands, row)
	}
	return flagRows(app.Flags, ""), commands
}

func flagRows(flags []cli.Flag, synopsis string) []flagRow {
	var all []flagRow
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || slices.Contains(f.Names(), "help") {
			continue
		}
		row := flagRow{name: f.Names()[0], usage: strings.ReplaceAll(doc.GetUsage(), "`", ""), repeats: strings.Contains(doc.GetUsage(), "repeatable")}
		if doc.TakesValue() {
			row.value = strings.Split(doc.GetUsage(), "`")[1]
			row.otherwise = strings.Trim(doc.GetDefaultText(), `"`)
			row.takes = valuesOf(row.value, alternatives(row.name, synopsis))
			if name := "-" + row.name; name == liveUntil && row.value == livePoint || name == liveHost {
				row.takes = values{live: name}
			}
		}
		all = append(all, row)
	}
	return all
}

// alternatives are the words in "-format text|json" of a synopsis.
func alternatives(flag, synopsis string) []string {
	found := regexp.MustCompile(`-` + flag + ` ([a-z0-9]+(?:\|[a-z0-9]+)+)`).FindStringSubmatch(synopsis)
	if found == nil {
		return nil
	}
	return strings.Split(found[1], "|")
}

func valuesOf(word string, words []string) values {
	switch word := strings.Trim(word, "[]."); word {
	case "FILE", "PATH", "PLANFILE", "IMAGE":
		return values{files: true}
	case "DIR":
		return values{directories: true}
	case "CODEC":
		return values{words: []string{"none", "zstd", "lz4"}}
	case "URI":
		return values{words: []string{"qemu:///system", "qemu:///session"}}
	case livePoint, liveDomain, liveEither, liveChain, liveDisk, liveAddress, liveStore:
		return values{live: word}
	}
	if strings.Contains(word, "|") && word == strings.ToLower(word) {
		words = strings.Split(word, "|")
	}
	return values{words: words}
}
