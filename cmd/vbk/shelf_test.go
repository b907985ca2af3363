package main

import (
	"strings"
	"testing"
)

func TestChoosePrefix(t *testing.T) {
	var all []shelved
	for _, name := range []string{"virtnbdbackup.0", "virtnbdbackup.10", "virtnbdbackup.11", "copy", "diff.1795383743"} {
		all = append(all, shelved{name: name})
	}
	for _, c := range []struct{ until, want string }{ // "": an error, "*": all
		{"", "*"},
		{"latest", "*"},
		{"virtnbdbackup.0", "virtnbdbackup.0"},
		{"virtnbdbackup.10", "virtnbdbackup.10"},
		{"virtnbdbackup.1", ""}, // neither 10 nor 11
		{"virtnbdbackup.", ""},  // three
		{"virtnbdbackup.2", ""},
		{"diff", "diff.1795383743"},
		{"diff.", "diff.1795383743"},
		{"diff.17", ""}, // ends within a number
		{"c", "copy"},
		{"copy.1", ""},
	} {
		some, exact, err := choosePrefix(all, c.until)
		found := ""
		switch {
		case err == nil && exact && len(some) == 1:
			found = some[0].name
		case err == nil && !exact && len(some) == len(all):
			found = "*"
		case err == nil:
			t.Errorf("%q: %d points, exact %v", c.until, len(some), exact)
		}
		if found != c.want {
			t.Errorf("%q: found %q, want %q (%v)", c.until, found, c.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "%!") {
			t.Errorf("%q: %v", c.until, err)
		}
	}
	if _, _, err := choosePrefix(all[1:2], "virtnbdbackup.1"); err == nil {
		t.Error("virtnbdbackup.1 is taken for virtnbdbackup.10, the only one that begins so")
	}
}
