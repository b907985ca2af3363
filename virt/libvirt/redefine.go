//go:build cgo

package libvirt

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// RedefineCheckpoint makes a checkpoint known to libvirt that it has forgotten,
// by the XML that CheckpointXML once gave. Its parent, which may be gone, is left
// out. Of an active domain every bitmap has to be there and consistent, or the
// error is virt.ErrBrokenCheckpoint and nothing is changed; of one that is shut
// off libvirt cannot tell. No bitmap is made. It is no error if libvirt knows the
// checkpoint.
func (h *Host) RedefineCheckpoint(ctx context.Context, uuid, doc string) error {
	const what = "redefine checkpoint of domain"
	orphan, err := edited(doc, func(x *libvirtxml.DomainCheckpoint) { x.Parent = nil })
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, uuid, err)
	}
	_, err = withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (struct{}, error) {
		active, err := d.IsActive()
		if err != nil {
			return struct{}{}, err
		}
		flags := libvirt.DOMAIN_CHECKPOINT_CREATE_REDEFINE
		if active {
			flags |= libvirt.DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE
		}
		c, err := d.CreateCheckpointXML(orphan, flags)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, c.Free()
	})
	return err
}

// edited changes a checkpoint's XML.
func edited(doc string, change func(*libvirtxml.DomainCheckpoint)) (string, error) {
	var x libvirtxml.DomainCheckpoint
	if err := x.Unmarshal(doc); err != nil {
		return "", fmt.Errorf("parse checkpoint XML: %w", err)
	}
	change(&x)
	return x.Marshal()
}
