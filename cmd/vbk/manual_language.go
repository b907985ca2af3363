package main

import (
	"fmt"
	"slices"
	"strings"

	"vbk/config"
)

// writeLanguage writes the reference of the configuration language.
func writeLanguage(m markup, l config.Language) {
	m.title("vbk.hcl", 5, "the configuration language of vbk: every block, argument, type and function")
	m.section("DESCRIPTION")
	m.paragraph("A configuration is all `*.vbk.hcl` and `*.vbk.json` files of one directory. This is what can stand in them. " +
		"How it works together is on the page about " + m.link("the language", "language.md") + ". `vbk validate` checks a configuration, and says of a name that does not fit what was meant; `vbk validate -effective` shows what holds for each domain block, and where it comes from.")
	m.paragraph("The column `default` says what holds without an argument, as it would be written, or in words. `null` is the same as leaving it out. " +
		"What is marked \"refused by plan\" is valid, but this version does not act on it: plan refuses the domains that it concerns, and no others.")
	m.section("BLOCKS")
	var rows [][]string
	for _, b := range l.Blocks {
		rows = append(rows, []string{m.link("`"+b.Header()+"`", anchor(b.Header())), about(b)})
	}
	m.table([]string{"block", "what it is"}, rows)
	for _, b := range l.Blocks {
		m.command(b.Header())
		writeBlock(m, b, b.Header())
	}
	m.section("POLICY ATTRIBUTES")
	m.paragraph("Arguments and blocks of both `policy` and `domain`. What a domain block does not set holds as in its policy, then as in the one that this extends, then by default: argument by argument, " +
		"but a `retention` block replaces the whole of another, and a `copy` or a `hook` the one with its label.")
	writeBlock(m, l.Policy, "")
	m.section("TYPES")
	m.paragraph("A `list of` something is written in brackets, `[\"a\", \"b\"]`; a `map of` something in braces, `{ tier = \"gold\" }`. An empty one that would select nothing, or restrict nothing, is an error.")
	m.table([]string{"type", "written", "what it is"}, formRows(l.Forms))
	m.section("VALUES IN EXPRESSIONS")
	m.paragraph("Besides `var.NAME`, `local.NAME` and references to blocks, which have the attributes that are listed with the block:")
	m.table([]string{"value", "in", "what it is"}, valueRows(l.Values))
	m.section("FUNCTIONS")
	m.paragraph("Terraform's, under their names, as far as they are pure: none sees the clock, the environment or the network. Those of files read text files of at most 16 MiB in the directory of the configuration and below; no link leads out of it.")
	writeFunctions(m, l.Functions)
	m.section("KEPT FOR LATER")
	m.paragraph("These names are part of the language, and an error as long as vbk does not act on them:")
	m.table([]string{"name", "in", "what it will be"}, laterRows(l))
}

// writeBlock writes what is under the heading of a block, which names where it is
// where that is not the policy.
func writeBlock(m markup, b config.Block, where string) {
	if b.About != "" {
		m.paragraph(about(b))
	}
	if b.Example != "" {
		m.code("hcl", strings.TrimSuffix(b.Example, "\n"))
	}
	if b.Like != "" {
		m.paragraph("It has the arguments and defaults of " + m.link("`"+b.Like+"`", anchor(b.Like)) + " of the policy.")
		return
	}
	if rows := argumentRows(m, b, where); len(rows) > 0 {
		m.table([]string{"argument", "type", "default", "description"}, rows)
	}
	if b.Policy {
		m.paragraph("It has the " + m.link("policy attributes", "#policy-attributes") + " as well.")
	}
	for _, note := range b.Notes {
		m.paragraph(note)
	}
	if len(b.Yields) > 0 {
		var yields []string
		for _, a := range b.Yields {
			yields = append(yields, fmt.Sprintf("`%s` (%s): %s", a.Name, a.Type, a.About))
		}
		m.paragraph("A reference to it has the attributes " + strings.Join(yields, " "))
	}
	for _, inner := range b.Blocks {
		if inner.Status != config.Later {
			m.block(heading(inner, where))
			writeBlock(m, inner, heading(inner, where))
		}
	}
}

// argumentRows are the arguments of a block, and the blocks in it.
func argumentRows(m markup, b config.Block, where string) [][]string {
	var rows [][]string
	for _, a := range b.Arguments {
		if a.Status == config.Later {
			continue
		}
		kind := a.Type
		if !slices.Contains([]string{"string", "bool", "number", "any"}, kind) {
			kind = m.link(kind, "#types")
		}
		rows = append(rows, []string{"`" + a.Name + "`", kind, whereLeftOut(a), aboutArgument(a)})
	}
	for _, inner := range b.Blocks {
		if inner.Status != config.Later {
			rows = append(rows, []string{m.link("`"+inner.Header()+" { }`", anchor(heading(inner, where))), "block", "", about(inner)})
		}
	}
	return rows
}

func heading(b config.Block, where string) string {
	if where == "" {
		return b.Header()
	}
	return b.Header() + " of " + where
}

// anchor is what links to a heading of Markdown name.
func anchor(heading string) string {
	kept := strings.Map(func(r rune) rune {
		if r == '"' || r == ',' || r == '`' {
			return -1
		}
		return r
	}, strings.ToLower(heading))
	return "#" + strings.ReplaceAll(kept, " ", "-")
}

func about(b config.Block) string {
	text := b.About
	if b.Several {
		text += " There may be several."
	}
	if b.Status == config.Refused {
		text += " (Refused by plan.)"
	}
	return text
}

// aboutArgument is its sentence, and a line for each of its words and limits.
func aboutArgument(a config.Argument) string {
	text := a.About
	switch {
	case a.Low != 0 || a.High != 0:
		if a.High < 1_000_000 {
			text += fmt.Sprintf(" From %d to %d.", a.Low, a.High)
		} else if a.Low > 0 {
			text += fmt.Sprintf(" %d or more.", a.Low)
		}
	case a.Sensitive:
		text += " It may be sensitive."
	case a.Status == config.Refused:
		text += " (Refused by plan.)"
	}
	for _, w := range a.Words {
		if w.Status == config.Later {
			continue
		}
		text += fmt.Sprintf("\n`%q`: %s", w.Text, w.About)
		if w.Status == config.Refused {
			text += " (refused by plan)"
		}
	}
	return text
}

// whereLeftOut is what holds without an argument.
func whereLeftOut(a config.Argument) string {
	switch {
	case a.Required:
		return "required"
	case a.Otherwise != "":
		return a.Otherwise
	}
	return "`" + a.Default + "`"
}

func formRows(forms []config.Form) [][]string {
	var rows [][]string
	for _, f := range forms {
		text := f.About
		if len(f.Mistakes) > 0 {
			text = strings.TrimSpace(text + " Not " + asCode(f.Mistakes) + ".")
		}
		rows = append(rows, []string{f.Name, asCode(f.Examples), text})
	}
	return rows
}

// asCode are pieces of HCL with a comma between them.
func asCode(sources []string) string { return "`" + strings.Join(sources, "`, `") + "`" }

func valueRows(values []config.Value) [][]string {
	var rows [][]string
	for _, v := range values {
		text := v.About
		for _, a := range v.Has {
			text += fmt.Sprintf("\n`%s` (%s): %s", a.Name, a.Type, a.About)
		}
		rows = append(rows, []string{"`" + v.Name + "`", v.Where, text})
	}
	return rows
}

func writeFunctions(m markup, functions []config.Function) {
	var rows [][]string
	for i, f := range functions {
		rows = append(rows, []string{"`" + f.Call + "`", f.About, fmt.Sprintf("`%s` is `%s`", f.Example, f.Result)})
		if i+1 == len(functions) || functions[i+1].Group != f.Group {
			m.command(f.Group)
			m.table([]string{"function", "what it gives", "example"}, rows)
			rows = nil
		}
	}
}

// laterRows are what the language keeps for later.
func laterRows(l config.Language) [][]string {
	var rows [][]string
	var walk func(where string, b config.Block)
	walk = func(where string, b config.Block) {
		for _, a := range b.Arguments {
			if a.Status == config.Later {
				rows = append(rows, []string{"`" + a.Name + "`", where, a.About})
			}
			for _, w := range a.Words {
				if w.Status == config.Later {
					rows = append(rows, []string{fmt.Sprintf("`%s = %q`", a.Name, w.Text), where, w.About})
				}
			}
		}
		for _, inner := range b.Blocks {
			if inner.Status == config.Later {
				rows = append(rows, []string{"`" + inner.Name + " { }`", where, inner.About})
			} else {
				walk(where+", `"+inner.Name+"`", inner)
			}
		}
	}
	for _, b := range l.Blocks {
		walk("`"+b.Name+"`", b)
	}
	walk("`policy` and `domain`", l.Policy)
	return rows
}
