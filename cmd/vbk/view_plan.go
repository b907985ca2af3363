package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"vbk/plan"
	"vbk/store"
)

// showPlan prints a plan as docs describe: actions with their reasons, the
// sums, and what will not happen and why.
func (env *environment) showPlan(p plan.Plan) {
	env.tellPlan(p)
	v := planView{env: env, paint: painter(env.color), width: env.columns()}
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
	for _, note := range notes(p) {
		v.printf("%s\n", wrapped(note+".", v.width, "  "))
	}
	if p.NotApplicable != "" {
		v.printf("%s\n", wrapped("This plan can never be applied: "+p.NotApplicable+".", v.width, "  "))
	}
	for _, w := range warnings(p) {
		_, text, _ := strings.Cut(wrapped("Warning: "+w, v.width, "  "), ":")
		v.printf("\n%s%s\n", v.yellow("Warning:"), text)
	}
	for _, f := range failures(p) {
		env.complain(hint(fmt.Errorf("%s: %s", f.Object, f.Error), "%s", f.Hint))
	}
}

type planView struct {
	env *environment
	paint
	width int // of lines; 0: without a limit
}

func (v planView) printf(format string, args ...any) { fmt.Fprintf(v.env.stdout, format, args...) }

func (v planView) instance(i plan.Instance) {
	if len(i.Actions) == 0 {
		return
	}
	verb, reason := headline(i)
	v.printf("\n  %s\n  %s\n", v.bold("# "+i.Want.Address+" "+verb), wrapped("# (because "+reason+")", v.width-2, "  #  "))
	for _, a := range i.Actions {
		switch a.Kind {
		case plan.KindCleanup:
			v.action(v.yellow("~"), "cleanup", a.Reason)
			for _, step := range cleanupSteps(*a.Cleanup) {
				v.detail(step)
			}
		case plan.KindBackup:
			v.backup(i, *a.Backup)
		case plan.KindPrune:
			v.action(v.red("-"), fmt.Sprintf("%s of chain %s (%s)", count(a.Prune.Points, "point"), a.Prune.Chain, plan.Bytes(a.Prune.Stored)), a.Reason)
			if a.Prune.After {
				v.printf("      deleted once the new point is durable\n")
			}
		case plan.KindMerge:
			v.merge(*a.Merge, a.Reason)
		case plan.KindVerify:
			v.action(v.cyan("<="), fmt.Sprintf("verify %s of chain %s: %s (%s to read)", count(len(a.Verify.Points), "point"), a.Verify.Chain,
				sequences(a.Verify.Sequences()), plan.Bytes(a.Verify.Bytes)), a.Reason)
		}
	}
}

// action is a line with its reason, or two where that is too long.
func (v planView) action(symbol, what, reason string) {
	between := "   "
	if v.width > 0 && runewidth.StringWidth("  <= "+what+between+reason) > v.width {
		between = "\n      "
		reason = wrapped(reason, v.width-len("      "), between[1:])
	}
	v.printf("  %s %s%s%s\n", symbol, what, between, reason)
}

func (v planView) merge(m plan.Merge, reason string) {
	gone := count(len(m.Gone), "point")
	if !slices.Contains(m.Attempts, "") { // it is there already
		v.printf("  %s point %s.%d takes in the data of %s\n", v.yellow("~"), m.Chain, m.Into, gone)
	}
	v.action(v.red("-"), fmt.Sprintf("%s of chain %s: %s (up to %s)", gone, m.Chain, sequences(m.Gone), plan.Bytes(m.Stored)), reason)
	if m.After {
		v.printf("      merged into the next once the new point is durable\n")
	}
}

// sequences lists points of one chain: "3, 4, 5".
func sequences(all []int) string {
	names := make([]string, len(all))
	for n, sequence := range all {
		names[n] = strconv.Itoa(sequence)
	}
	return listed(names)
}

// headline says what an instance gets, and the reason of it.
func headline(i plan.Instance) (verb, reason string) {
	for _, a := range i.Actions {
		if a.Kind == plan.KindBackup {
			return article(*a.Backup), a.Reason
		}
	}
	a := i.Actions[0]
	if a.Kind == plan.KindCleanup && len(i.Actions) > 1 {
		a = i.Actions[1]
	}
	switch a.Kind {
	case plan.KindPrune:
		return "releases points", a.Reason
	case plan.KindMerge:
		return "merges points", a.Reason
	case plan.KindVerify:
		return "is verified", a.Reason
	}
	return "is cleaned up", a.Reason
}

func article(b plan.Backup) string {
	switch {
	case b.Kind == store.Resync:
		var disks []string
		for _, d := range b.Disks {
			if d.Resync {
				disks = append(disks, d.Target)
			}
		}
		return "resyncs disk " + strings.Join(disks, ", ")
	case b.Kind == store.Increment:
		return "gets an increment"
	case b.Closes != "":
		return "gets a full: a new chain begins"
	}
	return "gets a full: its first chain begins"
}

func (v planView) backup(i plan.Instance, b plan.Backup) {
	v.printf("  %s point  %-11s  %-14s  %s\n", v.green("+"), kindWord(b.Kind), estimate(b), i.Want.Store.Address())
	if b.Redefine { // no change of its own: every sign at the beginning of a line is counted
		v.printf("      checkpoint %s is redefined in libvirt first\n", b.Checkpoint)
	}
	if b.Kind == store.Full && b.Closes != "" {
		v.printf("      chain %s is closed\n", b.Closes)
	}
	if b.Takes > 0 {
		v.printf("      by earlier points: about %s to store, about %s\n", plan.Bytes(b.Stores), plan.Age(time.Duration(b.Takes)))
	}
	for _, d := range b.Disks {
		switch {
		case b.Kind == store.Full:
		case d.Base:
			v.detail(fmt.Sprintf("disk %s is read whole: %s", d.Target, d.Reason))
		case d.Resync:
			v.detail(fmt.Sprintf("disk %s is read whole, and what differs is stored: %s", d.Target, d.Reason))
		}
	}
}

// detail is a line about the one above it.
func (v planView) detail(text string) {
	v.printf("      %s\n", wrapped(text, v.width-len("      "), "        "))
}

func estimate(b plan.Backup) string {
	switch b.Kind {
	case store.Full:
		return "up to " + plan.Bytes(b.Estimate)
	case store.Resync:
		return fmt.Sprintf("reads ~%s, stores about %s", plan.Bytes(b.Estimate), plan.Bytes(b.Stores))
	}
	return "~" + plan.Bytes(b.Estimate)
}

func cleanupSteps(c plan.Cleanup) []string {
	var parts []string
	if c.Thaw {
		parts = append(parts, "thaws the guest's file systems")
	}
	if c.Job != "" {
		parts = append(parts, "ends backup job "+c.Job)
	}
	for _, name := range c.Checkpoints {
		parts = append(parts, "deletes checkpoint "+name)
	}
	if c.Started != nil {
		parts = append(parts, "ends the domain, which it had started paused, unless somebody lets it run")
	}
	if c.Secret != "" {
		parts = append(parts, "forgets the key of scratch files")
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
	s := sumsOf(p)
	_, counts, _ := strings.Cut(s.String(), " ")
	v.printf("\n%s %s\n", v.bold("Plan:"), counts)
	if text := backupsLine(p, s); text != "" {
		v.printf("%s\n", text)
	}
}

// backupsLine says what the plan costs and frees, "" if that is nothing.
func backupsLine(p plan.Plan, s sums) string {
	var text string
	if kinds := backupKinds(p); s.Add > 0 {
		about := "~"
		if kinds[0].kind == store.Full {
			about = "up to "
		}
		var parts []string
		for _, k := range kinds {
			parts = append(parts, fmt.Sprintf("%d %s", k.count, kindWord(k.kind)))
		}
		text = fmt.Sprintf("Backups: %s (%s%s to read)", strings.Join(parts, ", "), about, plan.Bytes(s.Read))
	}
	freed := freedBytes(p)
	if len(freed) == 0 {
		return text + strings.Repeat(".", min(1, len(text)))
	}
	verb := "Frees "
	if text != "" {
		verb = text + "; frees "
	}
	return verb + strings.Join(freed, ", ") + "."
}

type kindCount struct {
	kind  store.Kind
	count int
}

// backupKinds counts the planned points, the largest kind first.
func backupKinds(p plan.Plan) []kindCount {
	kinds := []kindCount{{store.Full, 0}, {store.Resync, 0}, {store.Increment, 0}}
	for _, i := range p.Instances {
		if b := i.Backup(); b != nil {
			for n := range kinds {
				if kinds[n].kind == b.Kind {
					kinds[n].count++
				}
			}
		}
	}
	return slices.DeleteFunc(kinds, func(k kindCount) bool { return k.count == 0 })
}

// freedBytes says what deletions free on each store.
func freedBytes(p plan.Plan) []string {
	freed, atMost := map[string]int64{}, map[string]string{}
	for _, i := range p.Instances {
		at := i.Want.Store.Address()
		for _, a := range i.Actions {
			switch a.Kind {
			case plan.KindPrune:
				freed[at] += a.Prune.Stored
			case plan.KindMerge:
				freed[at] += a.Merge.Stored
				atMost[at] = "up to "
			}
		}
	}
	var all []string
	for _, at := range slices.Sorted(maps.Keys(freed)) {
		all = append(all, fmt.Sprintf("%s%s on %s", atMost[at], plan.Bytes(freed[at]), at))
	}
	return all
}

// kindWord names a kind of point to people.
func kindWord(k store.Kind) string {
	if k == store.Increment {
		return "incremental"
	}
	return string(k)
}

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
func (p paint) cyan(s string) string   { return p.with("36", s) }
