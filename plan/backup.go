package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

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

	current bool // the newest point is as good as one made now
}

func chooseBackup(w Want, s Seen, newest time.Time, found bool, now time.Time) choice {
	d, err := whenDue(w, newest, found, now)
	if err != nil {
		return choice{err: err.Error(), hint: "write five fields: minute, hour, day of month, month, day of week"}
	}
	if !d.due && !w.asksFull(s.Folder) {
		return choice{idle: "not due", due: d.next}
	}
	off := !s.Domain.State.Active()
	if off {
		if c, answered := offline(w, s.Domain); answered {
			return c
		}
	}
	if j := s.Domain.Job; foreign(w, j) {
		return choice{err: fmt.Sprintf("another job is active on the domain: %s", describeJob(j)),
			hint: fmt.Sprintf("see virsh -c %s domjobinfo %s; vbk never ends a job that is not its own", w.Host.URI, w.Domain)}
	}
	disks, others, problem := selectDisks(w.Policy.Disks, s.Domain.Disks, startsPaused(w, s.Domain))
	if problem != nil {
		return choice{err: problem.text, hint: problem.hint}
	}
	if off {
		if problem := offlineProblem(w, disks); problem != nil {
			return choice{err: problem.text, hint: problem.hint}
		}
		if unchanged(w, s, disks, now) {
			return choice{idle: "shut off, and nothing changed since the newest point", current: true}
		}
	}
	c := fullOrIncrement(w, s, disks, now, whyNow(s, d.reason, found))
	if c.err != "" {
		return c
	}
	if idle := tooLittle(w, c.backup, newest, d.after); idle != "" && found && !w.asksFull(s.Folder) {
		return choice{idle: idle}
	}
	c.backup.Others = others
	switch {
	case startsPaused(w, s.Domain):
		c.backup.StartPaused, c.reason = true, c.reason+"; domain is shut off: it is started paused while it is read"
	case off:
		c.backup.Offline, c.reason = true, c.reason+"; domain is shut off: its image files are read"
	}
	return c
}

// whyNow says why a point is made, with the age of the newest, if one was found.
func whyNow(s Seen, age string, found bool) string {
	if found {
		return age
	}
	if _, _, begun := openChain(s.Folder); begun {
		return "every restore point is damaged or from the future"
	}
	return "no restore point yet"
}

// tooLittle applies min_change to an increment that reads nothing whole, unless
// waiting for the next one would exceed the rpo.
func tooLittle(w Want, b *Backup, newest, after time.Time) string {
	inDanger := after.IsZero() || after.Sub(newest) > time.Duration(w.Policy.RPO)
	if b.Kind != store.Increment || b.Estimate >= w.Policy.MinChange || inDanger || slices.ContainsFunc(b.Disks, DiskBackup.Whole) {
		return ""
	}
	return fmt.Sprintf("only %s changed and min_change = %q", Bytes(b.Estimate), Bytes(w.Policy.MinChange))
}

// foreign says whether a job is somebody else's.
func foreign(w Want, j *virt.Job) bool { return j != nil && !ownSocket(w.StoreID, j.Socket) }

func describeJob(j *virt.Job) string {
	if j.Socket != "" {
		return fmt.Sprintf("%s (socket %s)", j.Operation, j.Socket)
	}
	return j.Operation
}

// fullOrIncrement says how the point is made that is due. age is why it is.
func fullOrIncrement(w Want, s Seen, disks []virt.Disk, now time.Time, age string) choice {
	open, head, ok := openChain(s.Folder)
	switch {
	case !ok && open.Name != "":
		return newChain(w, disks, open.Name, fmt.Sprintf("chain %s lists no point%s", open.Name, detail(open.Problems)))
	case !ok:
		return newChain(w, disks, "", age)
	}
	if why := whyNewChain(w, s, open, head, now); why != "" {
		return newChain(w, disks, open.Name, why)
	}
	if standsAlone(w) {
		return newChain(w, disks, open.Name, age+" and mode = \"full\"")
	}
	return onto(extend(w, s, open, head), disks, age)
}

// onto is a point of the open chain, or a new chain if a disk cannot join it.
func onto(e extension, disks []virt.Disk, age string) choice {
	w, open, head := e.want, e.open, e.head
	b := &Backup{Kind: store.Increment, Chain: open.Name, Head: head.Sequence, Stream: open.Manifest.Stream}
	notes, obstacles := sentences{age}, sentences{}
	for _, d := range disks {
		j := e.join(d)
		if j.fails {
			return choice{err: j.Reason, hint: fmt.Sprintf("on_broken = \"fail\": vbk apply -full '%s' begins a new chain", w.Address)}
		}
		if !j.fits {
			obstacles.add(j.Reason)
			continue
		}
		b.Disks = append(b.Disks, j.DiskBackup)
		b.Estimate += j.Estimate
		notes.add(j.Reason)
		switch {
		case j.Resync:
			b.Kind = store.Resync
		case !j.Base:
			b.Checkpoint, b.Redefine = head.Checkpoint, e.forgot != ""
			notes.add(e.forgot)
		}
	}
	if len(obstacles) > 0 {
		return newChain(w, disks, open.Name, obstacles.String())
	}
	if !slices.ContainsFunc(b.Disks, func(d DiskBackup) bool { return !d.Base }) {
		return newChain(w, disks, open.Name, notes[1:].String())
	}
	for _, d := range head.Disks {
		if !slices.ContainsFunc(disks, func(v virt.Disk) bool { return v.Target == d.Target }) {
			notes.add(fmt.Sprintf("disk %s is gone", d.Target))
		}
	}
	return choice{backup: b, reason: notes.String()}
}

// sentences of a reason, each once.
type sentences []string

func (s *sentences) add(one string) {
	if one != "" && !slices.Contains(*s, one) {
		*s = append(*s, one)
	}
}

func (s sentences) String() string { return strings.Join(s, "; ") }
