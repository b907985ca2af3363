package main

import (
	"fmt"
	"strings"
)

// markup is a language for manuals. Names in text are in backquotes.
type markup interface {
	title(name string, section int, usage string)
	section(name string)
	command(name string)
	block(name string) // below a command
	paragraph(text string)
	literal(text string) // as it is, line by line
	code(language, text string)
	item(term, text string)
	table(head []string, rows [][]string)
	link(text, target string) string
	String() string
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

func (r *roff) title(name string, section int, usage string) {
	fmt.Fprintf(r, ".TH %s %d \"%s\" \"vbk %s\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), section, buildInfo().day, version, name, r.escape(usage))
}

func (r *roff) section(name string) { r.head("SH", name) }

func (r *roff) command(name string) { r.head("SS", name) }

func (r *roff) block(name string) { r.command(name) }

func (r *roff) link(text, _ string) string { return text }

func (r *roff) paragraph(text string) {
	r.begin()
	fmt.Fprintf(r, "%s\n", r.prose(text))
}

func (r *roff) literal(text string) {
	r.begin()
	fmt.Fprintf(r, ".nf\n%s\n.fi\n", r.escape(text))
}

func (r *roff) code(_, text string) { r.literal(text) }

func (r *roff) item(term, text string) {
	fmt.Fprintf(r, ".TP\n\\fB%s\\fR\n%s\n", r.escape(term), r.prose(text))
	r.headed = false
}

// prose is text with names in backquotes, line by line.
func (r *roff) prose(text string) string {
	parts := strings.Split(text, "`")
	for i, part := range parts {
		if parts[i] = r.escape(part); i%2 == 1 {
			parts[i] = `\fB` + parts[i] + `\fR`
		}
	}
	return strings.ReplaceAll(strings.Join(parts, ""), "\n", "\n.br\n")
}

// table makes an item of each row: a page is narrow.
func (r *roff) table(head []string, rows [][]string) {
	for _, row := range rows {
		var facts []string
		last := len(row) - 1
		for i := 1; i < last; i++ {
			if row[i] != "" {
				facts = append(facts, head[i]+": "+row[i])
			}
		}
		r.item(strings.ReplaceAll(row[0], "`", ""), strings.TrimSpace(strings.Join(facts, "; ")+"\n"+row[last]))
	}
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

func (m *markdownManual) title(name string, _ int, usage string) {
	m.begin(false)
	fmt.Fprintf(m, "# %s\n\n%s%s.\n", name, strings.ToUpper(usage[:1]), usage[1:])
}

func (m *markdownManual) section(name string) {
	m.begin(false)
	fmt.Fprintf(m, "## %s%s\n", name[:1], strings.ToLower(name[1:]))
}

func (m *markdownManual) command(name string) {
	m.begin(false)
	fmt.Fprintf(m, "### %s\n", name)
}

func (m *markdownManual) block(name string) {
	m.begin(false)
	fmt.Fprintf(m, "#### %s\n", name)
}

func (m *markdownManual) link(text, target string) string {
	return fmt.Sprintf("[%s](%s)", text, target)
}

func (m *markdownManual) code(language, text string) {
	m.begin(false)
	fmt.Fprintf(m, "```%s\n%s\n```\n", language, text)
}

func (m *markdownManual) table(head []string, rows [][]string) {
	m.begin(false)
	fmt.Fprintf(m, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(m, "| %s ", strings.NewReplacer("|", `\|`, "\n", "<br>").Replace(m.escape(cell)))
			if i == len(row)-1 {
				m.WriteString("|\n")
			}
		}
	}
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

// escape leaves names in backquotes as they are.
func (m *markdownManual) escape(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("*", `\*`, "<", "&lt;").Replace(parts[i])
	}
	return strings.Join(parts, "`")
}
