package virttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"vbk/virt"
)

// Known returns the domains that have this name or this UUID.
func (h *Host) Known(ctx context.Context, name, uuid string) ([]virt.Domain, error) {
	all, err := h.Domains(ctx)
	return slices.DeleteFunc(all, func(d virt.Domain) bool { return d.Name != name && d.UUID != uuid }), err
}

// DefineXML defines a domain, shut off, with empty disks. One that has the same
// name and UUID is replaced.
func (h *Host) DefineXML(ctx context.Context, doc string) error {
	def, err := virt.ParseDomain(doc)
	if err != nil {
		return err
	}
	return h.add(ctx, def, virt.ShutOff)
}

func (h *Host) add(ctx context.Context, def virt.Domain, state virt.State) error {
	known, err := h.Known(ctx, def.Name, def.UUID)
	if err != nil {
		return err
	}
	for _, d := range known {
		if d.Name != def.Name || d.UUID != def.UUID {
			return fmt.Errorf("define domain: domain '%s' already exists with uuid %s", d.Name, d.UUID)
		}
		h.Undefine(d.UUID)
	}
	h.Define(def, nil)
	h.SetState(def.UUID, state)
	return nil
}

// StartDomain starts a domain that is shut off.
func (h *Host) StartDomain(ctx context.Context, uuid string) error {
	d, err := h.Domain(ctx, uuid)
	if err == nil && d.State.Active() {
		err = errors.New("start domain: it runs already")
	}
	if err == nil {
		h.SetState(uuid, virt.Running)
	}
	return err
}

// StartTransient starts a domain. Nothing runs in it, and Destroy forgets it.
func (h *Host) StartTransient(ctx context.Context, doc string) error {
	def, err := virt.ParseDomain(doc)
	if err != nil {
		return err
	}
	return h.add(ctx, def, virt.Running)
}

// Destroy ends and forgets a domain.
func (h *Host) Destroy(_ context.Context, uuid string) error {
	h.Undefine(uuid)
	return nil
}

// QEMUUser is the user of the test.
func (h *Host) QEMUUser(context.Context) (uid, gid int, err error) {
	return os.Getuid(), os.Getgid(), nil
}
