package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/plan"
	"vbk/store"
)

// showComparison prints what an edit causes, the most dangerous first.
func (env *environment) showComparison(base string, d plan.Comparison) {
	v := comparisonView{env: env, paint: painter(env.color), Comparison: d}
	v.printf("Compared with %s, at %s: what the edit causes, and nothing else.\n", base, fullTime(d.Created))
	v.points("Points that are deleted because of the edit", v.red("-"), d.Lost)
	v.heldBack()
	v.points("Points that are deleted sooner: without the edit the next backup would delete them", v.yellow("-"), d.Sooner)
	v.points("Points that no rule holds any more: they stay until nothing builds on them", v.yellow("!"), d.Unheld)
	v.domains()
	v.errors("Instances that fail now", v.red("!"), d.Failing, func(e plan.ErrorChange) string { return e.After })
	v.backups()
	v.points("Points that are kept because of the edit", v.green("+"), d.Kept)
	v.errors("Instances that do not fail any more", v.green("+"), d.Recovered, func(e plan.ErrorChange) string { return e.Before })
	v.due()
	v.policies()
	v.bytes()
	v.printf("\n")
	switch {
	case d.Empty():
		v.printf("%s\n", v.bold("No difference: both configurations plan the same."))
	case !d.Now():
		v.printf("%s\n", v.bold("This change has no effect on what exists now."))
	default:
		v.printf("%s %s.\n", v.bold("Effect:"), strings.Join(effects(d.Summary), ", "))
	}
	for _, f := range d.Failures {
		env.complain(hint(fmt.Errorf("%s: %s: nothing is said about what is there", f.Object, f.Error), "%s", f.Hint))
	}
}

type comparisonView struct {
	env *environment
	paint
	plan.Comparison
}

func (v comparisonView) printf(format string, args ...any) {
	fmt.Fprintf(v.env.stdout, format, args...)
}

func (v comparisonView) title(text string) { v.printf("\n%s\n", v.bold("# "+text)) }

// effects are the numbers of a comparison that are not zero, losses first.
func effects(s plan.Difference) []string {
	var all []string
	add := func(n int, noun, what string) {
		if n > 0 {
			all = append(all, count(n, noun)+" "+what)
		}
	}
	add(s.Lost, "point", "lost")
	add(s.Sooner, "point", "lost sooner")
	add(s.Unheld, "point", "without a rule")
	add(s.Unclaimed, "domain", "unclaimed")
	add(s.Failing, "instance", "failing")
	add(s.Moved, "domain", "moved to another store")
	add(s.Fulls, "new full", "caused")
	add(s.Kept, "point", "kept")
	add(s.Claimed, "domain", "newly claimed")
	add(s.Recovered, "instance", "failing no more")
	add(s.Changed, "instance", "with another policy")
	if s.Freed != 0 || s.Needed != 0 {
		all = append(all, signed(s.Needed-s.Freed)+" stored")
	}
	if len(all) == 0 {
		return []string{"see above"}
	}
	return all
}

// signed is "+1.00 GiB" or "-1.00 GiB".
func signed(n int64) string {
	if n < 0 {
		return "-" + plan.Bytes(-n)
	}
	return "+" + plan.Bytes(n)
}

// maxListed is how many instances a list tells in detail.
const maxListed = 10

// points prints points by instance: all their runs, or where there are many
// instances a line for each.
func (v comparisonView) points(title, symbol string, all []plan.PointChange) {
	if len(all) == 0 {
		return
	}
	v.title(title)
	instances := chunks(all, func(a, b plan.PointChange) bool { return a.Address == b.Address })
	for _, instance := range instances {
		if len(instances) > maxListed {
			chains := chunks(instance, func(a, b plan.PointChange) bool { return a.Chain == b.Chain })
			v.run(symbol, instance[0].Address+" on "+instance[0].Store+", "+count(len(chains), "chain"), instance)
			continue
		}
		v.printf("  %s on %s\n", instance[0].Address, instance[0].Store)
		for _, run := range chunks(instance, sameFate) {
			name := fmt.Sprintf("%s.%d", run[0].Chain, run[0].Sequence)
			if len(run) > 1 {
				name += fmt.Sprintf(" to .%d", run[len(run)-1].Sequence)
			}
			v.run(symbol, name, run)
		}
	}
}

// chunks cuts a list where neighbours do not belong together.
func chunks[T any](all []T, together func(a, b T) bool) (runs [][]T) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && together(all[0], all[n]) {
			n++
		}
		runs, all = append(runs, all[:n]), all[n:]
	}
	return runs
}

func sameFate(a, b plan.PointChange) bool {
	return a.Address == b.Address && a.Chain == b.Chain && a.Why == b.Why && slices.Equal(a.Before, b.Before) && slices.Equal(a.After, b.After)
}

func (v comparisonView) run(symbol, name string, run []plan.PointChange) {
	var stored int64
	for _, p := range run {
		stored += p.Stored
	}
	when := shortTime(run[0].Start)
	if len(run) > 1 {
		when += " to " + shortTime(run[len(run)-1].Start)
	}
	v.printf("  %s %s  %s  %s, %s\n", symbol, name, when, count(len(run), "point"), plan.Bytes(stored))
	v.printf("      %s: %s\n", heldText(run[0]), cmp.Or(run[0].Why, "the next backup changes"))
}

// heldText is what held a point before, and what holds it after.
func heldText(p plan.PointChange) string {
	before, after := strings.Join(p.Before, ", "), strings.Join(p.After, ", ")
	switch {
	case before == "":
		return "now " + after
	case after == "":
		return "was " + before
	}
	return "was " + before + ", now " + after
}

func (v comparisonView) heldBack() {
	if len(v.HeldBack) == 0 {
		return
	}
	v.title("Deletions that the edit asks for and that are held back")
	for _, h := range v.HeldBack {
		v.printf("  %s %s: %s\n", v.red("!"), h.Address, h.Text)
		if h.Why != "" {
			v.printf("      %s\n", h.Why)
		}
	}
}

func (v comparisonView) domains() {
	if len(v.Domains) == 0 {
		return
	}
	v.title("Domains")
	for _, d := range v.Domains {
		switch d.Kind {
		case plan.DomainUnclaimed:
			v.printf("  %s %s is not backed up any more: it was %s, and %s%s\n", v.red("-"), d.Domain, d.Before, d.Why, behind(d))
		case plan.DomainDeadline:
			v.printf("  %s %s: %s: %s -> %s\n", v.yellow("~"), d.Domain, count(d.Points, "departed point"), d.Before, d.After)
		case plan.DomainStore:
			v.printf("  %s %s moves from %s to %s%s\n", v.yellow("~"), d.Domain, d.Stores[0], d.Stores[1], behind(d))
		case plan.DomainSeen:
			v.printf("  %s %s is visible now, and no block claims it\n", v.yellow("!"), d.Domain)
		case plan.DomainBlock:
			v.printf("  %s %s moves from %s to %s\n", v.yellow("~"), d.Domain, d.Before, d.After)
		case plan.DomainClaimed:
			v.printf("  %s %s is backed up now, as %s on %s\n", v.green("+"), d.Domain, d.After, d.Stores[1])
		}
	}
}

// behind tells what becomes of points that stay behind.
func behind(d plan.DomainChange) string {
	if d.Points == 0 {
		return ""
	}
	text := fmt.Sprintf("; %s on %s", stay(d.Points), d.Stores[0])
	if !d.Until.IsZero() {
		text += " until " + d.Until.UTC().Format(time.DateOnly)
	}
	return text
}

func stay(n int) string {
	if n == 1 {
		return "1 point stays"
	}
	return fmt.Sprintf("%d points stay", n)
}

func (v comparisonView) errors(title, symbol string, all []plan.ErrorChange, text func(plan.ErrorChange) string) {
	if len(all) == 0 {
		return
	}
	v.title(title)
	for _, e := range all {
		v.printf("  %s %s: %s\n", symbol, e.Address, text(e))
		if e.Hint != "" {
			v.printf("      %s\n", e.Hint)
		}
	}
}

func (v comparisonView) backups() {
	if len(v.Backups) == 0 {
		return
	}
	v.title("Next backups that become others")
	for _, b := range v.Backups {
		v.printf("  %s %s: %s -> %s (~%s to read), because %s\n", v.yellow("~"), b.Address, backupWord(b.Before), backupWord(b.After), plan.Bytes(b.Read), b.Reason)
	}
}

func backupWord(kind string) string {
	if kind == "" {
		return "nothing"
	}
	return kindWord(store.Kind(kind))
}

func (v comparisonView) due() {
	if len(v.Due) == 0 {
		return
	}
	v.title("Next backups that move")
	for n, d := range v.Due {
		if n == maxListed {
			v.printf("  ... and %s more\n", count(len(v.Due)-n, "instance"))
			break
		}
		v.printf("  %s %s: %s -> %s\n", v.yellow("~"), d.Address, v.when(d.Before), v.when(d.After))
	}
}

func (v comparisonView) when(t time.Time) string {
	switch {
	case t.IsZero():
		return "not planned"
	case t.Equal(v.Created):
		return "now"
	}
	return fullTime(t)
}

func (v comparisonView) policies() {
	if len(v.Policies) == 0 {
		return
	}
	v.title("Policies that change, and where they lead")
	for _, p := range v.Policies {
		v.printf("  %s\n", fewOf(p.Instances))
		for _, a := range p.Changes {
			v.printf("    %s %s%s\n", v.yellow("~"), a, written(a))
		}
		if p.Ahead != nil {
			v.outlook(p)
		}
	}
}

func written(a plan.AttributeChange) string {
	if a.Origin == "" {
		return ""
	}
	return "   " + a.Origin
}

// outlook tells what the simulation of both policies ends with.
func (v comparisonView) outlook(p plan.PolicyChange) {
	o, whom := p.Ahead, ""
	if o.Simulated < len(p.Instances) {
		whom = fmt.Sprintf(" of %d of them", o.Simulated)
	}
	v.printf("    on %s, by simulation%s: %d -> %d points, %s -> %s\n", o.Date, whom, o.Before.Points, o.After.Points, plan.Bytes(o.Before.Stored), plan.Bytes(o.After.Stored))
}

// fewOf names the first of many.
func fewOf(all []string) string {
	if len(all) <= 3 {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:3], ", "), len(all)-3)
}

func (v comparisonView) bytes() {
	if len(v.Stores) == 0 {
		return
	}
	v.title("Bytes, compared with no edit")
	for _, s := range v.Stores {
		v.printf("  %s: deletions free %s, backups store %s\n", s.Store, signed(s.Freed), signed(s.Needed))
	}
}
