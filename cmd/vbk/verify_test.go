package main

import (
	"testing"

	"vbk/store"
)

func TestDescribeFinding(t *testing.T) {
	for _, c := range []struct {
		from, until int
		want        string
	}{
		{store.NoPoint, 0, "c/f: gone"},
		{0, 0, "c/f: gone (no point of the chain restores)"},
		{3, 0, "c/f: gone (points from c.3 on do not restore)"},
		{0, 1, "c/f: gone (point c.0 does not restore)"},
		{0, 4, "c/f: gone (points c.0 to c.3 do not restore)"},
		{3, 4, "c/f: gone (point c.3 does not restore)"},
		{3, 6, "c/f: gone (points c.3 to c.5 do not restore)"},
	} {
		f := store.Finding{Chain: "c", Problem: store.Problem{File: "f", Detail: "gone", From: c.from, Until: c.until}}
		if got := describeFinding(f); got != c.want {
			t.Errorf("%d until %d: %s, want %s", c.from, c.until, got, c.want)
		}
	}
}
