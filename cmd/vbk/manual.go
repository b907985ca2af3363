package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
)

func (env *environment) manualCommand() *cli.Command {
	return &cli.Command{
		Name: "manual", Usage: "print the manual: of commands, flags and exit codes, or of the language", ArgsUsage: "[commands|language]",
		UsageText: "vbk manual [-format man|markdown] [commands|language]\nvbk manual -format schema language",
		Description: "  vbk manual | man -l -\n  vbk manual language | man -l -\n  vbk manual -format schema language > vbk.schema.json\n\n" +
			"The schema is a JSON Schema for *.vbk.json files, by which editors complete and check.",
		Flags: []cli.Flag{&cli.StringFlag{Name: "format", Usage: "print as `FORMAT`: man, markdown or schema", Value: "man"}},
		Action: func(c *cli.Context) error {
			page := c.Args().First()
			if c.NArg() > 1 || c.NArg() == 1 && page != "commands" && page != "language" {
				return hint(fmt.Errorf("there is no manual %q: commands, language", strings.Join(c.Args().Slice(), " ")), "vbk manual language")
			}
			return env.manual(c.App, c.String("format"), page == "language")
		},
	}
}

func (env *environment) manual(app *cli.App, format string, ofLanguage bool) error {
	var m markup
	switch {
	case format == "man":
		m = new(roff)
	case format == "markdown":
		m = new(markdownManual)
	case format == "schema" && ofLanguage:
		out := json.NewEncoder(env.stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(config.Describe().JSONSchema())
	case format == "schema":
		return hint(fmt.Errorf("flag -format: schema is of the language"), "vbk manual -format schema language")
	default:
		return fmt.Errorf("flag -format: %q is none of man, markdown, schema", format)
	}
	if ofLanguage {
		writeLanguage(m, config.Describe())
	} else {
		writeManual(m, app)
	}
	fmt.Fprint(env.stdout, m.String())
	return nil
}

// writeManual says what -help says, of all commands, and what stands around them.
func writeManual(m markup, app *cli.App) {
	global, commands := commandTable(app)
	m.title("vbk", 1, strings.ToLower(app.Usage[:1])+app.Usage[1:])
	m.section("SYNOPSIS")
	m.literal(app.UsageText)
	m.section("DESCRIPTION")
	m.paragraph("vbk compares what a configuration in HCL (*.vbk.hcl in the working directory) declares with the backup folders and the checkpoints of libvirt. " +
		"vbk plan says what would happen, and why; vbk apply does it while the guests run; vbk restore brings a point back.")
	m.paragraph("A flag has one dash or two, and stands before or after arguments; -- ends the flags.")
	m.section("FLAGS BEFORE THE COMMAND")
	for _, f := range global {
		flagItem(m, f)
	}
	m.section("COMMANDS")
	for _, c := range commands {
		m.command("vbk " + c.name)
		m.literal(strings.Join(c.synopsis, "\n"))
		m.paragraph(sentence(c.usage))
		for _, p := range paragraphs(c.about) {
			if p.literal {
				m.literal(p.text)
			} else {
				m.paragraph(p.text)
			}
		}
		for _, f := range c.flags {
			flagItem(m, f)
		}
	}
	m.section("EXIT STATUS")
	for _, e := range exitMeanings() {
		m.item(fmt.Sprint(e.code), e.meaning)
	}
	m.paragraph("Where several apply, the order is 130, 11, 1, 3, 4, 2. vbk status -format nagios has the codes of Nagios' plugins: 0, 1, 2, 3.")
	m.section("ENVIRONMENT")
	m.item("VBK_VAR_NAME", "the value of the variable NAME; weaker than files of variables and -var.")
	m.item("VBK_INPUT", "0: never ask; what would ask fails.")
	m.item("VBK_UNIT", "the systemd unit that runs vbk, for what it says about the unit's sandbox; the units of the packages set it.")
	m.item(standingArguments, "arguments for every command; with _COMMAND behind the name, VBK_CLI_ARGS_plan say, for one. They come before what is typed.")
	m.item(logLevel, "debug, info, warn, error: log to standard error; off, which it is without the variable.")
	m.item(logFormat, "text or json.")
	m.item(logPath, "the log is appended to this file instead.")
	m.item("NO_COLOR", "if set, print without colours.")
	m.section("FILES")
	m.item("*.vbk.hcl, *.vbk.json", "the configuration: all files of the working directory. vbk.hcl(5) describes the language.")
	m.item("vbk.vbkvars, *.auto.vbkvars", "values of variables.")
	m.item("STORE/vbk.json", "marks a directory as a store; vbk init writes it.")
	m.item("STORE/DOMAIN-UUID", "the folder of a domain: its chains, and the lock of whoever is at work in it.")
	m.item("SCRATCH_DIR/vbk-*", "run folders of backups that are going on, or were cut off: the next vbk apply removes these. scratch_dir of the host block is /var/tmp by default.")
	m.item("/etc/vbk/NAME", "the working directory of the unit vbk@NAME.service of the packages.")
	m.section("EXAMPLES")
	m.paragraph("The first backup, and back:")
	m.literal("vbk init -from-host qemu:///system -store /srv/backup\nvbk plan -out first.plan\nvbk apply first.plan\nvbk list\nvbk restore web01@latest -o /var/tmp/web01")
	m.paragraph("Every night, and what tells whether it was done:")
	m.literal("vbk -chdir /etc/vbk/prod apply -auto-approve -lock-timeout 10m\nvbk -chdir /etc/vbk/prod status -format nagios")
	m.paragraph("Everything is gone but the store:")
	m.literal("vbk list -i /mnt/usb/backup\nvbk restore -i /mnt/usb/backup/web01-4c1f9d2a -o /var/lib/libvirt/images/web01")
	m.section("SEE ALSO")
	m.paragraph("vbk.hcl(5), virsh(1), qemu-img(1), systemd.timer(5)")
}

func flagItem(m markup, f flagRow) { m.item(f.term(), f.text()+".") }
