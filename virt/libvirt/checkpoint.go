//go:build cgo

package libvirt

import (
	"context"
	"fmt"
	"regexp"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"vbk/virt"
)

// DeleteCheckpoint removes a checkpoint with its bitmaps, whatever is left of
// them. It is no error if there is none of that name. While the domain does not
// run libvirt can only forget the record, which would leave the bitmaps behind:
// that is virt.ErrUnsupported, and nothing is changed.
func (h *Host) DeleteCheckpoint(ctx context.Context, uuid, name string) error {
	_, err := withDomain(ctx, h, "delete checkpoint "+name+" of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		c, err := d.CheckpointLookupByName(name, 0)
		if isCode(err, libvirt.ERR_NO_DOMAIN_CHECKPOINT) {
			return struct{}{}, nil
		}
		if err != nil {
			return struct{}{}, err
		}
		defer c.Free()
		active, err := d.IsActive()
		if err != nil {
			return struct{}{}, err
		}
		if !active {
			return struct{}{}, fmt.Errorf("%w: the domain does not run, its bitmaps would stay behind", virt.ErrUnsupported)
		}
		err = c.Delete(0)
		if err == nil || isCode(err, libvirt.ERR_NO_DOMAIN_CHECKPOINT) {
			return struct{}{}, nil
		}
		return struct{}{}, deleteRest(d, c, err)
	})
	return err
}

// deleteRest deletes a checkpoint whose bitmap is missing from some disks.
// libvirt refuses to, at the first such disk. The checkpoint is redefined
// without the disks that it names, one by one, until the rest can be deleted;
// without any disk left there is only the record to forget. A bitmap that is
// there but inconsistent goes with the others.
func deleteRest(d *libvirt.Domain, c *libvirt.DomainCheckpoint, refused error) error {
	doc, err := c.GetXMLDesc(0)
	if err != nil {
		return err
	}
	sized, err := c.GetXMLDesc(libvirt.DOMAIN_CHECKPOINT_XML_SIZE | libvirt.DOMAIN_CHECKPOINT_XML_NO_DOMAIN)
	if err != nil {
		return err
	}
	health, err := virt.ParseCheckpoint(sized, true)
	if err != nil {
		return err
	}
	left := len(health.Disks)
	for left > 1 {
		target, ok := namedBroken(health, refused)
		if !ok {
			return refused
		}
		if doc, err = without(doc, target); err != nil {
			return err
		}
		again, err := d.CreateCheckpointXML(doc, libvirt.DOMAIN_CHECKPOINT_CREATE_REDEFINE)
		if err != nil {
			return fmt.Errorf("redefine it without disk %s: %w", target, plain(err))
		}
		refused = again.Delete(0)
		again.Free()
		if refused == nil {
			return nil
		}
		health.Disks = drop(health.Disks, target)
		left--
	}
	if _, ok := namedBroken(health, refused); !ok {
		return refused
	}
	return c.Delete(libvirt.DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
}

// namedBroken returns the disk without a sound bitmap that libvirt's refusal
// names.
func namedBroken(c virt.Checkpoint, refused error) (string, bool) {
	for _, disk := range c.Disks {
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(disk.Target) + `\b`)
		if disk.Health == virt.Broken && word.MatchString(refused.Error()) {
			return disk.Target, true
		}
	}
	return "", false
}

// without returns the document with one disk taken out of the checkpoint.
func without(doc, target string) (string, error) {
	return edited(doc, func(x *libvirtxml.DomainCheckpoint) {
		for i, disk := range x.Disks.Disks {
			if disk.Name == target {
				x.Disks.Disks[i] = libvirtxml.DomainCheckpointDisk{Name: target, Checkpoint: "no"}
			}
		}
	})
}

func drop(disks []virt.CheckpointDisk, target string) []virt.CheckpointDisk {
	var rest []virt.CheckpointDisk
	for _, d := range disks {
		if d.Target != target {
			rest = append(rest, d)
		}
	}
	return rest
}
