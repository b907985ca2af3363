package main

import (
	"fmt"
	"strings"

	"vbk/plan"
)

// simulationDocument is what simulate -json prints.
type simulationDocument struct {
	FormatVersion string            `json:"format_version"`
	Version       string            `json:"vbk_version"`
	Simulations   []plan.Simulation `json:"simulations"`
}

// showSimulations prints what policies lead to: as JSON, or as tables.
func (env *environment) showSimulations(all []plan.Simulation, asJSON, days bool) error {
	if asJSON {
		d := simulationDocument{FormatVersion: "1.0", Version: version, Simulations: []plan.Simulation{}}
		for _, s := range all {
			s.Lives = nil
			if !days {
				s.Days = nil
			}
			d.Simulations = append(d.Simulations, s)
		}
		return writeJSON(env.stdout, d)
	}
	if len(all) == 0 {
		fmt.Fprintln(env.stdout, "Nothing to simulate: no block claims a machine.")
		return nil
	}
	fmt.Fprintf(env.stdout, "%s\n\n", assumed(all))
	env.simulationTable(all)
	for _, s := range all {
		if s.Error != "" {
			env.complain(fmt.Errorf("%s: %s", s.Address, s.Error))
		}
	}
	if days {
		for _, s := range all {
			env.dayTable(s)
		}
	}
	return nil
}

// assumed says what the simulations take for granted, where all take the same.
func assumed(all []plan.Simulation) string {
	first := all[0].Assumed
	text := fmt.Sprintf("%s from %s", first.For, fullTime(first.From))
	if first.Jitter > 0 {
		text += fmt.Sprintf(", by a timer that is up to %s late", first.Jitter)
	}
	size, change := plan.Bytes(first.Full)+" a full", percent(first.Change)+" of it changed a day"
	for _, s := range all {
		if s.Assumed.Full != first.Full {
			size = "fulls as measured"
		}
		if s.Assumed.Change != first.Change {
			change = "changes as measured"
		}
	}
	return text + "; " + size + ", " + change + "."
}

func percent(share float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", share*100), "0"), ".") + "%"
}

func (env *environment) simulationTable(all []plan.Simulation) {
	policies := env.table()
	policies.row("POLICY OF", amounts("MADE"), amounts("FULLS"), amounts("POINTS"), amounts("HELD"), amounts("NEEDED"), amounts("CHAINS"),
		amounts("STORED"), amounts("MOST"), amounts("PEAK"), "HELD BY")
	var stored, most, peak int64
	for _, s := range all {
		policies.row(s.Address, s.Made, s.Fulls, s.End.Points, s.End.Held, s.End.Needed,
			s.End.Chains, plan.Bytes(s.End.Stored), plan.Bytes(s.Most.Stored), plan.Bytes(s.Peak), ruleCounts(s.End.Rules))
		stored, most, peak = stored+s.End.Stored, most+s.Most.Stored, peak+s.Peak
	}
	if len(all) > 1 {
		policies.row("all", "", "", "", "", "", "", plan.Bytes(stored), plan.Bytes(most), plan.Bytes(peak))
	}
	policies.print(env.stdout, env.columns())
}

// ruleCounts is "7 keep_daily, 4 keep_weekly".
func ruleCounts(all []plan.RuleCount) string {
	var words []string
	for _, r := range all {
		words = append(words, fmt.Sprintf("%d %s", r.Points, r.Rule))
	}
	return strings.Join(words, ", ")
}

func (env *environment) dayTable(s plan.Simulation) {
	fmt.Fprintf(env.stdout, "\n%s\n", s.Address)
	days := env.table()
	days.row("DAY", amounts("POINTS"), amounts("HELD"), amounts("NEEDED"), amounts("CHAINS"), amounts("STORED"))
	for _, d := range s.Days {
		days.row(d.Date, d.Points, d.Held, d.Needed, d.Chains, plan.Bytes(d.Stored))
	}
	days.print(env.stdout, env.columns())
}
