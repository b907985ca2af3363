package plan

import (
	"fmt"
	"time"

	"vbk/store"
	"vbk/virt"
)

// Seen is what is known of one instance at one moment.
type Seen struct {
	Domain virt.Domain
	Folder *store.Domain // nil before the first point

	Unredefinable string // why the head's checkpoint could not be redefined just now
}

// Decide says what is to be done for one instance, and why. It is total and
// deterministic: everything it needs is in its arguments.
func Decide(w Want, s Seen, now time.Time) Instance {
	i := decide(w, s, now, new(ledger))
	if b := i.Backup(); b != nil {
		b.Stores, b.Takes = forecast(s.Folder, b)
	}
	i.decideVerify(s, now)
	return i
}

// decide is Decide without the forecast, in the memory of a ledger: what it says
// of kept points lasts until the ledger is used again.
func decide(w Want, s Seen, now time.Time, l *ledger) Instance {
	i, found := Instance{Want: w}, false
	l.tally = tally{}
	if s.Folder != nil {
		i.Folder = s.Folder.Folder
		if i.Error, i.Hint = unusable(w, s.Folder); i.Error != "" {
			i.Locked = s.Folder.Locked
			return i
		}
		i.Newest, found = newestSound(s.Folder, now)
	}
	if i.Error, i.Hint = unanswered(w, s.Domain); i.Error != "" {
		return i
	}
	if c := leftovers(w, s); c != nil {
		i.Actions = append(i.Actions, Action{Kind: KindCleanup, Reason: "left by an interrupted run", Cleanup: c})
	}
	if w.Release != "" {
		i.decideRelease(s, now)
		return i
	}
	choice := chooseBackup(w, s, i.Newest, found, now)
	i.Error, i.Hint, i.Idle, i.Due = choice.err, choice.hint, choice.idle, choice.due
	if choice.current {
		i.Current = now
	}
	before, after := i.decidePrune(l, s, choice.backup, now)
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

// unusable says why nothing is done in a folder: it cannot be read, a living
// process has it, or it is another domain's.
func unusable(w Want, f *store.Domain) (problem, hint string) {
	if f.Error != "" {
		return fmt.Sprintf("folder %s cannot be read: %s", f.Folder, f.Error),
			fmt.Sprintf("look at %s in %s: its owner, its modes, the disk below it; then vbk verify", f.Folder, w.Store.Path)
	}
	if f.Locked {
		problem = "another vbk is at work in " + f.Folder
		if a := f.Attempt; a != nil && a.PID != 0 {
			problem += fmt.Sprintf(": pid %d on %s since %s", a.PID, a.Host, a.Since.UTC().Format(time.RFC3339))
		}
		return problem, "run it again when that one is done"
	}
	for _, c := range f.Chains {
		if other := c.Manifest.UUID; other != "" && other != w.UUID {
			return fmt.Sprintf("folder %s holds chain %s of another domain, %s", f.Folder, c.Name, other),
				"move that chain, or the whole folder, out of the store"
		}
	}
	return "", ""
}

// unanswered says why nothing can be decided about a domain: libvirt did not
// tell what there is.
func unanswered(w Want, d virt.Domain) (problem, hint string) {
	switch {
	case d.Error != "":
		problem = "libvirt cannot describe the domain: " + d.Error
	case d.Job != nil && (d.Job.Operation == virt.NoAnswer || d.Job.Operation == virt.ClientCall):
		problem = "libvirt tells nothing of the domain: it is held by " + d.Job.Operation
	default:
		return "", ""
	}
	return problem, fmt.Sprintf("see virsh -c %s domstats %s", w.Host.URI, w.Domain)
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
