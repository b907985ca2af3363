package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"vbk/plan"
)

// markdownPlan is a plan for a comment on a change: the sums first, then every
// deletion and every problem, and the rest folded. It is max bytes long at most;
// what does not fit is left out from the end, row by row, and a sentence says so.
// Names and reasons come from other people's machines: they are text in it and
// nothing else.
func markdownPlan(p plan.Plan, max int) (string, error) {
	page := page{room: max - len(cutSentence)}
	s := sumsOf(p)
	page.write("<!-- vbk plan -->\n### " + strings.TrimSuffix(s.String(), ".") + "\n\n")
	if text := backupsLine(p, s); text != "" {
		page.write(escape(text) + "\n\n")
	}
	if n := len(failures(p)); n > 0 {
		page.write(fmt.Sprintf("**%d could not be planned.**\n\n", n))
	}
	if p.NotApplicable != "" {
		page.write("This plan can never be applied: " + escape(p.NotApplicable) + ".\n\n")
	}
	if p.Empty() && !p.Failed() {
		page.write("No changes. What exists is what the configuration asks for.\n\n")
	}
	page.write("Made " + escape(p.Created.UTC().Format(time.RFC3339)) + " by vbk " + escape(p.Version) + ".\n\n")
	if page.cut {
		return "", fmt.Errorf("flag -max-bytes: %d bytes do not hold the sums of a plan", max)
	}
	page.section(deletionRows(p), "**Deleted**\n\n| points | of | in | bytes | why |\n| --- | --- | --- | --- | --- |\n", "\n")
	page.section(problemRows(p), "**To look at**\n\n", "\n")
	page.fold("Made", "| point | of | to read | why |\n| --- | --- | --- | --- |\n", backupRows(p))
	page.fold("Changed", "| point | what |\n| --- | --- |\n", changeRows(p))
	page.fold("Not done", "", noteRows(p))
	return page.String(), nil
}

const cutSentence = "\n*The rest does not fit here: `vbk show` prints all of the plan.*\n"

// page is markdown that is written piece by piece, each of them whole, as long
// as there is room.
type page struct {
	strings.Builder
	room int // bytes, with cutSentence kept free
	cut  bool
}

func (p *page) write(piece string) {
	if p.cut || len(piece) > p.room {
		if !p.cut {
			p.WriteString(cutSentence)
		}
		p.cut = true
		return
	}
	p.WriteString(piece)
	p.room -= len(piece)
}

// section writes as many rows as fit between its opening and closing, which
// are written both, with a row at least, or not at all.
func (p *page) section(rows []string, opening, closing string) {
	if len(rows) == 0 {
		return
	}
	p.room -= len(closing)
	p.write(opening + rows[0])
	if p.cut {
		return
	}
	shown, room := 1, p.room
	for shown < len(rows) && len(rows[shown]) <= room {
		room -= len(rows[shown])
		shown++
	}
	p.write(strings.Join(rows[1:shown], ""))
	p.WriteString(closing)
	if shown < len(rows) {
		p.cut = true
		p.WriteString(cutSentence)
	}
}

func (p *page) fold(title, head string, rows []string) {
	p.section(rows, fmt.Sprintf("<details><summary>%s: %d</summary>\n\n%s", title, len(rows), head), "\n</details>\n\n")
}

func deletionRows(p plan.Plan) []string {
	var rows []string
	for _, i := range p.Instances {
		row := func(points, chain string, bytes, reason string) {
			rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s | %s |\n", points, code(i.Want.Address), code(i.Want.Store.Address()+" "+chain), bytes, escape(reason)))
		}
		for _, a := range i.Actions {
			switch a.Kind {
			case plan.KindPrune:
				row(fmt.Sprintf("all %d", a.Prune.Points), a.Prune.Chain, plan.Bytes(a.Prune.Stored), a.Reason)
			case plan.KindMerge:
				row(fmt.Sprintf("%d: %s", len(a.Merge.Gone), sequences(a.Merge.Gone)), a.Merge.Chain, "up to "+plan.Bytes(a.Merge.Stored), a.Reason)
			}
		}
	}
	return rows
}

func problemRows(p plan.Plan) []string {
	var rows []string
	for _, f := range failures(p) {
		rows = append(rows, fmt.Sprintf("* **%s**: %s\n", code(f.Object), escape(f.Error)))
	}
	for _, w := range warnings(p) {
		rows = append(rows, "* "+escape(w)+"\n")
	}
	return rows
}

func backupRows(p plan.Plan) []string {
	var rows []string
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			if a.Kind == plan.KindBackup {
				rows = append(rows, fmt.Sprintf("| %s | %s | %s | %s |\n", kindWord(a.Backup.Kind), code(i.Want.Address), estimate(*a.Backup), escape(a.Reason)))
			}
		}
	}
	return rows
}

func changeRows(p plan.Plan) []string {
	var rows []string
	for _, c := range changes(p) {
		if c.verb() == verbUpdate {
			rows = append(rows, fmt.Sprintf("| %s | %s |\n", code(c.Address), escape(c.Reason)))
		}
	}
	return rows
}

func noteRows(p plan.Plan) []string {
	var rows []string
	for _, n := range notes(p) {
		rows = append(rows, "* "+escape(n)+"\n")
	}
	return rows
}

// longestText bounds what one name or reason takes, in runes.
const longestText = 400

// code is a name in Markdown.
func code(name string) string { return "<code>" + escape(name) + "</code>" }

// escape makes text harmless in Markdown, in tables too: what could be markup,
// HTML, a link or a reference is written as a number. After a sign that begins
// a reference to a person or a ticket stands a space of no width, for readers
// that look for those after the numbers are resolved.
func escape(text string) string {
	var s strings.Builder
	var last rune
	n := 0
	for _, r := range text {
		if n++; n > longestText {
			s.WriteString("...")
			break
		}
		switch {
		case r == utf8.RuneError || !unicode.IsPrint(r):
			s.WriteRune(utf8.RuneError)
		case unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(` -/,;="'()?`, r), r == '.' && last != 'w' && last != 'W':
			s.WriteRune(r)
		default:
			fmt.Fprintf(&s, "&#%d;", r)
			if strings.ContainsRune("@#!$%~^&", r) {
				s.WriteString("&#8203;")
			}
		}
		last = r
	}
	return s.String()
}
