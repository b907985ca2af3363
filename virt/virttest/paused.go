package virttest

import (
	"context"
	"fmt"

	"vbk/virt"
)

// StartPaused starts a domain that is shut off, and does not let it run.
func (h *Host) StartPaused(ctx context.Context, uuid string) (id int, err error) {
	err = h.effect(ctx, "StartPaused", "start domain paused", uuid, func(d *domain) error {
		if d.def.State.Active() {
			return fmt.Errorf("%w: it is %s", virt.ErrRunning, d.def.State)
		}
		if d.saved {
			return fmt.Errorf("%w: its guest is suspended to disk (managed save)", virt.ErrUnsupported)
		}
		d.setState(virt.Paused)
		d.fresh, id = true, d.starts
		return nil
	})
	return id, err
}

// EndPaused ends a domain that StartPaused has started, if it is that start and
// has never run.
func (h *Host) EndPaused(ctx context.Context, uuid string, id int) error {
	return h.effect(ctx, "EndPaused", "end paused domain", uuid, func(d *domain) error {
		if d.def.State == virt.Paused && d.fresh && (id == 0 || id == d.starts) {
			d.setState(virt.ShutOff)
		}
		return nil
	})
}

// ManagedSave suspends a domain to disk.
func (h *Host) ManagedSave(uuid string) {
	h.change(uuid, func(d *domain) {
		d.setState(virt.ShutOff)
		d.saved = true
	})
}
