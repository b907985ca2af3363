package plan

import (
	"fmt"
	"path"
	"strings"
	"time"

	"vbk/store"
	"vbk/virt"
)

// Seen is what is known of one instance at one moment.
type Seen struct {
	Domain virt.Domain
	Folder *store.Domain // nil before the first point
}

// Decide says what is to be done for one instance, and why. It is total and
// deterministic: everything it needs is in its arguments.
func Decide(w Want, s Seen, now time.Time) Instance {
	i := Instance{Want: w}
	if s.Folder != nil {
		i.Folder = s.Folder.Folder
		if s.Folder.Locked {
			i.Error, i.Hint = lockedBy(s.Folder)
			return i
		}
	}
	if c := leftovers(w, s); c != nil {
		i.Actions = append(i.Actions, Action{Kind: KindCleanup, Reason: "left by an interrupted run", Cleanup: c})
	}
	choice := chooseBackup(w, s, now)
	i.Error, i.Hint, i.Idle, i.Due = choice.err, choice.hint, choice.idle, choice.due
	before, after := i.decidePrune(s, choice.backup, now)
	i.Actions = append(i.Actions, before...)
	if choice.backup != nil {
		i.Actions = append(i.Actions, Action{Kind: KindBackup, Reason: choice.reason, Backup: choice.backup})
	}
	i.Actions = append(i.Actions, after...)
	return i
}

// Backup returns the planned backup, nil if none is planned.
func (i Instance) Backup() *Backup {
	for _, a := range i.Actions {
		if a.Kind == KindBackup {
			return a.Backup
		}
	}
	return nil
}

func lockedBy(f *store.Domain) (problem, hint string) {
	problem = "another vbk is at work in " + f.Folder
	if a := f.Attempt; a != nil && a.PID != 0 {
		problem += fmt.Sprintf(": pid %d on %s since %s", a.PID, a.Host, a.Since.UTC().Format(time.RFC3339))
	}
	return problem, "wait for it, or run vbk apply -lock-timeout 10m"
}

// leftovers lists what an interrupted run of ours left, nil if nothing. Ours is
// what carries the store's id in its name; the caller holds the lock or knows
// that nobody does.
func leftovers(w Want, s Seen) *Cleanup {
	var c Cleanup
	if s.Domain.State.Active() {
		if j := s.Domain.Job; j != nil && ownSocket(w.StoreID, j.Socket) {
			c.Job = j.Socket
		}
		c.Checkpoints = uselessCheckpoints(w, s)
	}
	if s.Folder != nil {
		c.Files = s.Folder.Leftovers
		if s.Folder.Attempt != nil {
			c.Record, c.RunFolder = true, s.Folder.Attempt.RunFolder
		}
	}
	if c.Job == "" && len(c.Checkpoints) == 0 && len(c.Files) == 0 && !c.Record {
		return nil
	}
	return &c
}

// uselessCheckpoints are ours and not the base of the next increment.
func uselessCheckpoints(w Want, s Seen) []string {
	base := ""
	if _, head, ok := openChain(s.Folder); ok {
		base = head.Checkpoint
	}
	var names []string
	for _, c := range s.Domain.Checkpoints {
		id, _, _, _, ok := store.ParseCheckpoint(c.Name)
		if ok && id == w.StoreID && c.Name != base {
			names = append(names, c.Name)
		}
	}
	return names
}

// RunFolderPrefix begins the name of every run folder for a store.
func RunFolderPrefix(storeID string) string { return "vbk-" + storeID + "-" }

func ownSocket(storeID, socket string) bool {
	return socket != "" && strings.HasPrefix(path.Base(path.Dir(socket)), RunFolderPrefix(storeID))
}

// openChain is the chain that may grow, with its head: the one with the highest
// number, unless it has no points.
func openChain(f *store.Domain) (store.Chain, store.Point, bool) {
	if f == nil || len(f.Chains) == 0 {
		return store.Chain{}, store.Point{}, false
	}
	last := f.Chains[len(f.Chains)-1]
	head, ok := last.Head()
	return last, head, ok
}
