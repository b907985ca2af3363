package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// setHelp replaces the library's help texts, which say "--flag value
// (default: false)", by Terraform's manner.
func setHelp(app *cli.App) {
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: %s\n\n%s.\n\nCommands:\n", app.UsageText, app.Usage)
	for _, c := range app.Commands {
		if !c.Hidden {
			fmt.Fprintf(&text, "  %-10s %s\n", c.Name, c.Usage)
		}
		c.CustomHelpTemplate = commandHelp(c)
	}
	fmt.Fprintf(&text, "\nFlags before the command:\n%s", flagsHelp(app.Flags))
	fmt.Fprintf(&text, "\nExit codes: 0 done; 1 could not start; 2 changes (plan -detailed-exitcode); 3 something\nfailed or was refused; 4 what was looked at is not as it should be; 11 a bug of vbk;\n130 interrupted.\n")
	fmt.Fprintf(&text, "\nvbk COMMAND -help tells more about each.\n")
	app.CustomAppHelpTemplate = text.String()
}

func commandHelp(c *cli.Command) string {
	usage := c.UsageText
	if usage == "" {
		usage = "vbk " + c.Name
	}
	text := fmt.Sprintf("Usage: %s\n\n%s%s.\n", usage, strings.ToUpper(c.Usage[:1]), c.Usage[1:])
	if c.Description != "" {
		text += "\n" + c.Description + "\n"
	}
	if len(c.Flags) > 0 {
		text += "\nFlags:\n" + flagsHelp(c.Flags)
	}
	return text
}

// flagsHelp is a line for each flag; the word in backquotes stands for its
// value.
func flagsHelp(flags []cli.Flag) string {
	var rows [][2]string
	width := 0
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok || slices.Contains(f.Names(), "help") {
			continue
		}
		name := "-" + f.Names()[0]
		usage := doc.GetUsage()
		if doc.TakesValue() {
			name += " " + strings.Split(usage, "`")[1]
		}
		if text := strings.Trim(doc.GetDefaultText(), `"`); text != "" && doc.TakesValue() {
			usage += " (default " + text + ")"
		}
		rows = append(rows, [2]string{name, strings.ReplaceAll(usage, "`", "")})
		width = max(width, len(name))
	}
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, "  %-*s  %s\n", width, r[0], r[1])
	}
	return text.String()
}
