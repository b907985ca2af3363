package plan

import (
	"fmt"
	"slices"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// noBitmap names the kind of an image that has no place for bitmaps; "" if it has.
func noBitmap(d virt.Disk) string {
	switch {
	case d.Format == "raw":
		return "raw"
	case d.Format == "qcow2" && d.Image.Compat == "0.10":
		return "qcow2 version 2"
	}
	return ""
}

// Whole says whether all data of the disk is read.
func (d DiskBackup) Whole() bool { return d.Base || d.Resync }

func newDiskBackup(d virt.Disk) DiskBackup {
	return DiskBackup{Target: d.Target, Size: d.Size, Source: d.Source, Format: d.Format, Encrypted: d.Encrypted, Identity: d.Identity, DataState: d.DataState, Image: d.Image}
}

// extension is a chain that a point may join.
type extension struct {
	want    Want
	open    store.Chain
	head    store.Point
	base    virt.Checkpoint
	missing string // why base counts for no disk; "" if it does
	forgot  string // why base is to be redefined first; "" if libvirt knows it
	starts  bool   // the domain is started first, and QEMU tells more than can be seen now
}

func extend(w Want, s Seen, open store.Chain, head store.Point) extension {
	e := extension{want: w, open: open, head: head, starts: startsPaused(w, s.Domain)}
	var known bool
	e.base, known = findCheckpoint(s.Domain, head.Checkpoint)
	switch {
	case head.Distrusted != "":
		e.missing = head.Distrusted
	case head.Checkpoint == "":
		e.missing = "the newest point has no checkpoint"
	case !known && redefinable(w, s, head):
		e.forgot = unknownCheckpoint(head, "")
	case !known:
		e.missing = unknownCheckpoint(head, s.Unredefinable)
	case !head.Created.IsZero() && !head.Created.Equal(e.base.Created): // its name proves nothing
		e.missing = fmt.Sprintf("checkpoint %q was made at %s, that of the newest point at %s", head.Checkpoint,
			e.base.Created.UTC().Format("2006-01-02 15:04:05"), head.Created.UTC().Format("2006-01-02 15:04:05"))
	}
	return e
}

func findCheckpoint(d virt.Domain, name string) (virt.Checkpoint, bool) {
	for _, c := range d.Checkpoints {
		if c.Name == name {
			return c, true
		}
	}
	return virt.Checkpoint{}, false
}

// joining is how a disk joins the open chain, if it can.
type joining struct {
	DiskBackup
	unseen bool // nobody knows yet what of it changed
	fits   bool // otherwise Reason says why a new chain begins,
	fails  bool // or why nothing is done at all
}

// join decides whether a disk is read by its bitmap, or how it joins the chain
// without one.
func (e extension) join(d virt.Disk) joining {
	j := joining{DiskBackup: newDiskBackup(d), fits: true}
	raw := noBitmap(d) != ""
	v3 := e.open.Manifest.Stream == store.V3
	onBroken := e.want.Policy.Chain.OnBroken
	j.Reason = e.whyWhole(d)
	if j.Reason == "" {
		bitmap, known := e.base.Disk(d.Target)
		if j.Estimate, j.unseen = bitmap.Dirty, !known || bitmap.Health == virt.Unseen; j.unseen {
			j.Estimate = wholeSize(d)
		}
		return j
	}
	j.Estimate, j.Untracked = wholeSize(d), raw
	old, had := e.head.Disk(d.Target)
	broken := !raw && !writtenUnseen(old, d) // these two are as they have to be
	switch {
	case !had && (v3 || !e.everHad(d.Target)):
		j.Base = true
	case !v3: // its reader would restore stale bytes
		j.fits = false
	case raw && e.want.Policy.Disks.Raw == "full":
		j.Base = true
	case broken && (onBroken == "full" || onBroken == "fail"):
		j.fits = false
	case e.open.Manifest.HashKey == "": // nothing to compare with
		j.Base = true
	default:
		j.Resync = true
	}
	j.fails = !j.fits && broken && onBroken == "fail" && e.head.Distrusted == ""
	return j
}

// everHad says whether a point of the chain has a disk of this name.
func (e extension) everHad(target string) bool {
	return slices.ContainsFunc(e.open.Manifest.Points, func(p store.Point) bool {
		_, had := p.Disk(target)
		return had
	})
}

// whyWhole says why a disk cannot be read by its bitmap; "" if it can.
func (e extension) whyWhole(d virt.Disk) string {
	old, had := e.head.Disk(d.Target)
	bitmap, tracked := e.base.Disk(d.Target)
	switch {
	case !had:
		return fmt.Sprintf("disk %s is new", d.Target)
	case noBitmap(d) != "":
		return fmt.Sprintf("%s has no bitmap (%s)", d.Target, noBitmap(d))
	case e.missing != "":
		return e.missing
	case old.Size != d.Size && !(e.starts && d.Size == 0):
		return fmt.Sprintf("%s was %s, is %s", d.Target, Bytes(old.Size), Bytes(d.Size))
	case old.Source != d.Source:
		return fmt.Sprintf("the image of %s was %s, is %s", d.Target, old.Source, d.Source)
	case old.Identity != "" && d.Identity != "" && old.Identity != d.Identity:
		return fmt.Sprintf("%s (%s) is another image than before: %s, was %s", d.Source, d.Target, d.Identity, old.Identity)
	case writtenUnseen(old, d):
		return fmt.Sprintf("the data file of %s may have been written while no QEMU had it", d.Target)
	case e.forgot != "": // libvirt tells when it is redefined
		return ""
	case !tracked:
		return fmt.Sprintf("checkpoint %q does not track %s", e.base.Name, d.Target)
	case bitmap.Health == virt.Unseen && e.starts:
		return ""
	case bitmap.Health != virt.Sound:
		return fmt.Sprintf("bitmap %q is missing or inconsistent on %s", bitmap.Bitmap, d.Target)
	}
	return ""
}

// writtenUnseen says whether others than the QEMU that the bitmap is of may have
// written to the external data file of an image since the head.
func writtenUnseen(old store.PointDisk, d virt.Disk) bool {
	return d.DataFile && (d.DataState == "" || old.DataState != d.DataState)
}

// wholeSize estimates what reading a whole disk reads: what its image occupies,
// where that is known and less.
func wholeSize(d virt.Disk) int64 {
	if d.Allocated > 0 && d.Allocated < d.Size && !d.DataFile {
		return d.Allocated
	}
	return d.Size
}

type diskError struct{ text, hint string }

// selectDisks takes the disks that hold a machine's data, and names the targets
// that take no part. blind says that their sizes may not be told yet.
func selectDisks(rules config.Disks, all []virt.Disk, blind bool) (disks []virt.Disk, others []string, problem *diskError) {
	for _, d := range all {
		isRaw := noBitmap(d) != "" && d.Device != "lun"
		if !rules.Selects(d.Target) || removable(d) || d.ReadOnly || d.Shared || d.Source == "" || isRaw && rules.Raw == "skip" {
			others = append(others, d.Target)
			continue
		}
		if problem := untracked(rules, d); problem != nil {
			return nil, nil, problem
		}
		if d.Encrypted && rules.Encrypted != "plaintext" {
			return nil, nil, inTheClear(d)
		}
		if d.Size <= 0 && !blind {
			return nil, nil, &diskError{fmt.Sprintf("disk %s (%s): libvirt does not tell its size", d.Target, d.Source), "qemu-img info -U " + d.Source + " shows whether the image can be read"}
		}
		disks = append(disks, d)
	}
	if len(disks) == 0 {
		return nil, nil, &diskError{"the domain has no disk to back up", "see virsh domblklist, and disks { include, exclude } of its block"}
	}
	return disks, others, nil
}

// untracked says why a disk without a bitmap is not backed up.
func untracked(rules config.Disks, d virt.Disk) *diskError {
	kind := noBitmap(d)
	takesRaw := rules.Raw == "resync" || rules.Raw == "full"
	switch {
	case d.Device != "lun" && d.Format == "qcow2" && kind == "", d.Device != "lun" && kind != "" && takesRaw:
		return nil
	case d.Device != "lun" && d.Format == "qcow2":
		return &diskError{fmt.Sprintf("disk %s (%s) has format %s: dirty bitmaps need version 3", d.Target, d.Source, kind),
			"with the domain shut off: qemu-img amend -f qcow2 -o compat=1.1 IMAGE; or disks { raw = \"resync\" } reads it whole each time"}
	}
	return &diskError{fmt.Sprintf("disk %s (%s) has format %s: dirty bitmaps need qcow2 version 3", d.Target, d.Source, d.Format),
		fmt.Sprintf("convert it to qcow2, or leave it out: disks { exclude = [%q] }", d.Target)}
}

// diskWarnings names the disks that the configuration selects and that are left
// out of a planned backup all the same.
func diskWarnings(i Instance, d virt.Domain) []string {
	b := i.Backup()
	if b == nil {
		return nil
	}
	all := snapshotWarnings(i, *b, d)
	for _, disk := range d.Disks {
		if !slices.Contains(b.Others, disk.Target) || !i.Want.Policy.Disks.Selects(disk.Target) || removable(disk) {
			continue
		}
		why := ""
		switch {
		case disk.ReadOnly:
			why = "it is read-only"
		case disk.Shared:
			why = "it is shareable"
		case disk.Source == "":
			why = "it has no image that libvirt names"
		default: // disks { raw = "skip" } asks for it
			continue
		}
		all = append(all, fmt.Sprintf("%s: disk %s is not backed up: %s; if that is meant: disks { exclude = [%q] }",
			i.Want.Address, disk.Target, why, disk.Target))
	}
	return all
}

// snapshotWarnings names the images that hold snapshots: QEMU reverts to none as long as
// there are bitmaps in the image, and libvirt lets a machine that runs die of it.
func snapshotWarnings(i Instance, b Backup, d virt.Domain) []string {
	var all []string
	for _, disk := range d.Disks {
		tracked := slices.ContainsFunc(b.Disks, func(x DiskBackup) bool { return x.Target == disk.Target && !x.Untracked })
		if disk.Snapshots > 0 && tracked && i.Want.Policy.Mode != "full" {
			all = append(all, fmt.Sprintf("%s: %s holds %d internal snapshot(s): points have nothing of them, and who reverts to one while a checkpoint exists ends the machine, by an error of QEMU's: first virsh checkpoint-delete",
				i.Want.Address, disk.Source, disk.Snapshots))
		}
	}
	return all
}

func removable(d virt.Disk) bool { return d.Device == "cdrom" || d.Device == "floppy" }
