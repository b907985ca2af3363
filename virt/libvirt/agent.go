//go:build cgo

package libvirt

import (
	"context"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// Freeze asks the guest agent to write everything out and to freeze the file
// systems with these mount points in the guest, or all (virDomainFSFreeze).
// virt.ErrNoAgent: no agent is there; virt.ErrUnsupported: the domain is shut off.
// After any other error, also of a ctx that has
// ended, some may be frozen, now or soon: call Thaw.
func (h *Host) Freeze(ctx context.Context, uuid string, mountPoints []string) error {
	return h.agent(ctx, "freeze file systems of domain", uuid, func(d *libvirt.Domain) error { return d.FSFreeze(mountPoints, 0) })
}

// Thaw lets all file systems go on that Freeze has frozen (virDomainFSThaw). It
// is no error if none is. Errors as of Freeze.
func (h *Host) Thaw(ctx context.Context, uuid string) error {
	return h.agent(ctx, "thaw file systems of domain", uuid, func(d *libvirt.Domain) error { return d.FSThaw(nil, 0) })
}

// agent runs a command of the guest agent. libvirt waits for ever unless it is
// told how long, which it remembers for the domain.
func (h *Host) agent(ctx context.Context, what, uuid string, command func(*libvirt.Domain) error) error {
	_, err := withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (struct{}, error) {
		if deadline, ok := ctx.Deadline(); ok {
			seconds := max(1, int(time.Until(deadline).Seconds()))
			if err := d.AgentSetResponseTimeout(seconds, 0); err != nil {
				return struct{}{}, err
			}
			defer d.AgentSetResponseTimeout(int(libvirt.DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK), 0)
		}
		err := command(d)
		if isCode(err, libvirt.ERR_OPERATION_INVALID) { // also said of a paused one, which can wait
			if active, failed := d.IsActive(); failed == nil && !active {
				err = fmt.Errorf("%w: the domain is shut off", virt.ErrUnsupported)
			}
		}
		return struct{}{}, err
	})
	return err
}
