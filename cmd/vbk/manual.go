package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (env *environment) manualCommand() *cli.Command {
	return &cli.Command{
		Name: "manual", Usage: "print the manual: all commands, flags and exit codes",
		UsageText:   "vbk manual [-format man|markdown]",
		Description: "  vbk manual | man -l -",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "format", Usage: "print as `FORMAT`: man or markdown", Value: "man"}},
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			var m markup
			switch format := c.String("format"); format {
			case "man":
				m = new(roff)
			case "markdown":
				m = new(markdownManual)
			default:
				return fmt.Errorf("flag -format: %q is none of man, markdown", format)
			}
			writeManual(m, c.App)
			fmt.Fprint(env.stdout, m.String())
			return nil
		},
	}
}

// markup is a language for manuals.
type markup interface {
	title(name, usage string)
	section(name string)
	command(name string)
	paragraph(text string)
	literal(text string) // as it is, line by line
	item(term, text string)
	String() string
}

// writeManual says what -help says, of all commands, and what stands around them.
func writeManual(m markup, app *cli.App) {
	global, commands := commandTable(app)
	m.title("vbk", strings.ToLower(app.Usage[:1])+app.Usage[1:])
	m.section("SYNOPSIS")
	m.literal(app.UsageText)
	m.section("DESCRIPTION")
	m.paragraph("vbk compares what a configuration in HCL (*.vbk.hcl in the working directory) declares with the backup folders and the checkpoints of libvirt. " +
		"vbk plan says what would happen, and why; vbk apply does it while the guests run; vbk restore brings a point back.")
	m.paragraph("A flag has one dash or two, and stands before or after arguments; -- ends the flags.")
	m.literal("vbk init -from-host qemu:///system -store /srv/backup\nvbk plan -out first.plan\nvbk apply first.plan\nvbk list\nvbk restore web01@latest -o /var/tmp/web01")
	m.section("FLAGS BEFORE THE COMMAND")
	for _, f := range global {
		flagItem(m, f)
	}
	m.section("COMMANDS")
	for _, c := range commands {
		m.command("vbk " + c.name)
		m.literal(strings.Join(c.synopsis, "\n"))
		m.paragraph(strings.ToUpper(c.usage[:1]) + c.usage[1:] + ".")
		if c.about != "" {
			m.literal(c.about)
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
	m.item(standingArguments, "arguments for every command; with _COMMAND behind the name, VBK_CLI_ARGS_plan say, for one. They come before what is typed.")
	m.item(logLevel, "debug, info, warn, error: log to standard error; off, which it is without the variable.")
	m.item(logFormat, "text or json.")
	m.item(logPath, "the log is appended to this file instead.")
	m.item("NO_COLOR", "if set, print without colours.")
	m.section("FILES")
	m.item("*.vbk.hcl, *.vbk.json", "the configuration: all files of the working directory.")
	m.item("vbk.vbkvars, *.auto.vbkvars", "values of variables.")
	m.item("STORE/vbk.json", "marks a directory as a store; vbk init writes it.")
	m.section("SEE ALSO")
	m.paragraph("virsh(1), qemu-img(1), systemd.timer(5)")
}

func flagItem(m markup, f flagRow) {
	term, text := "-"+f.name, f.usage
	if f.value != "" {
		term += " " + f.value
	}
	if f.otherwise != "" {
		text += " (default " + f.otherwise + ")"
	}
	m.item(term, text+".")
}

// roff is the language of man pages: man(7).
type roff struct {
	strings.Builder
	headed bool // a heading came last: a paragraph begins by itself
}

func (r *roff) head(request, name string) {
	fmt.Fprintf(r, ".%s %s\n", request, r.escape(name))
	r.headed = true
}

// begin parts what comes from a paragraph before.
func (r *roff) begin() {
	if !r.headed {
		r.WriteString(".PP\n")
	}
	r.headed = false
}

// escape makes text of it: a dot or quote that begins a line is no request, and
// a dash is one that can be typed.
func (r *roff) escape(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for n, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[n] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func (r *roff) title(name, usage string) {
	fmt.Fprintf(r, ".TH %s 1 \"%s\" \"%s %s\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), buildInfo().day, name, version, name, r.escape(usage))
}

func (r *roff) section(name string) { r.head("SH", name) }

func (r *roff) command(name string) { r.head("SS", name) }

func (r *roff) paragraph(text string) {
	r.begin()
	fmt.Fprintf(r, "%s\n", r.escape(text))
}

func (r *roff) literal(text string) {
	r.begin()
	fmt.Fprintf(r, ".nf\n%s\n.fi\n", r.escape(text))
}

func (r *roff) item(term, text string) {
	fmt.Fprintf(r, ".TP\n\\fB%s\\fR\n%s\n", r.escape(term), r.escape(text))
	r.headed = false
}

// markdownManual is the manual as Markdown.
type markdownManual struct {
	strings.Builder
	listing bool
}

func (m *markdownManual) begin(list bool) {
	if m.Len() > 0 && !(list && m.listing) {
		m.WriteString("\n")
	}
	m.listing = list
}

func (m *markdownManual) title(name, usage string) {
	m.begin(false)
	fmt.Fprintf(m, "# %s\n\n%s\n", name, usage)
}

func (m *markdownManual) section(name string) {
	m.begin(false)
	fmt.Fprintf(m, "## %s%s\n", name[:1], strings.ToLower(name[1:]))
}

func (m *markdownManual) command(name string) {
	m.begin(false)
	fmt.Fprintf(m, "### %s\n", name)
}

func (m *markdownManual) paragraph(text string) {
	m.begin(false)
	fmt.Fprintf(m, "%s\n", m.escape(text))
}

func (m *markdownManual) literal(text string) {
	m.begin(false)
	fmt.Fprintf(m, "```text\n%s\n```\n", text)
}

func (m *markdownManual) item(term, text string) {
	m.begin(true)
	fmt.Fprintf(m, "* `%s`: %s\n", term, m.escape(text))
}

func (m *markdownManual) escape(text string) string {
	return strings.NewReplacer("*", `\*`, "_", `\_`, "<", "&lt;").Replace(text)
}
