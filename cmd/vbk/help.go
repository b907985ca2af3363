package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpWidth is how wide help is, in columns: it is read on consoles, too.
const helpWidth = 80

// setHelp replaces the library's help texts, which say "--flag value
// (default: false)", by Terraform's manner.
func setHelp(app *cli.App) {
	global, commands := commandTable(app)
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: %s\n\n%s.\n\nCommands:\n", app.UsageText, app.Usage)
	var rows [][2]string
	for _, c := range commands {
		rows = append(rows, [2]string{c.name, c.usage})
	}
	text.WriteString(columnsHelp(rows))
	fmt.Fprintf(&text, "\nFlags before the command:\n%s\n", flagsHelp(global))
	text.WriteString(wrapped("Exit codes: 0 done; 1 could not start; 2 changes (plan -detailed-exitcode); 3 something failed or was refused; "+
		"4 what was looked at is not as it should be; 11 a bug of vbk; 130 interrupted.", helpWidth, ""))
	text.WriteString("\n\nvbk help COMMAND, or vbk COMMAND -help, tells more about each.\n")
	app.CustomAppHelpTemplate = text.String()
	for _, c := range app.Commands {
		if n := slices.IndexFunc(commands, func(row commandRow) bool { return row.name == c.Name }); n >= 0 {
			c.CustomHelpTemplate = commands[n].help()
		}
	}
}

func (c commandRow) help() string {
	var text strings.Builder
	for n, line := range c.synopsis {
		text.WriteString([]string{"Usage: ", "       "}[min(n, 1)] + wrappedSynopsis(line) + "\n")
	}
	fmt.Fprintf(&text, "\n%s\n", wrapped(sentence(c.usage), helpWidth, ""))
	for _, p := range paragraphs(c.about) {
		if p.literal {
			text.WriteString("\n" + p.text + "\n")
		} else {
			text.WriteString("\n" + wrapped(p.text, helpWidth, "") + "\n")
		}
	}
	own := slices.DeleteFunc(slices.Clone(c.flags), flagRow.isVariable)
	if len(own) > 0 {
		text.WriteString("\nFlags:\n" + flagsHelp(own))
	}
	if len(own) < len(c.flags) {
		text.WriteString("\nVariables of the configuration:\n" + flagsHelp(slices.DeleteFunc(slices.Clone(c.flags), func(f flagRow) bool { return !f.isVariable() })))
	}
	return text.String()
}

func (f flagRow) isVariable() bool { return f.name == "var" || f.name == "var-file" }

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// wrappedSynopsis breaks no line between brackets.
func wrappedSynopsis(line string) string {
	depth := 0
	glued := strings.Map(func(r rune) rune {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ' ' && depth > 0:
			return '\u00a0'
		}
		return r
	}, line)
	return strings.ReplaceAll(wrapped(glued, helpWidth-len("Usage: "), "           "), "\u00a0", " ")
}

// paragraph is a part of a longer text: prose, or lines to be shown as they are.
type paragraph struct {
	text    string
	literal bool
}

// paragraphs are parted by empty lines; literal ones are indented.
func paragraphs(text string) (all []paragraph) {
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		switch {
		case part == "":
		case strings.HasPrefix(part, "  "):
			all = append(all, paragraph{part, true})
		default:
			all = append(all, paragraph{strings.ReplaceAll(part, "\n", " "), false})
		}
	}
	return all
}

// flagsHelp is a line or more for each flag.
func flagsHelp(flags []flagRow) string {
	var rows [][2]string
	for _, f := range flags {
		rows = append(rows, [2]string{f.term(), f.text()})
	}
	return columnsHelp(rows)
}

// term is the flag with the word that stands for its value.
func (f flagRow) term() string { return strings.TrimSpace("-" + f.name + " " + f.value) }

// text is what it does, with its default.
func (f flagRow) text() string {
	if f.otherwise == "" {
		return f.usage
	}
	return f.usage + " (default " + f.otherwise + ")"
}

// columnsHelp is two columns, of which the second is broken into lines.
func columnsHelp(rows [][2]string) string {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	var text strings.Builder
	for _, r := range rows {
		indent := strings.Repeat(" ", width+4)
		fmt.Fprintf(&text, "  %-*s  %s\n", width, r[0], strings.ReplaceAll(wrapped(r[1], helpWidth-len(indent), ""), "\n", "\n"+indent))
	}
	return text.String()
}
