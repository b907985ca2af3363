package plan

import (
	"fmt"
	"slices"
	"strings"

	"vbk/store"
	"vbk/virt"
)

// Verdict on a planned action, right before it is done.
type Verdict string

// Holds: it is still right. Satisfied: it is already so, or no longer needed;
// skipping it is a success. Stale: something else would be right, and nobody
// has reviewed that.
const (
	Holds     Verdict = "holds"
	Satisfied Verdict = "satisfied"
	Stale     Verdict = "stale"
)

// Check compares a planned action with what Decide says now. It returns the
// action as it is to be done now, and why it is not where it is not.
func Check(planned Action, now Instance) (Action, Verdict, string) {
	switch planned.Kind {
	case KindBackup:
		return checkBackup(planned, now)
	case KindPrune:
		return checkPrune(planned, now)
	case KindMerge:
		return checkMerge(planned, now)
	case KindVerify:
		return checkVerify(planned, now)
	case KindCleanup:
		for _, a := range now.Actions {
			if a.Kind == KindCleanup {
				return a, Holds, ""
			}
		}
		return planned, Satisfied, "nothing is left to clean up"
	}
	return planned, Stale, fmt.Sprintf("this version knows no action %q", planned.Kind)
}

func checkBackup(planned Action, now Instance) (Action, Verdict, string) {
	for _, a := range now.Actions {
		if a.Kind != KindBackup {
			continue
		}
		if sameBackup(planned.Backup, a.Backup) {
			return a, Holds, ""
		}
		return planned, Stale, fmt.Sprintf("planned was %s, now it would be %s because %s", planned.Backup, a.Backup, a.Reason)
	}
	if now.Error != "" {
		return planned, Stale, now.Error
	}
	return planned, Satisfied, now.Idle
}

// String names a backup in a sentence.
func (b *Backup) String() string {
	if b.Chain == "" {
		return "a full that opens a new chain"
	}
	var whole, resynced string
	for _, d := range b.Disks {
		switch {
		case d.Base:
			whole += " " + d.Target
		case d.Resync:
			resynced += " " + d.Target
		}
	}
	var with []string
	if b.Redefine {
		with = append(with, "its checkpoint redefined")
	}
	if resynced != "" {
		with = append(with, "a resync of"+resynced)
	}
	if whole != "" {
		with = append(with, "all of"+whole)
	}
	text := fmt.Sprintf("an increment on %s.%d", b.Chain, b.Head)
	if len(with) > 0 {
		text += " with " + strings.Join(with, " and ")
	}
	return text
}

func sameBackup(a, b *Backup) bool {
	if b.Redefine && !a.Redefine {
		return false
	}
	return a.Kind == b.Kind && a.Chain == b.Chain && a.Head == b.Head && a.Checkpoint == b.Checkpoint &&
		a.Closes == b.Closes && a.Stream == b.Stream && slices.EqualFunc(a.Disks, b.Disks, sameDisk)
}

func sameDisk(a, b DiskBackup) bool {
	a.Estimate, b.Estimate = 0, 0
	a.Reason, b.Reason = "", "" // what is compared where it matters shows in the way the disk is read
	a.Identity, a.DataState, b.Identity, b.DataState = "", "", "", ""
	a.Image, b.Image = virt.ImageOptions{}, virt.ImageOptions{}
	return a == b
}

func checkPrune(planned Action, now Instance) (Action, Verdict, string) {
	chain := planned.Prune.Chain
	for _, a := range now.Actions {
		if a.Kind != KindPrune || a.Prune.Chain != chain {
			continue
		}
		if !slices.Equal(a.Prune.Attempts, planned.Prune.Attempts) {
			return planned, Stale, fmt.Sprintf("chain %s changed since the plan was made", chain)
		}
		if a.Prune.After {
			return planned, Stale, fmt.Sprintf("chain %s goes only after a new point, and none was made", chain)
		}
		return a, Holds, ""
	}
	for _, k := range now.Kept {
		if k.Chain == chain {
			return planned, Satisfied, fmt.Sprintf("chain %s is kept now", chain)
		}
	}
	if now.Error != "" && len(now.Kept) == 0 { // nobody looked at the chains
		return planned, Stale, now.Error
	}
	return planned, Satisfied, fmt.Sprintf("chain %s is gone already", chain)
}

// checkMerge depends on the points it names and on nothing else: what was
// reviewed is still right when more is to go by now.
func checkMerge(planned Action, now Instance) (Action, Verdict, string) {
	m := planned.Merge
	there, held := map[int]bool{}, map[int]bool{} // today
	for _, k := range now.Kept {
		if k.Chain == m.Chain {
			there[k.Sequence], held[k.Sequence] = true, k.byRule()
		}
	}
	if now.Error != "" && len(now.Kept) == 0 { // nobody looked at the chains
		return planned, Stale, now.Error
	}
	if !slices.ContainsFunc(m.Gone, func(sequence int) bool { return there[sequence] }) {
		return planned, Satisfied, fmt.Sprintf("the points of chain %s are gone already", m.Chain)
	}
	given := map[int]bool{}
	for _, a := range now.Actions {
		if a.Kind != KindMerge || a.Merge.Chain != m.Chain {
			continue
		}
		for _, sequence := range a.Merge.Gone {
			given[sequence] = true
		}
		if !a.Merge.covers(*m) {
			continue
		}
		waits := a.Merge.Into == m.Into || slices.ContainsFunc(m.Gone, func(sequence int) bool { return held[sequence] })
		if planned.Merge = m.now(); !there[m.Into] || a.Merge.After && waits {
			return planned, Stale, fmt.Sprintf("points of chain %s are merged only into a new point, and none was made", m.Chain)
		}
		return planned, Holds, ""
	}
	for _, sequence := range m.Gone {
		if there[sequence] && !given[sequence] {
			return planned, Satisfied, fmt.Sprintf("point %s.%d is kept now", m.Chain, sequence)
		}
	}
	return planned, Stale, fmt.Sprintf("chain %s changed since the plan was made", m.Chain)
}

// now is the merge when nothing is waited for any more.
func (m Merge) now() *Merge {
	m.After = false
	return &m
}

// attempts tell points from others that have their place: they are never drawn
// twice.
func attempts(points []store.Point) []string {
	all := make([]string, len(points))
	for n, p := range points {
		all[n] = p.Attempt
	}
	return all
}
