package executor

import (
	"context"
	"fmt"

	"vbk/plan"
)

// primeFrom is the amount from which the priming read pays (QEMU's buffers,
// docs/performance.md).
const primeFrom = 128 << 20

// disk reads one disk at a socket, with a bitmap unless that is "", and stores the
// part of it that is planned.
func (a *attempt) disk(ctx context.Context, d plan.DiskBackup, socket, bitmap string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("disk %s: %w", d.Target, err)
		}
	}()
	export, err := a.Dial(ctx, socket, d.Target, bitmap)
	if err != nil {
		return err
	}
	defer export.Close()
	export = a.slowed(counted{export, &a.read})
	if export.Size() != d.Size {
		return fmt.Errorf("the export has %d bytes, libvirt said %d", export.Size(), d.Size)
	}
	if a.plan.Estimate >= primeFrom {
		if err := export.Prime(ctx); err != nil {
			return err
		}
	}
	switch {
	case d.Resync:
		return a.resync(ctx, d, export)
	case d.Base:
		return a.stream(ctx, d, exportSource{export, holdsData}, whole)
	}
	if known := a.known[d.Target]; known != nil {
		why, err := a.audit(ctx, export, known)
		if err != nil {
			return err
		}
		if why != "" {
			a.distrust(d, why)
			return a.resync(ctx, d, export)
		}
	}
	return a.stream(ctx, d, exportSource{export, isDirty}, whole)
}

// whole is the filter that lets everything pass.
func whole(s Sink) Sink { return s }

// stream copies a source through a filter into the disk's final, attempt-unique
// file.
func (a *attempt) stream(ctx context.Context, d plan.DiskBackup, source Source, filter func(Sink) Sink) error {
	source = heard{source, &a.heard}
	file, err := a.createDisk(ctx, d, source)
	if err != nil {
		return err
	}
	var done counter
	at := Event{Kind: Progress, Address: a.want.Address, Disk: d.Target, Total: a.plan.Estimate, DiskTotal: d.Estimate}
	err = Copy(ctx, filter(file.Sink), file.source, func(bytes int64) {
		a.alive()
		now := at
		now.Done, now.DiskDone = a.done.add(bytes), done.add(bytes)
		a.Events(now)
	})
	if err != nil {
		return err
	}
	at.Done, at.DiskDone, at.DiskRead = a.done.add(0), done.add(0), true
	a.Events(at)
	written, err := file.close()
	if err != nil {
		return err
	}
	a.point.Disks = append(a.point.Disks, written)
	return nil
}
