package main

import (
	"strings"
	"testing"
)

// TestTable: what is wider than the terminal takes more lines a row.
func TestTable(t *testing.T) {
	var a table
	a.row("POINT", "KIND", amounts("SIZE"))
	a.row("größe@1", "full", 12)
	a.row("w", "incremental", "3 MiB")
	for width, want := range map[int]string{
		0:  "POINT    KIND          SIZE\ngröße@1  full            12\nw        incremental  3 MiB\n",
		27: "POINT    KIND          SIZE\ngröße@1  full            12\nw        incremental  3 MiB\n",
		26: "POINT   KIND          SIZE\ngröße@1\n        full            12\nw       incremental  3 MiB\n",
		22: "POINT\n  KIND          SIZE\ngröße@1\n  full            12\nw\n  incremental  3 MiB\n",
		19: "POINT\n  KIND\n   SIZE\ngröße@1\n  full\n     12\nw\n  incremental\n  3 MiB\n",
	} {
		var text strings.Builder
		if a.print(&text, width); text.String() != want {
			t.Errorf("%d columns:\n%swant\n%s", width, &text, want)
		}
	}
	var none strings.Builder
	if (&table{}).print(&none, 80); none.Len() > 0 {
		t.Errorf("no row: %q", &none)
	}
}
