package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// choice is the answer to "is a backup to be made now, and which?". At most one
// of backup, idle and err is set.
type choice struct {
	backup *Backup
	reason string
	idle   string
	due    time.Time
	err    string
	hint   string
}

func chooseBackup(w Want, s Seen, now time.Time) choice {
	newest, found := newestSound(s.Folder, now)
	due := newest.Add(interval(w.Policy.Every))
	if found && now.Before(due) && !w.asksFull(s.Folder) {
		return choice{idle: "not due", due: due}
	}
	if !s.Domain.State.Active() {
		return inactive(w, s.Domain)
	}
	if j := s.Domain.Job; foreign(w, j) {
		return choice{err: fmt.Sprintf("another job is active on the domain: %s", describeJob(j)),
			hint: fmt.Sprintf("see virsh -c %s domjobinfo %s; vbk never ends a job that is not its own", w.Host.URI, w.Domain)}
	}
	disks, others, err := selectDisks(w.Policy.Disks, s.Domain.Disks)
	if err != nil {
		return choice{err: err.Error(), hint: err.hint}
	}
	age := "no restore point yet"
	if found {
		age = fmt.Sprintf("the newest point is %s old and every = %q", Age(now.Sub(newest)), w.Policy.Every)
	} else if _, _, ok := openChain(s.Folder); ok {
		age = "every restore point is damaged or from the future"
	}
	b, reason := fullOrIncrement(w, s, disks, now, age)
	b.Others = others
	return choice{backup: b, reason: reason}
}

// interval applies the tolerance of the language: a nightly timer with jitter
// must not skip nights.
func interval(d config.Duration) time.Duration {
	return time.Duration(d) - min(time.Duration(d)/10, time.Hour)
}

// newestSound is the start of the newest point that restores. Points from the
// future do not count: a clock that was wrong once must not stop backups.
func newestSound(f *store.Domain, now time.Time) (time.Time, bool) {
	var newest time.Time
	found := false
	if f == nil {
		return newest, false
	}
	for _, c := range f.Chains {
		for _, p := range c.Manifest.Points {
			if c.Sound(p.Sequence) && !fromFuture(p, now) && (!found || p.Start.After(newest)) {
				newest, found = p.Start, true
			}
		}
	}
	return newest, found
}

// fromFuture allows for clocks that differ by minutes.
func fromFuture(p store.Point, now time.Time) bool {
	return p.Start.After(now.Add(10 * time.Minute))
}

func inactive(w Want, d virt.Domain) choice {
	if w.Policy.Offline == "skip" {
		return choice{idle: fmt.Sprintf("domain is %s and offline = \"skip\"", d.State)}
	}
	return choice{err: fmt.Sprintf("domain is %s: this version backs up running domains only", d.State),
		hint: fmt.Sprintf("virsh -c %s start %s, or set offline = \"skip\"", w.Host.URI, w.Domain)}
}

// foreign says whether a job is somebody else's.
func foreign(w Want, j *virt.Job) bool { return j != nil && !ownSocket(w.StoreID, j.Socket) }

func describeJob(j *virt.Job) string {
	if j.Socket != "" {
		return fmt.Sprintf("%s (socket %s)", j.Operation, j.Socket)
	}
	return j.Operation
}

func fullOrIncrement(w Want, s Seen, disks []virt.Disk, now time.Time, age string) (*Backup, string) {
	open, head, ok := openChain(s.Folder)
	if !ok && open.Name != "" {
		return newChain(disks, open.Name), fmt.Sprintf("chain %s lists no point%s", open.Name, detail(open.Problems))
	}
	if !ok {
		return newChain(disks, ""), age
	}
	if why := whyNewChain(w, s, open, head, now); why != "" {
		return newChain(disks, open.Name), why
	}
	checkpoint, known := findCheckpoint(s.Domain, head.Checkpoint)
	if !known {
		return newChain(disks, open.Name), fmt.Sprintf("checkpoint %q is unknown to libvirt", head.Checkpoint)
	}
	b := &Backup{Kind: store.Increment, Chain: open.Name, Head: head.Sequence, Checkpoint: head.Checkpoint}
	var notes []string
	for _, d := range disks {
		planned, dirty := diskOnto(d, head, checkpoint)
		b.Disks = append(b.Disks, planned)
		b.Estimate += dirty
		if planned.Base {
			notes = append(notes, planned.Reason)
		}
	}
	if len(notes) == len(disks) {
		return newChain(disks, open.Name), strings.Join(notes, "; ")
	}
	for _, d := range head.Disks {
		if !slices.ContainsFunc(disks, func(v virt.Disk) bool { return v.Target == d.Target }) {
			notes = append(notes, fmt.Sprintf("disk %s is gone", d.Target))
		}
	}
	return b, strings.Join(append([]string{age}, notes...), "; ")
}

// whyNewChain says which limit or damage closes the open chain, "" if none.
func whyNewChain(w Want, s Seen, open store.Chain, head store.Point, now time.Time) string {
	limits := w.Policy.Chain
	age := now.Sub(open.Manifest.Points[0].Start)
	increments := len(open.Manifest.Points) - 1
	newer := slices.IndexFunc(s.Folder.Chains, func(c store.Chain) bool {
		return c.Manifest.Number == 0 && c.Name > open.Name
	})
	switch {
	case w.asksFull(s.Folder):
		return "-full asked for a new chain"
	case newer >= 0: // its number is lost with its manifests
		c := s.Folder.Chains[newer]
		return fmt.Sprintf("chain %s may be the newest%s", c.Name, detail(c.Problems))
	case open.Manifest.Closed != "":
		return "the chain was closed: " + open.Manifest.Closed
	case !open.Sound(head.Sequence):
		return "the open chain is damaged" + detail(damageOf(open, head.Sequence))
	case !open.Sound(head.Sequence + 1): // what the next point would be
		return "the open chain is damaged" + detail(damageOf(open, head.Sequence+1))
	case limits.FullEvery > 0 && age >= interval(limits.FullEvery):
		return fmt.Sprintf("the chain is %s old and full_every = %q", Age(age), limits.FullEvery)
	case increments >= limits.MaxIncrements:
		return fmt.Sprintf("the chain has %d increments and max_increments = %d", increments, limits.MaxIncrements)
	case head.Checkpoint == "":
		return "the newest point has no checkpoint"
	}
	return ""
}

// damageOf lists the problems that keep a point from being restored.
func damageOf(c store.Chain, sequence int) (all []store.Problem) {
	for _, p := range c.Problems {
		if !(store.Chain{Problems: []store.Problem{p}}).Sound(sequence) {
			all = append(all, p)
		}
	}
	return all
}

// detail is the first problem, for the end of a sentence.
func detail(problems []store.Problem) string {
	if len(problems) == 0 {
		return ""
	}
	return fmt.Sprintf(": %s: %s", problems[0].File, problems[0].Detail)
}

func findCheckpoint(d virt.Domain, name string) (virt.Checkpoint, bool) {
	for _, c := range d.Checkpoints {
		if c.Name == name {
			return c, true
		}
	}
	return virt.Checkpoint{}, false
}

func newChain(disks []virt.Disk, closes string) *Backup {
	b := &Backup{Kind: store.Full, Head: -1, Closes: closes}
	for _, d := range disks {
		b.Disks = append(b.Disks, DiskBackup{Target: d.Target, Base: true, Size: d.Size, Source: d.Source, Format: d.Format})
		b.Estimate += wholeSize(d)
	}
	return b
}

// diskOnto decides whether a disk can be read by its bitmap, and how many bytes
// that is.
func diskOnto(d virt.Disk, head store.Point, c virt.Checkpoint) (DiskBackup, int64) {
	planned := DiskBackup{Target: d.Target, Size: d.Size, Source: d.Source, Format: d.Format}
	old, had := head.Disk(d.Target)
	bitmap, tracked := c.Disk(d.Target)
	switch {
	case !had:
		planned.Reason = fmt.Sprintf("disk %s is new", d.Target)
	case old.Size != d.Size:
		planned.Reason = fmt.Sprintf("%s was %s, is %s", d.Target, Bytes(old.Size), Bytes(d.Size))
	case old.Source != d.Source:
		planned.Reason = fmt.Sprintf("the image of %s was %s, is %s", d.Target, old.Source, d.Source)
	case !tracked:
		planned.Reason = fmt.Sprintf("checkpoint %q does not track %s", c.Name, d.Target)
	case bitmap.Health != virt.Sound:
		planned.Reason = fmt.Sprintf("bitmap %q is missing or inconsistent on %s", bitmap.Bitmap, d.Target)
	default:
		return planned, bitmap.Dirty
	}
	planned.Base = true
	return planned, wholeSize(d)
}

// wholeSize estimates what reading a whole disk reads: what its image occupies,
// where that is known and less.
func wholeSize(d virt.Disk) int64 {
	if d.Allocated > 0 && d.Allocated < d.Size {
		return d.Allocated
	}
	return d.Size
}

type diskError struct{ text, hint string }

func (e *diskError) Error() string { return e.text }

// selectDisks takes the disks that hold a machine's data and that libvirt can
// track, and names the targets that take no part.
func selectDisks(rules config.Disks, all []virt.Disk) (disks []virt.Disk, others []string, problem *diskError) {
	for _, d := range all {
		if !rules.Selects(d.Target) || removable(d) || d.ReadOnly || d.Shared || d.Source == "" {
			others = append(others, d.Target)
			continue
		}
		if d.Device == "lun" || d.Format != "qcow2" {
			return nil, nil, &diskError{fmt.Sprintf("disk %s (%s) has format %s: dirty bitmaps need qcow2 version 3", d.Target, d.Source, d.Format),
				fmt.Sprintf("convert it to qcow2, or leave it out: disks { exclude = [%q] }", d.Target)}
		}
		if d.Size <= 0 {
			return nil, nil, &diskError{fmt.Sprintf("disk %s (%s): libvirt does not tell its size", d.Target, d.Source), "virsh domblkinfo tells why"}
		}
		disks = append(disks, d)
	}
	if len(disks) == 0 {
		return nil, nil, &diskError{"the domain has no disk to back up", "see virsh domblklist, and disks { include, exclude } of its block"}
	}
	return disks, others, nil
}

// diskWarnings names the disks that the configuration selects and that are left
// out of a planned backup all the same.
func diskWarnings(i Instance, d virt.Domain) []string {
	b := i.Backup()
	if b == nil {
		return nil
	}
	var all []string
	for _, disk := range d.Disks {
		if !slices.Contains(b.Others, disk.Target) || !i.Want.Policy.Disks.Selects(disk.Target) || removable(disk) {
			continue
		}
		why := "it has no image that libvirt names"
		if disk.ReadOnly {
			why = "it is read-only"
		} else if disk.Shared {
			why = "it is shareable"
		}
		all = append(all, fmt.Sprintf("%s: disk %s is not backed up: %s; if that is meant: disks { exclude = [%q] }",
			i.Want.Address, disk.Target, why, disk.Target))
	}
	return all
}

func removable(d virt.Disk) bool { return d.Device == "cdrom" || d.Device == "floppy" }
