//go:build cgo

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// BeginBackup starts a pull-mode backup job and creates its checkpoint
// (virDomainBackupBegin). It fails with virt.ErrBusy if another job is active,
// virt.ErrBrokenCheckpoint or virt.ErrNoCheckpoint if a disk has no usable
// bitmap for its increment, virt.ErrUnsupported if the domain does not run.
// After any other error the outcome is unknown, see the package's words.
func (h *Host) BeginBackup(ctx context.Context, uuid string, b virt.Backup) error {
	job, checkpoint, err := b.XML()
	if err != nil {
		return fmt.Errorf("begin backup of domain %s: %w", uuid, err)
	}
	_, err = withDomain(ctx, h, "begin backup of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		// libvirt would wait half a minute for another client's job.
		if err := idle(d, ""); err != nil {
			return struct{}{}, err
		}
		err := d.BackupBegin(job, checkpoint, 0)
		if isCode(err, libvirt.ERR_OPERATION_INVALID) {
			if why := idle(d, b.Socket); why != nil {
				err = why
			}
		}
		return struct{}{}, err
	})
	return err
}

// idle says why a domain cannot begin a job now. A job with this socket is the
// caller's own.
func idle(d *libvirt.Domain, socket string) error {
	v, err := survey(d)
	switch {
	case err != nil:
		return err
	case !v.State.Active():
		return fmt.Errorf("%w: the domain is %s", virt.ErrUnsupported, v.State)
	case v.Job != nil && (v.Job.Socket == "" || v.Job.Socket != socket):
		return fmt.Errorf("%w: %s", virt.ErrBusy, v.Job.Operation)
	}
	return nil
}

// EndBackup ends the backup job that has this socket and returns when it is
// gone. It is no error if no backup job is active; another one is
// virt.ErrBusy and is left alone.
func (h *Host) EndBackup(ctx context.Context, uuid, socket string) error {
	const what = "end backup of domain"
	active, err := withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (bool, error) {
		mine, err := owns(d, socket)
		if !mine || err != nil {
			return false, err
		}
		err = d.AbortJob()
		if isCode(err, libvirt.ERR_OPERATION_INVALID) { // it ended by itself
			err = nil
		}
		return true, err
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for active && err == nil {
		active, err = withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (bool, error) {
			mine, err := owns(d, socket)
			if errors.Is(err, virt.ErrBusy) { // ours is over, the next one began
				return false, nil
			}
			return mine, err
		})
		if active && err == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("%s %s: outcome unknown: the job has not ended: %w", what, uuid, ctx.Err())
			}
		}
	}
	return err
}

// owns says whether the active backup job has this socket; false if there is no
// backup job.
func owns(d *libvirt.Domain, socket string) (bool, error) {
	job, err := backupJob(d)
	if job == nil || err != nil {
		return false, err
	}
	if socket == "" || job.Socket != socket {
		return false, fmt.Errorf("%w: its socket is %q, not %q", virt.ErrBusy, job.Socket, socket)
	}
	return true, nil
}

// AbortZombie ends block jobs of type backup on the targets which no backup job
// owns: what a begin leaves that failed while it saved its checkpoint, and that
// neither virDomainAbortJob nor a restart of libvirtd clears. It is for jobs
// that the caller knows he began. With a backup job active it is virt.ErrBusy.
func (h *Host) AbortZombie(ctx context.Context, uuid string, targets []string) error {
	_, err := withDomain(ctx, h, "abort block jobs of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		job, err := backupJob(d)
		if err != nil {
			return struct{}{}, err
		}
		if job != nil {
			return struct{}{}, fmt.Errorf("%w: a backup job, not a leftover", virt.ErrBusy)
		}
		for _, target := range targets {
			// The first abort ends the others as well.
			info, err := d.GetBlockJobInfo(target, 0)
			if err != nil || info.Type != libvirt.DOMAIN_BLOCK_JOB_TYPE_BACKUP {
				continue
			}
			if err := d.BlockJobAbort(target, 0); err != nil && !isCode(err, libvirt.ERR_OPERATION_INVALID) {
				return struct{}{}, fmt.Errorf("disk %s: %w", target, plain(err))
			}
		}
		return struct{}{}, nil
	})
	return err
}
