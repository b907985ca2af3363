package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/plan"
)

//go:embed view_status_page.html
var pageTemplate string

//go:embed view_status_page.css
var pageStyle string

//go:embed view_status_page.js
var pageScript string

// statusPage is a status for people who would rather look than read: one file that
// asks no other for anything.
type statusPage struct {
	status
	Configuration string
	Rules         string // Content-Security-Policy: this style and this script, nothing else
	Style         template.CSS
	Script        template.JS
	Verdict       string // of all, a sentence
	Troubled      int    // machines that need attention
	Problems      []string
	MoreProblems  []string
	Oddities      []string
	MoreOddities  []string
	Counts        []stateCount
	Overview      []card // every machine, where they are many
	Attention     []card
	Fine          []card
	Places        []place
	Days          int         // the page looks ahead
	Legend        [][2]string // class and words
}

type stateCount struct {
	State string
	N     int
}

// place is a store. The outlook is in percent of the store's size.
type place struct {
	storeStatus
	Used    float64 // percent
	Outlook string  // points of a polyline, 0 to 100 each way
	Limit   float64 // where min_free begins, on the same axis; 0: there is none
	Fills   bool    // within the outlook
	Says    string
}

const (
	mostProblems = 6    // and as many oddities are shown unfolded
	mostOpen     = 6    // machines that are unfolded
	manyMachines = 12   // from so many on all of them are shown at a glance
	mostPictures = 1000 // of more machines those in order have no picture: a browser has to take it
)

// writePage renders a status. All names are escaped by html/template.
func writePage(w io.Writer, s status, cfg *config.Config, o outlook) error {
	t, err := template.New("status").Funcs(template.FuncMap{
		"bytes": plan.Bytes, "age": age, "span": spanOf, "short": shortTime, "full": fullTime, "departure": departure, "count": count,
		"class":   func(state string) string { return strings.ReplaceAll(state, " ", "-") },
		"percent": func(x float64) string { return fmt.Sprintf("%.2f%%", x) },
		"upper":   func(text string) string { return strings.ToUpper(text[:1]) + text[1:] },
		"stamp":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}).Parse(pageTemplate)
	if err == nil {
		err = t.Execute(w, pageOf(s, cfg, o))
	}
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

func pageOf(s status, cfg *config.Config, o outlook) statusPage {
	style := pageStyle + ruleColours
	p := statusPage{status: s, Configuration: cfg.Name, Style: template.CSS(style), Script: template.JS(pageScript),
		Rules: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; img-src data:; base-uri 'none'; form-action 'none'", hashOf(style), hashOf(pageScript)),
		Days:  int(outlookSpan / (24 * time.Hour)), Legend: append(ruleClasses(), [2]string{"damaged", "damaged"})}
	problems, oddities := s.problems(), s.oddities()
	p.Problems, p.MoreProblems = problems[:min(len(problems), mostProblems)], problems[min(len(problems), mostProblems):]
	p.Oddities, p.MoreOddities = oddities[:min(len(oddities), mostProblems)], oddities[min(len(oddities), mostProblems):]
	p.machines(cfg, o)
	p.Troubled = len(p.Attention)
	p.Verdict = p.verdict(len(problems))
	for _, st := range s.Stores {
		p.Places = append(p.Places, placeOf(st, o))
	}
	return p
}

// hashOf names a text in a Content-Security-Policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// machines draws them, the worst first.
func (p *statusPage) machines(cfg *config.Config, o outlook) {
	counts := map[string]int{}
	var all []card
	for n, m := range p.Instances {
		counts[m.State]++
		if m.Fine() && len(p.Instances) > mostPictures {
			c := card{machineStatus: m, N: n}
			c.Share, c.Over = c.used()
			all = append(all, c)
			continue
		}
		all = append(all, cardOf(n, m, cfg, o, p.Timestamp))
	}
	for _, state := range severity {
		if counts[state] > 0 {
			p.Counts = append(p.Counts, stateCount{state, counts[state]})
		}
	}
	if len(all) >= manyMachines {
		p.Overview = slices.Clone(all)
	}
	slices.SortStableFunc(all, func(a, b card) int { return bySeverity(a.machineStatus, b.machineStatus) })
	for n := range min(mostOpen, len(all)) {
		all[n].Open = true
	}
	fine := slices.IndexFunc(all, func(c card) bool { return c.Fine() })
	if fine < 0 {
		fine = len(all)
	}
	p.Attention, p.Fine = all[:fine], all[fine:]
}

// Fine says whether nobody has to look after a machine.
func (m machineStatus) Fine() bool { return m.State == stateOK || m.State == stateIdle }

func (p *statusPage) verdict(problems int) string {
	all, stores, silent := len(p.Instances), 0, 0
	for _, f := range p.Failures {
		if strings.HasPrefix(f.Object, "host.") {
			silent++
		}
	}
	for _, st := range p.Stores {
		if st.Error != "" || st.full() {
			stores++
		}
	}
	switch {
	case p.Troubled > 0:
		return fmt.Sprintf("%d of %s %s attention", p.Troubled, count(all, "machine"), verb(p.Troubled, "need"))
	case all == 0:
		return "No machine is backed up"
	case stores > 0:
		return fmt.Sprintf("The machines are in order; %s not", are(stores, "store"))
	case silent > 0:
		return fmt.Sprintf("The machines are in order; %s not answer", do(silent, "host"))
	case problems > 0:
		return fmt.Sprintf("The machines are in order; %s not", are(problems, "check"))
	}
	return fmt.Sprintf("All is as it should be: %s, the newest point of each within its rpo", count(all, "machine"))
}

// do is so many things that do, or do not.
func do(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " does"
	}
	return count(n, noun) + " do"
}

// verb is a verb for so many things.
func verb(n int, word string) string {
	if n == 1 {
		return word + "s"
	}
	return word
}

// placeOf tells a store's space, now and later.
func placeOf(st storeStatus, o outlook) place {
	p := place{storeStatus: st}
	if st.Error != "" || st.Size <= 0 {
		return p
	}
	share := func(free int64) float64 { return min(max(100*(1-float64(free)/float64(st.Size)), 0), 100) }
	p.Used = share(st.Free)
	minFree := st.MinFree
	if minFree > 0 {
		p.Limit = 100 - share(minFree)
	}
	guessed, machines := o.guessed[st.Address], o.machines[st.Address]
	if st.full() {
		p.Fills, p.Says = true, "Full: "+st.fullness()+"."
	}
	if machines == 0 {
		return p
	}
	if guessed == machines {
		p.Says = strings.TrimSpace(p.Says + " Not enough history yet to foresee its use.")
		return p
	}
	days := o.free[st.Address]
	var line strings.Builder
	for n, free := range days {
		fmt.Fprintf(&line, "%.1f,%.1f ", 100*float64(n)/float64(max(len(days)-1, 1)), 100-share(free))
	}
	p.Outlook = line.String()
	switch full := o.full(st.Address, minFree); {
	case p.Fills || len(days) == 0:
	case !full.IsZero():
		p.Fills = true
		p.Says = fmt.Sprintf("Full on about %s, with min_free = %s.", full.UTC().Format(time.DateOnly), plan.Bytes(minFree))
	default:
		p.Says = fmt.Sprintf("About %s free on %s.", plan.Bytes(days[len(days)-1]), o.until.UTC().Format(time.DateOnly))
	}
	if guessed > 0 {
		p.Says += fmt.Sprintf(" Too little is known yet of %d of its %s.", guessed, count(machines, "machine"))
	}
	return p
}
