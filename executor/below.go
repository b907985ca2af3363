package executor

import (
	"context"
	"slices"

	"vbk/store"
	"vbk/virt"
)

// keepIdentity notes in the open chain what the images under those of the disks look
// like after checkpoints were deleted. Such an image (the one that was written to before
// somebody took an external snapshot) may have lost a bitmap with them, which makes it
// another file to who compares it, and would cost a resync. It counts only where all was as
// the chain has it until then.
func (x *instance) keepIdentity(ctx context.Context, before virt.Domain) error {
	if !slices.ContainsFunc(before.Disks, func(d virt.Disk) bool { return virt.LiesOnOthers(d.Identity) }) {
		return nil
	}
	after, err := x.host.Domain(ctx, x.want.UUID)
	if err != nil {
		return err
	}
	f, err := x.folder.Look(ctx)
	if err != nil || len(f.Chains) == 0 {
		return err
	}
	m := f.Chains[len(f.Chains)-1].Manifest
	if m.Closed != "" || len(m.Points) == 0 {
		return nil
	}
	m.Points = slices.Clone(m.Points)
	head := &m.Points[len(m.Points)-1]
	if head.Disks = slices.Clone(head.Disks); !renewIdentity(head.Disks, before.Disks, after.Disks) {
		return nil
	}
	m.Number++
	m.Written, m.Version = x.Now().UTC(), x.Version
	return x.folder.Commit(ctx, m)
}

// renewIdentity changes what is recorded of disks, and says whether there was anything.
func renewIdentity(recorded []store.PointDisk, before, after []virt.Disk) (changed bool) {
	for n, d := range recorded {
		was, now := diskOf(before, d.Target), diskOf(after, d.Target)
		if was.Identity == d.Identity && now.Source == d.Source && now.Identity != d.Identity && virt.SameButBelow(d.Identity, now.Identity) {
			recorded[n].Identity, changed = now.Identity, true
		}
	}
	return changed
}

func diskOf(all []virt.Disk, target string) virt.Disk {
	for _, d := range all {
		if d.Target == target {
			return d
		}
	}
	return virt.Disk{}
}
