package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
)

// TestSimulateManual: the tables of docs/simulate.md are what the script of
// that name prints.
func TestSimulateManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/script/simulate.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(manual)) {
		if strings.HasPrefix(line, "domain.") {
			rows++
			if !strings.Contains(string(script), "\n"+line) {
				t.Errorf("nothing prints %s", line)
			}
		}
	}
	if rows != 3 {
		t.Errorf("%d rows", rows)
	}
}

// TestDrawingIsSafe: the name of a domain is text, whatever is in it.
func TestDrawingIsSafe(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	s := plan.Simulation{Address: `domain.web["hv1/<script>alert(1)</script>&"]`,
		Assumed: plan.SimulateOptions{From: now, For: config.Duration(24 * time.Hour)},
		Lives:   []plan.Life{{Start: now, Spans: []plan.Span{{Rule: "protected: <b>", From: now, Until: now.Add(time.Hour)}}}}}
	for _, ext := range []string{".svg", ".html"} {
		text := string(drawing([]plan.Simulation{s}, ext))
		for _, bad := range []string{"<script", "<b>", "NaN", "Inf"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q is in the picture", ext, bad)
			}
		}
	}
	if text := string(drawing(make([]plan.Simulation, maxPanels+3), ".svg")); !strings.Contains(text, "... and 3 more") {
		t.Error("more machines than panels, and nothing says so")
	}
}
