package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/plan"
)

// notes say what a plan will not do, and why; each is a sentence without its
// full stop.
func notes(p plan.Plan) []string {
	var all []string
	note := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	notDue, idle := resting(p)
	for _, reason := range slices.Sorted(maps.Keys(idle)) {
		note("Not now: %s: %s", listed(idle[reason]), reason)
	}
	for _, i := range p.Instances {
		for _, held := range i.Held {
			note("Held back: %s: %s", i.Want.Address, held)
		}
	}
	if n := len(notDue); n > 0 {
		next := earliest(notDue)
		note("Not now: %s not due (next: %s at %s)", are(n, "instance"), next.Want.Address, fullTime(next.Due))
	}
	if late := beyondRPO(p); len(late) > 0 {
		note("RPO breached: %s", listed(late))
	}
	for _, c := range p.Checks {
		if c.Status == "unknown" {
			note("Not known: check %s: %s", c.Name, strings.TrimSuffix(c.Message, "."))
		}
	}
	if len(p.Unclaimed) > 0 {
		note("Not backed up: %s: no block claims them", listed(p.Unclaimed))
	}
	if n := len(p.LeftOut); n > 0 {
		note("Left out by -target or -exclude: %s", count(n, "instance"))
	}
	for _, d := range p.Departed {
		note("Departed: %s", departure(d))
	}
	if p.Others > 0 {
		note("Not visible here: %s of other configurations on the same stores", count(p.Others, "chain"))
	}
	return all
}

// resting are the instances that get no point: those that are not due, and the
// addresses of others by the reason.
func resting(p plan.Plan) (notDue []plan.Instance, idle map[string][]string) {
	idle = map[string][]string{}
	for _, i := range p.Instances {
		switch {
		case i.Error != "" || i.Backup() != nil:
		case !i.Due.IsZero():
			notDue = append(notDue, i)
		case i.Idle != "":
			idle[i.Idle] = append(idle[i.Idle], i.Want.Address)
		}
	}
	return notDue, idle
}

// departure is what is known of points that nobody claims.
func departure(d plan.Departed) string {
	text := fmt.Sprintf("%s/%s (%s): %s; %s kept, the newest of %s", d.Store, d.Folder, d.Domain, d.Why, count(d.Points, "point"), shortTime(d.Newest))
	if !d.Until.IsZero() {
		text += ", until " + fullTime(d.Until)
	}
	return text
}

// beyondRPO lists instances whose newest point is older than it may be.
func beyondRPO(p plan.Plan) []string {
	var late []string
	for _, i := range p.Instances {
		rpo := time.Duration(i.Want.Policy.RPO)
		if age, ok := i.Age(p.Created); i.Want.Release == "" && ok && rpo > 0 && age > rpo {
			late = append(late, fmt.Sprintf("%s (%s old, rpo = %q)", i.Want.Address, plan.Age(age), i.Want.Policy.RPO))
		}
	}
	return late
}

// warnings are those of the plan and of checks that do not pass.
func warnings(p plan.Plan) []string {
	all := p.Warnings[:len(p.Warnings):len(p.Warnings)]
	for _, c := range p.Checks {
		if failed(c) {
			all = append(all, fmt.Sprintf("check %s: %s", c.Name, c.Message))
		}
	}
	return all
}

func failed(c config.CheckResult) bool { return c.Status == "fail" || c.Status == "error" }

func earliest(all []plan.Instance) plan.Instance {
	next := all[0]
	for _, i := range all {
		if i.Due.Before(next.Due) {
			next = i
		}
	}
	return next
}

// failures lists what could not be planned, each error once: that of a store
// is the error of each of its instances, too.
func failures(p plan.Plan) []plan.Failure {
	all := p.Failures[:len(p.Failures):len(p.Failures)]
	told := map[string]bool{}
	for _, f := range p.Failures {
		told[f.Object+": "+f.Error] = true
	}
	for _, i := range p.Instances {
		if i.Error != "" && !told[i.Error] {
			all = append(all, plan.Failure{Object: i.Want.Address, Error: i.Error, Hint: i.Hint})
		}
	}
	return all
}

// count is "1 point", "2 points".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// are is "1 point is", "2 points are".
func are(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return count(n, noun) + " are"
}

// mostNames bounds how many names a sentence lists.
const mostNames = 20

// listed lists names, and counts what is too much for a sentence.
func listed(names []string) string {
	if more := len(names) - mostNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

func shortTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

func fullTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
