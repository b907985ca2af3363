package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/mattn/go-runewidth"
)

// table is rows of cells below a row of headings.
type table struct{ rows [][]string }

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for n, c := range cells {
		row[n] = fmt.Sprint(c)
	}
	t.rows = append(t.rows, row)
}

// print writes columns, two spaces apart. Where that is wider than so many columns
// the first cell of each row has a line of its own, with the others below it; 0 is
// no limit, as for a pipe.
func (t *table) print(w io.Writer, width int) {
	if all := t.lines(); width == 0 || widest(all) <= width {
		fmt.Fprint(w, strings.Join(all, ""))
		return
	}
	rest := table{}
	for _, r := range t.rows {
		rest.rows = append(rest.rows, r[1:])
	}
	for n, line := range rest.lines() {
		fmt.Fprintf(w, "%s\n  %s", t.rows[n][0], line)
	}
}

func (t *table) lines() []string {
	var widths []int
	for _, r := range t.rows {
		for n, cell := range r {
			if n == len(widths) {
				widths = append(widths, 0)
			}
			widths[n] = max(widths[n], runewidth.StringWidth(cell))
		}
	}
	var lines []string
	for _, r := range t.rows {
		var line strings.Builder
		for n, cell := range r {
			line.WriteString(cell)
			if n < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[n]+2-runewidth.StringWidth(cell)))
			}
		}
		lines = append(lines, strings.TrimRight(line.String(), " ")+"\n")
	}
	return lines
}

func widest(lines []string) int {
	most := 0
	for _, l := range lines {
		most = max(most, runewidth.StringWidth(strings.TrimSuffix(l, "\n")))
	}
	return most
}

// columns is how wide a table may be: a pipe has no width.
func (env *environment) columns() int {
	if !env.terminal {
		return 0
	}
	return env.width
}
