package virttest

import (
	"context"
	"errors"
	"fmt"

	"vbk/virt"
)

// agent is the guest agent of a domain. The zero value is of a domain without.
type agent struct {
	there  bool
	fails  error // what it answers to a freeze, after freezing
	frozen bool
}

// GiveAgent gives a domain a guest agent. If fails is set, it says so to every
// freeze, though it has frozen the file systems: a freeze that came too late.
func (h *Host) GiveAgent(uuid string, fails error) {
	h.change(uuid, func(d *domain) { d.agent, d.def.Agent = agent{there: true, fails: fails}, true })
}

// Frozen says whether the guest's file systems are frozen.
func (h *Host) Frozen(uuid string) (frozen bool) {
	h.change(uuid, func(d *domain) { frozen = d.agent.frozen })
	return frozen
}

// Freeze asks the guest agent to freeze file systems.
func (h *Host) Freeze(ctx context.Context, uuid string, _ []string) error {
	return h.effect(ctx, "Freeze", "freeze file systems of domain", uuid, func(d *domain) error {
		if err := d.hasAgent(); err != nil {
			return err
		}
		if d.agent.frozen {
			return errors.New("the agent refuses every command but a thaw")
		}
		d.agent.frozen = true
		return d.agent.fails
	})
}

// Thaw lets file systems go on.
func (h *Host) Thaw(ctx context.Context, uuid string) error {
	return h.effect(ctx, "Thaw", "thaw file systems of domain", uuid, func(d *domain) error {
		if err := d.hasAgent(); err != nil {
			return err
		}
		d.agent.frozen = false
		return nil
	})
}

func (d *domain) hasAgent() error {
	switch {
	case !d.def.State.Active():
		return fmt.Errorf("%w: the domain is %s", virt.ErrUnsupported, d.def.State)
	case d.def.State != virt.Running:
		return fmt.Errorf("the domain is %s", d.def.State)
	case !d.agent.there:
		return virt.ErrNoAgent
	}
	return nil
}
