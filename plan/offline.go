package plan

import (
	"fmt"
	"slices"
	"time"

	"vbk/virt"
)

// offline says what becomes of a due backup of a domain that does not run: an
// answer, or nothing where it is backed up from its image files.
func offline(w Want, d virt.Domain) (choice, bool) {
	switch {
	case w.Policy.Offline == "skip":
		return choice{idle: fmt.Sprintf("domain is %s and offline = \"skip\"", d.State)}, true
	case d.State != virt.ShutOff: // a QEMU may have its images
		return choice{err: fmt.Sprintf("domain is %s: it is backed up while it runs and when it is shut off", d.State),
			hint: fmt.Sprintf("virsh -c %s start %s, or set offline = \"skip\"", w.Host.URI, w.Domain)}, true
	}
	return choice{}, false
}

// offlineProblem names a disk that only a running QEMU can read.
func offlineProblem(w Want, disks []virt.Disk) *diskError {
	if w.Policy.Offline == "start_paused" {
		return nil
	}
	for _, d := range disks {
		if d.Encrypted {
			return &diskError{fmt.Sprintf("domain is shut off, and disk %s (%s) is encrypted: only libvirt has its key", d.Target, d.Source),
				"set offline = \"start_paused\": it is started paused while it is read; or offline = \"skip\""}
		}
		if d.Type != "file" && d.Type != "block" {
			return &diskError{fmt.Sprintf("domain is shut off, and disk %s (%s) is of type %s: only files and block devices are read then", d.Target, d.Source, d.Type),
				"set offline = \"start_paused\": it is started paused while it is read; or offline = \"skip\""}
		}
	}
	return nil
}

// unchanged says whether the newest point is what a backup would make now: the
// domain is shut off, and each disk is the one of the point, with a bitmap in its
// image that is sound and empty.
func unchanged(w Want, s Seen, disks []virt.Disk, now time.Time) bool {
	open, head, ok := openChain(s.Folder)
	newest, found := newestSound(s.Folder, now)
	if !ok || !found || s.Domain.State != virt.ShutOff || !newest.Equal(head.Start) || w.asksFull(s.Folder) {
		return false
	}
	e := extend(w, s, open, head)
	if e.missing != "" || e.forgot != "" || len(disks) != len(head.Disks) {
		return false
	}
	return !slices.ContainsFunc(disks, func(d virt.Disk) bool {
		j := e.join(d)
		return j.Reason != "" || j.unseen || j.Estimate > 0
	})
}

// inactive says whether checkpoints of a domain that is shut off can be deleted:
// their bitmaps are removed from the image files, which have to be here, and not
// encrypted.
func inactive(w Want, d virt.Domain) bool {
	elsewhere := func(d virt.Disk) bool {
		return !removable(d) && d.Source != "" && (d.Encrypted || d.Type != "file" && d.Type != "block")
	}
	return d.State == virt.ShutOff && w.Policy.Offline != "skip" && !slices.ContainsFunc(d.Disks, elsewhere)
}

// startsPaused says whether a QEMU is started for the time of a backup.
func startsPaused(w Want, d virt.Domain) bool {
	return w.Policy.Offline == "start_paused" && d.State == virt.ShutOff
}

// inTheClear says why an encrypted disk is not backed up: no store encrypts what
// it holds.
func inTheClear(d virt.Disk) *diskError {
	return &diskError{fmt.Sprintf("disk %s (%s) is encrypted (LUKS), and the store would hold it in the clear", d.Target, d.Source),
		fmt.Sprintf("disks { encrypted = \"plaintext\" } if the store is a place for that; or leave it out: disks { exclude = [%q] }", d.Target)}
}
