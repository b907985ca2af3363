package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/config"
)

// TestListTellsNotes: what could not be stored is where a user would look, and not
// in the manifest alone.
func TestListTellsNotes(t *testing.T) {
	const note = "the state of the TPM is not stored: no swtpm"
	_, have := fleet(t, 1)
	folder := have.Stores[0].Domains[0]
	folder.Chains[0].Manifest.Points[1].Notes = []string{note}
	l := located{folder: folder}
	var text strings.Builder
	env := &environment{stdout: &text, now: func() time.Time { return have.Taken }}
	env.printPoints(&config.Config{}, []located{l})
	wantOnPage(t, text.String(), "Note on web-000@"+folder.Chains[0].Name+".1: "+note)
	entry := pointOf(found{l, folder.Chains[0], folder.Chains[0].Manifest.Points[1]})
	if !slices.Equal(entry.Notes, []string{note}) {
		t.Errorf("list -json has the notes %q", entry.Notes)
	}
}
