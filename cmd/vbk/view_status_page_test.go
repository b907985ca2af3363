package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
)

// pageOfExample is the page of an example, from its inventory, after change.
func pageOfExample(t *testing.T, name string, change func(*config.Config, *plan.Inventory)) (string, status, outlook) {
	t.Helper()
	cfg, _, diags := config.Load(filepath.Join("../../examples", name), config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	file, err := os.ReadFile(filepath.Join("../../examples", name, "inventory.json"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := plan.DecodeInventory(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	have := all.For(cfg)
	if change != nil {
		change(cfg, &have)
	}
	p, err := makePlan(cfg, have, plan.Options{Version: version}, vantage{now: have.Taken})
	if err != nil {
		t.Fatal(err)
	}
	s, o := statusOf(cfg, have, p), outlookOf(cfg, have, have.Taken)
	var text strings.Builder
	if err := writePage(&text, s, cfg, o); err != nil {
		t.Fatal(err)
	}
	return text.String(), s, o
}

func TestPageTellsEveryPoint(t *testing.T) {
	text, s, _ := pageOfExample(t, "review", nil)
	marks := 0
	for _, m := range s.Instances {
		for _, c := range m.folder.Chains {
			for _, p := range c.Manifest.Points {
				marks++
				wantOnPage(t, text, fmt.Sprintf("<td>%s@%s.%d</td>", m.folder.Name, c.Name, p.Sequence))
			}
		}
	}
	if n := strings.Count(text, "<use "); n != marks || marks < 10 {
		t.Errorf("%d marks of %d points", n, marks)
	}
	// The plan of this example releases a chain: the timer that fires now does it.
	wantOnPage(t, text, "<td>"+s.Timestamp.Format(time.DateOnly)+"</td>", "held by its chain only", "No block claims <b>")
	if found := regexp.MustCompile(`<[^>]*\s(src|style|on[a-z]+)=|@import|url\(|http:|https:`).FindString(text); found != "" {
		t.Errorf("the page has %s: it is to need nothing else", found)
	}
}

// TestPageEscapes: names of machines come from other people.
func TestPageEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	text, _, _ := pageOfExample(t, "review", func(_ *config.Config, have *plan.Inventory) {
		for n := range have.Hosts[0].Domains {
			have.Hosts[0].Domains[n].Name += evil
		}
		for n := range have.Stores[0].Domains {
			have.Stores[0].Domains[n].Name += evil
		}
	})
	if strings.Count(text, "<script") != 1 {
		t.Error("a machine's name is markup")
	}
	wantOnPage(t, text, "&lt;script&gt;")
}

// TestPageForetells: what the page says will be is what the simulation says.
func TestPageForetells(t *testing.T) {
	full := func(_ *config.Config, have *plan.Inventory) {
		for n := range have.Stores {
			have.Stores[n].Free, have.Stores[n].Size = 2<<30, 100<<30
		}
	}
	text, s, o := pageOfExample(t, "single", full)
	day := o.full(s.Stores[0].Address, 0)
	if day.Before(s.Timestamp) || day.After(o.until) {
		t.Fatalf("2 GiB are not used up within %v: full on %v, %v", outlookSpan, day, o.free)
	}
	wantOnPage(t, text, "Full on about "+day.Format(time.DateOnly)+", with min_free = 0 B.")
	if n := len(o.free[s.Stores[0].Address]); n != 90 {
		t.Errorf("the outlook has %d days", n)
	}
	gone := regexp.MustCompile(`<td>[^<]*</td><td>20\d\d-\d\d-\d\d</td></tr>`).FindAllString(text, -1)
	if len(gone) != s.Instances[0].Points {
		t.Errorf("%d of %d points go within %v: %q", len(gone), s.Instances[0].Points, outlookSpan, gone)
	}
}

// TestPageForeseesNoMoreThanItKnows: a store of which too little is known has no date.
func TestPageForeseesNoMoreThanItKnows(t *testing.T) {
	fresh := func(points int) func(*config.Config, *plan.Inventory) {
		return func(_ *config.Config, have *plan.Inventory) {
			for n := range have.Stores {
				have.Stores[n].Free, have.Stores[n].Size = 2<<30, 100<<30
				for d := range have.Stores[n].Domains {
					chains := have.Stores[n].Domains[d].Chains
					chains = chains[len(chains)-1:]
					chains[0].Manifest.Points = chains[0].Manifest.Points[:points]
					have.Stores[n].Domains[d].Chains = chains
				}
			}
		}
	}
	text, _, _ := pageOfExample(t, "single", fresh(1))
	wantOnPage(t, text, "Not enough history yet to foresee its use.")
	if strings.Contains(text, "Full on about") || strings.Contains(text, `class="outlook"`) {
		t.Error("one point is enough for a date")
	}
}

// TestPageVerdict: what is wrong stands in the first sentence.
func TestPageVerdict(t *testing.T) {
	for want, c := range map[string]struct {
		s        status
		troubled int
		problems int
	}{
		"No machine is backed up":                                                    {problems: 1},
		"1 of 2 machines needs attention":                                            {s: status{Instances: make([]machineStatus, 2)}, troubled: 1, problems: 1},
		"2 of 2 machines need attention":                                             {s: status{Instances: make([]machineStatus, 2)}, troubled: 2, problems: 2},
		"The machines are in order; 1 store is not":                                  {s: status{Instances: make([]machineStatus, 2), Stores: []storeStatus{{Size: 9, Free: 3, MinFree: 3}, {Size: 9, Free: 3}}}, problems: 2},
		"The machines are in order; 2 checks are not":                                {s: status{Instances: make([]machineStatus, 2)}, problems: 2},
		"The machines are in order; 1 host does not answer":                          {s: status{Instances: make([]machineStatus, 1), Failures: []plan.Failure{{Object: "host.local"}}}, problems: 1},
		"All is as it should be: 1 machine, the newest point of each within its rpo": {s: status{Instances: make([]machineStatus, 1)}},
	} {
		p := statusPage{status: c.s, Troubled: c.troubled}
		if got := p.verdict(c.problems); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestPageOfThousands has pictures of those that need attention, and is small enough
// for a browser.
func TestPageOfThousands(t *testing.T) {
	const machines = mostPictures + 100
	cfg, have := fleet(t, machines)
	p, err := makePlan(cfg, have, plan.Options{Version: version}, vantage{now: have.Taken})
	if err != nil {
		t.Fatal(err)
	}
	s := statusOf(cfg, have, p)
	var text strings.Builder
	if err := writePage(&text, s, cfg, outlook{until: have.Taken.Add(outlookSpan)}); err != nil {
		t.Fatal(err)
	}
	pictures, troubled := strings.Count(text.String(), "<svg height="), 0
	for _, m := range s.Instances {
		if !m.Fine() && m.Points > 0 {
			troubled++
		}
	}
	if pictures != troubled || troubled < 10 || strings.Count(text.String(), `<details class="machine`) != len(s.Instances) {
		t.Errorf("%d pictures of %d machines with points that need attention, %d in all", pictures, troubled, len(s.Instances))
	}
	if size := text.Len() / len(s.Instances); size > 4<<10 {
		t.Errorf("a machine takes %d bytes", size)
	}
	wantOnPage(t, text.String(), "no pictures of those that are in order")
}

// TestGrow: a machine counts from its own first day on, and stays as it was when
// its days end.
func TestGrow(t *testing.T) {
	s := plan.Simulation{Assumed: plan.SimulateOptions{From: time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)},
		Days: []plan.Day{{Date: "2026-11-24", Stored: 15}, {Date: "2026-11-25", Stored: 8}}}
	sum := []int64{1, 1, 1, 1, 1}
	grow(sum, s, 10, time.UTC)
	if got, want := fmt.Sprint(sum), "[1 1 6 -1 -1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func wantOnPage(t *testing.T, page string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(page, p) {
			t.Errorf("the page does not say %q", p)
		}
	}
}
