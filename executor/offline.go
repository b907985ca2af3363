package executor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"vbk/plan"
	"vbk/virt"
)

// Images is what QEMU's programs do to image files, of a domain that is shut
// off but for the first. QEMUImages is one.
type Images interface {
	// CreateScratch makes a qcow2 image of so many bytes, encrypted with a key unless
	// that is "".
	CreateScratch(ctx context.Context, path string, size int64, key string) error
	// Still tells one state of an image from another. It fails while a QEMU has the
	// image open for writing.
	Still(ctx context.Context, path string) (state string, err error)
	// AddBitmap adds an empty bitmap that records what is written from then on.
	AddBitmap(ctx context.Context, path, name string) error
	// RemoveBitmap removes a bitmap, if it is there.
	RemoveBitmap(ctx context.Context, path, name string) error
	// Serve exports an image at a socket to one client, with one of its bitmaps
	// unless that is "". It never keeps the domain from starting.
	Serve(ctx context.Context, path, format, export, bitmap, socket string) error
}

func (x *instance) images() Images {
	if x.Images != nil {
		return x.Images
	}
	return QEMUImages{}
}

// errStarted ends an attempt that is no snapshot any more.
var errStarted = errors.New("the domain has been started, or its images were changed, while they were read: the attempt is discarded")

// offline reads the disks of a domain that is shut off from its image files. The
// new bitmaps come first: what is written from then on they record, and what is
// written before all is read shows in the images.
func (a *attempt) offline(ctx context.Context) error {
	d, err := a.shutOff(ctx)
	if err != nil {
		return err
	}
	if err := makeRunFolder(a.record.RunFolder, d); err != nil {
		return err
	}
	if err := a.mark(ctx); err != nil {
		return err
	}
	states, err := a.states(ctx)
	if err != nil {
		return err
	}
	ctx, stop := watch(ctx, imageInterval, func() error { return a.unchanged(ctx, states) }, a.stalled())
	defer stop()
	for _, disk := range a.plan.Disks {
		bitmap := ""
		if !disk.Whole() {
			bitmap = a.plan.Checkpoint
		}
		err := a.images().Serve(ctx, disk.Source, disk.Format, disk.Target, bitmap, a.offlineSocket(disk))
		if err != nil {
			err = fmt.Errorf("disk %s: %w", disk.Target, err)
		} else {
			err = a.disk(ctx, disk, a.offlineSocket(disk), bitmap)
		}
		if err != nil {
			return cmp.Or(context.Cause(ctx), a.unchanged(ctx, states), err)
		}
	}
	if _, err := a.shutOff(ctx); err != nil {
		return err
	}
	a.point.End = a.Now().UTC()
	return a.unchanged(ctx, states)
}

func (a *attempt) offlineSocket(d plan.DiskBackup) string { return a.socket() + "-" + d.Target }

// shutOff wants the domain to be.
func (a *attempt) shutOff(ctx context.Context) (virt.Domain, error) {
	d, err := a.domain(ctx)
	if err == nil && d.State != virt.ShutOff {
		err = again(fmt.Errorf("the domain is %s: %w", d.State, errStarted))
	}
	return d, err
}

func again(err error) error {
	return &hintError{err, "vbk apply again: it takes the domain as it is then"}
}

// mark makes the new checkpoint: libvirt's record first, by which the next run
// finds the bitmaps of one that was cut off.
func (a *attempt) mark(ctx context.Context) error {
	a.point.Start, a.point.QuiesceWhy = a.Now().UTC(), "the domain is shut off"
	if a.point.Checkpoint != "" {
		if err := a.addCheckpoint(ctx); err != nil {
			return err
		}
	}
	for _, d := range a.plan.Disks {
		if d.Untracked {
			continue
		}
		if err := a.images().AddBitmap(ctx, d.Source, a.point.Checkpoint); err != nil {
			return fmt.Errorf("disk %s: add bitmap: %w", d.Target, err)
		}
	}
	return a.describe(ctx)
}

func (a *attempt) addCheckpoint(ctx context.Context) error {
	domain, err := a.host.DomainXML(ctx, a.want.UUID)
	if err != nil {
		return err
	}
	var tracked []string
	others := a.plan.Others[:len(a.plan.Others):len(a.plan.Others)]
	for _, d := range a.plan.Disks {
		if d.Untracked {
			others = append(others, d.Target)
		} else {
			tracked = append(tracked, d.Target)
		}
	}
	doc, err := virt.NewCheckpointXML(a.point.Checkpoint, domain, a.point.Start, tracked, others)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	return a.host.RedefineCheckpoint(ctx, a.want.UUID, doc)
}

// states are those of the images before they are read.
func (a *attempt) states(ctx context.Context) ([]string, error) {
	var all []string
	for _, d := range a.plan.Disks {
		state, err := a.images().Still(ctx, d.Source)
		if err != nil {
			return nil, again(fmt.Errorf("disk %s: %w: %w", d.Target, errStarted, err))
		}
		all = append(all, state)
	}
	return all, nil
}

// unchanged wants the images to be as they were.
func (a *attempt) unchanged(ctx context.Context, states []string) error {
	now, err := a.states(ctx)
	if err != nil {
		return err
	}
	for n, d := range a.plan.Disks {
		if now[n] != states[n] {
			return again(fmt.Errorf("disk %s: %w", d.Target, errStarted))
		}
	}
	return nil
}

// deleteOffline deletes a checkpoint of a domain that is shut off: the bitmaps in
// its images, then libvirt's record of it.
func (x *instance) deleteOffline(ctx context.Context, d virt.Domain, name string) error {
	for _, c := range d.Checkpoints {
		if c.Name != name {
			continue
		}
		for _, disk := range d.Disks {
			bitmap, tracked := c.Disk(disk.Target)
			if !tracked || disk.Source == "" {
				continue
			}
			if err := x.images().RemoveBitmap(ctx, disk.Source, bitmap.Bitmap); err != nil {
				return fmt.Errorf("disk %s: remove bitmap %s: %w", disk.Target, bitmap.Bitmap, err)
			}
		}
	}
	return x.host.ForgetCheckpoint(ctx, x.want.UUID, name)
}

// imageTime bounds what a program of QEMU takes to change an image or to begin
// to serve it.
const imageTime = time.Minute
