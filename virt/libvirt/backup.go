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
	_, err = withDomainOnce(ctx, h, "begin backup of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		// libvirt would wait half a minute for another client's job.
		if err := idle(d, ""); err != nil {
			return struct{}{}, err
		}
		flags := libvirt.DomainBackupBeginFlags(0)
		if b.Reuse {
			flags = libvirt.DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL
		}
		err := d.BackupBegin(job, checkpoint, flags)
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
// gone, a zombie with this socket included. It is no error if no backup job is
// active; another one is virt.ErrBusy and is left alone.
func (h *Host) EndBackup(ctx context.Context, uuid, socket string) error {
	const what = "end backup of domain"
	active, err := withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (bool, error) { return abort(d, socket) })
	if !active || err != nil {
		return err
	}
	return h.wait(ctx, what, uuid, func(d *libvirt.Domain) (bool, error) {
		mine, err := owns(d, socket)
		if errors.Is(err, virt.ErrBusy) { // ours is over, the next one began
			return false, nil
		}
		return mine, err
	})
}

// wait returns when pending is false, or on an error.
func (h *Host) wait(ctx context.Context, what, uuid string, pending func(*libvirt.Domain) (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		active, err := withDomain(ctx, h, what, uuid, pending)
		if !active || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s %s: outcome unknown: the job has not ended: %w", what, uuid, ctx.Err())
		}
	}
}

// abort tells the backup job with this socket to end; false if there is none.
func abort(d *libvirt.Domain, socket string) (bool, error) {
	mine, err := owns(d, socket)
	if !mine || err != nil {
		return false, err
	}
	if err = d.AbortJob(); err == nil || !isCode(err, libvirt.ERR_OPERATION_INVALID) {
		return err == nil, err
	}
	// No job to abort: it has ended by itself, or it is a zombie.
	if mine, err = owns(d, socket); !mine || err != nil {
		return false, err
	}
	v, err := survey(d)
	if err != nil {
		return false, err
	}
	var targets []string
	for _, disk := range v.Disks {
		targets = append(targets, disk.Target)
	}
	return true, abortBlockJob(d, targets)
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

// AbortZombie ends block jobs of type backup on the targets that virDomainAbortJob
// knows nothing of: what a begin leaves that failed while it saved its
// checkpoint, and that a restart of libvirtd does not clear either. It is for
// jobs that the caller knows he began, where EndBackup cannot tell by the
// socket. Beside a live job it is virt.ErrBusy.
func (h *Host) AbortZombie(ctx context.Context, uuid string, targets []string) error {
	const what = "abort block jobs of domain"
	_, err := withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (struct{}, error) {
		if stats, err := d.GetJobStats(0); err == nil && stats.Type != libvirt.DOMAIN_JOB_NONE {
			return struct{}{}, fmt.Errorf("%w: %s, not a leftover", virt.ErrBusy, operation(stats))
		}
		return struct{}{}, abortBlockJob(d, targets)
	})
	if err != nil {
		return err
	}
	return h.wait(ctx, what, uuid, func(d *libvirt.Domain) (bool, error) { return backupTarget(d, targets) != "", nil })
}

// abortBlockJob ends the backup block job of one of the targets; libvirt ends
// those of the other disks with it.
func abortBlockJob(d *libvirt.Domain, targets []string) error {
	target := backupTarget(d, targets)
	if target == "" {
		return nil
	}
	if err := d.BlockJobAbort(target, 0); err != nil && backupTarget(d, []string{target}) != "" {
		return fmt.Errorf("disk %s: %w", target, plain(err))
	}
	return nil
}

// backupTarget is the first target with a backup block job, "" if there is none.
func backupTarget(d *libvirt.Domain, targets []string) string {
	for _, target := range targets {
		info, err := d.GetBlockJobInfo(target, 0)
		if err == nil && info.Type == libvirt.DOMAIN_BLOCK_JOB_TYPE_BACKUP {
			return target
		}
	}
	return ""
}
