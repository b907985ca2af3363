package executor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"vbk/plan"
	"vbk/virt"
)

// sealScratch makes the scratch files of a job that reads an encrypted disk: what
// the guest overwrites while it runs must not lie in the clear beside an image that
// is encrypted. The key is drawn for the job; nobody knows it but libvirt and QEMU,
// and libvirt forgets it as soon as QEMU has it. libvirt could make these files, too,
// but takes seconds for it, while the guest is frozen.
func (a *attempt) sealScratch(ctx context.Context, d virt.Domain, job *virt.Backup) error {
	if !slices.ContainsFunc(a.plan.Disks, func(d plan.DiskBackup) bool { return d.Encrypted }) {
		return nil
	}
	drawn := make([]byte, 16+32)
	if _, err := io.ReadFull(a.Random, drawn); err != nil {
		return fmt.Errorf("draw a key for scratch files: %w", err)
	}
	id, key := drawn[:16], hex.EncodeToString(drawn[16:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	a.record.Secret = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	if err := a.folder.Record(a.record); err != nil {
		return err
	}
	job.Reuse = true
	group, inTime := errgroup.WithContext(ctx) // a key takes seconds
	for n, disk := range a.plan.Disks {
		keyOf := ""
		if b := &job.Disks[n]; disk.Encrypted {
			b.Secret, keyOf = a.record.Secret, key
			a.point.Notes = append(a.point.Notes, fmt.Sprintf("disk %s is encrypted, and stored in the clear", disk.Target))
		}
		group.Go(guarded(func() error {
			if err := a.createScratch(inTime, d, job.Disks[n].Scratch, disk.Size, keyOf); err != nil {
				return fmt.Errorf("disk %s: create scratch file: %w", disk.Target, err)
			}
			return nil
		}))
	}
	if err := group.Wait(); err != nil {
		return err
	}
	err := a.host.DefineSecret(ctx, a.record.Secret, "vbk: scratch files of "+a.want.Domain, []byte(key))
	if errors.Is(err, virt.ErrUnsupported) {
		err = &hintError{err, "encrypted disks need a libvirt with secrets; disks { exclude } leaves them out"}
	}
	return err
}

func (a *attempt) createScratch(ctx context.Context, d virt.Domain, path string, size int64, key string) error {
	err := a.images().CreateScratch(ctx, path, size, key)
	if err == nil && d.ProcessUID >= 0 {
		err = os.Chown(path, d.ProcessUID, d.ProcessGID)
	}
	return err
}

// forgetSecret is done twice where a run fails: right after the begin, and by
// cleaning up.
func (x *instance) forgetSecret(ctx context.Context, uuid string) error {
	if uuid == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	return x.host.ForgetSecret(ctx, uuid)
}
