package plan

import "fmt"

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
	whole := ""
	for _, d := range b.Disks {
		if d.Base {
			whole += " " + d.Target
		}
	}
	if whole != "" {
		whole = " with all of" + whole
	}
	return fmt.Sprintf("an increment on %s.%d%s", b.Chain, b.Head, whole)
}

func sameBackup(a, b *Backup) bool {
	if a.Kind != b.Kind || a.Chain != b.Chain || a.Head != b.Head || a.Checkpoint != b.Checkpoint ||
		a.Closes != b.Closes || len(a.Disks) != len(b.Disks) {
		return false
	}
	for i := range a.Disks {
		x, y := a.Disks[i], b.Disks[i]
		if x.Target != y.Target || x.Base != y.Base || x.Size != y.Size || x.Source != y.Source {
			return false
		}
	}
	return true
}

func checkPrune(planned Action, now Instance) (Action, Verdict, string) {
	chain := planned.Prune.Chain
	for _, a := range now.Actions {
		if a.Kind != KindPrune || a.Prune.Chain != chain {
			continue
		}
		if a.Prune.Manifest != planned.Prune.Manifest {
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
