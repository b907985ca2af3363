package plan

import (
	"fmt"
	"slices"

	"vbk/store"
)

// redefinable says whether the head's checkpoint, which libvirt does not know,
// can be made known again from the chain's copy of its XML: a domain that was
// undefined and defined again, or that came from another host, has the bitmap in
// its image still. The name of a checkpoint of ours is never used twice, so a
// bitmap of that name is no other's; an adopted point's name proves nothing.
func redefinable(w Want, s Seen, head store.Point) bool {
	id, _, _, _, ours := store.ParseCheckpoint(head.Checkpoint)
	return ours && id == w.StoreID && head.Created.IsZero() && CheckpointXML(head) != "" && s.Unredefinable == ""
}

// CheckpointXML names the file of a point that holds libvirt's record of its
// checkpoint; "" if it has none.
func CheckpointXML(p store.Point) string {
	name := store.ExtraFileName(p.Sequence, p.Attempt, "checkpoint.xml")
	if !slices.ContainsFunc(p.Files, func(f store.File) bool { return f.Name == name }) {
		return ""
	}
	return name
}

// unknownCheckpoint is the reason for a redefinition and, where that is not
// possible, for reading disks whole.
func unknownCheckpoint(head store.Point, failed string) string {
	text := fmt.Sprintf("checkpoint %q is unknown to libvirt", head.Checkpoint)
	if failed != "" {
		text += ", and cannot be redefined: " + failed
	}
	return text
}

// SeenAgain is what is to be done after something was done to see more: the
// checkpoint of a planned backup was redefined, or could not be, or the domain was
// started paused. It is the same with sound bitmaps, or what on_broken and
// the chain's stream say of disks without. It is satisfied where too little has changed, which only the
// bitmaps tell.
func SeenAgain(planned Action, now Instance) (Action, Verdict, string) {
	n := slices.IndexFunc(now.Actions, func(a Action) bool { return a.Kind == KindBackup })
	switch {
	case n < 0 && now.Error != "":
		return planned, Stale, now.Error
	case n < 0:
		return planned, Satisfied, now.Idle
	}
	a := now.Actions[n]
	was, is := planned.Backup, a.Backup
	onward := is.Chain == was.Chain && is.Head == was.Head
	anew := is.Chain == "" && is.Closes == was.Chain
	same := slices.EqualFunc(was.Disks, is.Disks, func(a, b DiskBackup) bool {
		return a.Target == b.Target && (a.Size == b.Size || a.Size == 0) && a.Source == b.Source && a.Format == b.Format
	})
	if is.Redefine || !same || !onward && !anew {
		return planned, Stale, fmt.Sprintf("planned was %s, now it would be %s because %s", was, is, a.Reason)
	}
	if is.Kind == was.Kind {
		a.Reason = planned.Reason
	}
	return a, Holds, ""
}
