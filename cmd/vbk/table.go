package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// table is rows of cells below a row of headings, which are bold.
type table struct {
	paint paint
	right map[int]bool // columns that are aligned to the right
	rows  [][]cell
}

// cell is text, and how it is coloured.
type cell struct {
	text  string
	color func(string) string // nil: it is not
}

// amounts is the heading of a column that is aligned to the right.
type amounts string

func (t *table) row(cells ...any) {
	row := make([]cell, len(cells))
	for n, c := range cells {
		if styled, ok := c.(cell); ok {
			row[n] = styled
			continue
		}
		row[n].text = fmt.Sprint(c)
	}
	if len(t.rows) == 0 {
		t.right = map[int]bool{}
		for n, c := range cells {
			row[n].color = t.paint.bold
			_, t.right[n] = c.(amounts)
		}
	}
	t.rows = append(t.rows, row)
}

// print writes columns, two spaces apart. Where that is wider than so many columns,
// first cells that are longer than most have a line of their own above the rest of
// their row; or all have, and what is still too wide is broken between cells. 0 is
// no limit, as for a pipe.
func (t *table) print(w io.Writer, width int) {
	if len(t.rows) == 0 {
		return
	}
	widths := t.widths()
	first, rest := widths[0], sum(widths[1:])+2*(len(widths)-1)
	if room := width - rest; width > 0 && first > room {
		if !t.mostFit(room) {
			t.printBroken(w, widths, width)
			return
		}
		first = room
	}
	for _, r := range t.rows {
		if runewidth.StringWidth(r[0].text) > first {
			fmt.Fprintf(w, "%s\n%s", r[0].painted(), strings.Repeat(" ", first))
		} else {
			fmt.Fprint(w, t.padded(r[0], 0, first, len(r) == 1))
		}
		t.printCells(w, r, widths, 1, len(r), "  ")
	}
}

// printBroken writes a line for the first cell of each row, and as many others as the
// rest needs.
func (t *table) printBroken(w io.Writer, widths []int, width int) {
	for _, r := range t.rows {
		fmt.Fprintf(w, "%s\n", r[0].painted())
		for from := 1; from < len(r); {
			to, used := from+1, 2+widths[from]
			for to < len(r) && used+2+widths[to] <= width {
				used += 2 + widths[to]
				to++
			}
			fmt.Fprint(w, "  ")
			t.printCells(w, r, widths, from, to, "")
			from = to
		}
	}
}

// printCells writes cells of a row, with what stands before the first, and ends the line.
func (t *table) printCells(w io.Writer, r []cell, widths []int, from, to int, before string) {
	for last := to - 1; from <= last && r[last].text == ""; last-- {
		to = last
	}
	var line strings.Builder
	for n := from; n < to; n++ {
		line.WriteString(before + t.padded(r[n], n, widths[n], n == to-1))
		before = "  "
	}
	fmt.Fprintln(w, line.String())
}

// padded is a cell in so many columns; the last of a line needs nothing behind it.
func (t *table) padded(c cell, column, width int, last bool) string {
	space := strings.Repeat(" ", max(0, width-runewidth.StringWidth(c.text)))
	switch {
	case t.right[column]:
		return space + c.painted()
	case last:
		return c.painted()
	}
	return c.painted() + space
}

func (c cell) painted() string {
	if c.color == nil || c.text == "" {
		return c.text
	}
	return c.color(c.text)
}

// mostFit says whether so many columns hold most of the first cells.
func (t *table) mostFit(width int) bool {
	fit := 0
	for _, r := range t.rows {
		if runewidth.StringWidth(r[0].text) <= width {
			fit++
		}
	}
	return 3*fit >= 2*len(t.rows)
}

func (t *table) widths() []int {
	widths := make([]int, len(t.rows[0]))
	for _, r := range t.rows {
		for n, c := range r {
			widths[n] = max(widths[n], runewidth.StringWidth(c.text))
		}
	}
	return widths
}

func sum(all []int) (total int) {
	for _, n := range all {
		total += n
	}
	return total
}

// wrapped breaks text between words into lines of so many columns, the later ones
// indented; where there is no width (0 or less) it stays one line, as for a pipe.
func wrapped(text string, width int, indent string) string {
	if width <= 0 {
		return text
	}
	var done strings.Builder
	column := 0
	for word := range strings.SplitSeq(text, " ") {
		n := runewidth.StringWidth(word)
		switch {
		case done.Len() == 0:
		case column+1+n > width:
			done.WriteString("\n" + indent)
			column = len(indent)
		default:
			done.WriteString(" ")
			column++
		}
		done.WriteString(word)
		column += n
	}
	return done.String()
}

// table is an empty one for stdout.
func (env *environment) table() table { return table{paint: painter(env.color)} }

// columns is how wide a table may be: a pipe has no width.
func (env *environment) columns() int {
	if !env.terminal {
		return 0
	}
	width, _ := env.terminalSize()
	return width
}
