package main

import (
	"fmt"
	"strings"
	"time"

	"vbk/plan"
	"vbk/store"
)

// showPlan prints a plan as docs describe: actions with their reasons, the
// sums, and what will not happen and why.
func (env *environment) showPlan(p plan.Plan) {
	v := planView{env: env, paint: painter(env.color)}
	switch {
	case p.Empty() && p.Failed():
		v.printf("No actions, but not everything could be planned: see the errors.\n")
	case p.Empty():
		v.printf("%s\n", v.bold("No changes. What exists is what the configuration asks for."))
	default:
		v.printf("vbk will perform the following actions:\n")
		for _, i := range p.Instances {
			v.instance(i)
		}
		v.sums(p)
	}
	v.notes(p)
	v.problems(p)
}

type planView struct {
	env *environment
	paint
}

func (v planView) printf(format string, args ...any) { fmt.Fprintf(v.env.stdout, format, args...) }

func (v planView) instance(i plan.Instance) {
	if len(i.Actions) == 0 {
		return
	}
	verb, reason := headline(i)
	v.printf("\n  %s\n  # (because %s)\n", v.bold("# "+i.Want.Address+" "+verb), reason)
	for _, a := range i.Actions {
		switch a.Kind {
		case plan.KindCleanup:
			v.printf("  %s cleanup   %s\n", v.yellow("~"), a.Reason)
			for _, step := range cleanupSteps(*a.Cleanup) {
				v.printf("      %s\n", step)
			}
		case plan.KindBackup:
			v.backup(i, *a.Backup)
		case plan.KindPrune:
			v.printf("  %s %s of chain %s (%s)   %s\n%s", v.red("-"), count(a.Prune.Points, "point"), a.Prune.Chain, plan.Bytes(a.Prune.Stored), a.Reason, waits(a.Prune))
		}
	}
}

func waits(p *plan.Prune) string {
	if p.After {
		return "      deleted once the new point is durable\n"
	}
	return ""
}

// headline says what an instance gets, and the reason of it.
func headline(i plan.Instance) (verb, reason string) {
	for _, a := range i.Actions {
		if a.Kind == plan.KindBackup {
			return "gets " + article(*a.Backup), a.Reason
		}
	}
	a := i.Actions[0]
	if a.Kind == plan.KindPrune {
		return "releases points", a.Reason
	}
	return "is cleaned up", a.Reason
}

func article(b plan.Backup) string {
	switch {
	case b.Kind == store.Increment:
		return "an increment"
	case b.Closes != "":
		return "a full: chain " + b.Closes + " is closed, a new one begins"
	}
	return "a full: its first chain begins"
}

func (v planView) backup(i plan.Instance, b plan.Backup) {
	v.printf("  %s point  %-11s  %-14s  %s\n", v.green("+"), kindWord(b.Kind), estimate(b), i.Want.Store.Address())
	for _, d := range b.Disks {
		if d.Base && b.Kind == store.Increment {
			v.printf("      disk %s is read whole: %s\n", d.Target, d.Reason)
		}
	}
}

func estimate(b plan.Backup) string {
	if b.Kind == store.Full {
		return "up to " + plan.Bytes(b.Estimate)
	}
	return "~" + plan.Bytes(b.Estimate)
}

func cleanupSteps(c plan.Cleanup) []string {
	var parts []string
	if c.Job != "" {
		parts = append(parts, "ends backup job "+c.Job)
	}
	for _, name := range c.Checkpoints {
		parts = append(parts, "deletes checkpoint "+name)
	}
	if c.RunFolder != "" {
		parts = append(parts, "removes run folder "+c.RunFolder)
	}
	if n := len(c.Files); n > 0 {
		parts = append(parts, fmt.Sprintf("deletes %s that no point names", count(n, "file")))
	}
	return parts
}

// sums counts as Terraform does; GitLab's and other readers expect the line.
func (v planView) sums(p plan.Plan) {
	var add, change, destroy, full, increments int
	var read, freed int64
	worst := store.Increment
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			switch a.Kind {
			case plan.KindCleanup:
				change++
			case plan.KindBackup:
				add++
				read += a.Backup.Estimate
				if a.Backup.Kind == store.Full {
					full++
					worst = store.Full
				} else {
					increments++
				}
			case plan.KindPrune:
				destroy += a.Prune.Points
				freed += a.Prune.Stored
			}
		}
	}
	v.printf("\n%s %d to add, %d to change, %d to destroy.\n", v.bold("Plan:"), add, change, destroy)
	if add > 0 {
		v.printf("Backups: %d full, %d incremental (%s to read).", full, increments, estimate(plan.Backup{Kind: worst, Estimate: read}))
	}
	if destroy > 0 {
		v.printf(" Frees %s.", plan.Bytes(freed))
	}
	if add+destroy > 0 {
		v.printf("\n")
	}
}

// notes say what will not happen, and why.
func (v planView) notes(p plan.Plan) {
	var notDue []plan.Instance
	for _, i := range p.Instances {
		switch {
		case i.Error != "" || i.Backup() != nil:
		case !i.Due.IsZero():
			notDue = append(notDue, i)
		case i.Idle != "":
			v.printf("Not now: %s: %s.\n", i.Want.Address, i.Idle)
		}
		for _, held := range i.Held {
			v.printf("Held back: %s: %s.\n", i.Want.Address, held)
		}
	}
	if len(notDue) > 0 {
		next := notDue[0]
		for _, i := range notDue {
			if i.Due.Before(next.Due) {
				next = i
			}
		}
		v.printf("Not now: %d not due (next: %s at %s).\n", len(notDue), next.Want.Address, next.Due.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if len(p.Unclaimed) > 0 {
		v.printf("Not backed up: %s: no block claims them.\n", strings.Join(p.Unclaimed, ", "))
	}
	if len(p.LeftOut) > 0 {
		v.printf("Left out by -target or -exclude: %s.\n", count(len(p.LeftOut), "instance"))
	}
	for _, d := range p.Departed {
		v.printf("Departed: %s/%s (%s): %s; %s kept, the newest of %s.\n", d.Store, d.Folder, d.Domain, d.Why, count(d.Points, "point"), shortTime(d.Newest))
	}
	if p.Others > 0 {
		v.printf("Not visible here: %s of other configurations on the same stores.\n", count(p.Others, "chain"))
	}
}

func (v planView) problems(p plan.Plan) {
	for _, w := range p.Warnings {
		v.printf("\n%s %s\n", v.yellow("Warning:"), w)
	}
	told := map[string]bool{}
	for _, f := range p.Failures {
		told[f.Object+": "+f.Error] = true // the error of each of its instances, too
		v.env.complain(hint(fmt.Errorf("%s: %s", f.Object, f.Error), "%s", f.Hint))
	}
	for _, i := range p.Instances {
		if i.Error != "" && !told[i.Error] {
			v.env.complain(hint(fmt.Errorf("%s: %s", i.Want.Address, i.Error), "%s", i.Hint))
		}
	}
}

// count is "1 point", "2 points".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// kindWord names a kind of point to people.
func kindWord(k store.Kind) string {
	if k == store.Increment {
		return "incremental"
	}
	return string(k)
}

func shortTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// paint colours text, or leaves it.
type paint struct{ on bool }

func painter(on bool) paint { return paint{on} }

func (p paint) with(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string   { return p.with("1", s) }
func (p paint) red(s string) string    { return p.with("31", s) }
func (p paint) green(s string) string  { return p.with("32", s) }
func (p paint) yellow(s string) string { return p.with("33", s) }
