package executor

import (
	"context"
	"errors"

	"vbk/plan"
	"vbk/virt"
)

// startPaused starts the QEMU of a domain that is shut off, not its guest, and looks
// what is to be done then: QEMU tells of its disks and bitmaps what nobody else can.
// That we start it is recorded before, and cleaning up ends it.
func (x *instance) startPaused(ctx context.Context, planned plan.Action) (plan.Action, plan.Verdict, string, error) {
	none := func(err error) (plan.Action, plan.Verdict, string, error) { return planned, "", "", err }
	record := x.self()
	record.Started = new(int)
	if err := x.folder.Record(record); err != nil {
		return none(err)
	}
	x.attempt = &record
	// A start that is given up goes on in libvirt.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	id, err := x.host.StartPaused(limited, x.want.UUID)
	if err != nil {
		if errors.Is(err, virt.ErrRunning) { // cleaning up would end what somebody else has started
			x.attempt = nil
			err = errors.Join(err, x.folder.Record(x.self()))
		}
		x.unknown = limited.Err() != nil
		return none(&hintError{err, startHint(err)})
	}
	started := record
	started.Started = &id
	if err := x.folder.Record(started); err != nil {
		return none(err)
	}
	x.attempt = &started
	if ctx.Err() != nil {
		return none(context.Cause(ctx))
	}
	now, err := x.decide(ctx)
	if err != nil {
		return none(err)
	}
	action, verdict, why := plan.SeenAgain(planned, now)
	return action, verdict, why, nil
}

func startHint(err error) string {
	switch {
	case errors.Is(err, virt.ErrRunning):
		return "somebody else has started it just now; the next vbk apply takes it as it is"
	case errors.Is(err, virt.ErrUnsupported):
		return "offline = \"backup\" reads the images of such a domain where they are"
	}
	return "see why virsh start DOMAIN --paused fails; offline = \"backup\" reads image files without a QEMU"
}
