//go:build cgo

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"os"

	"libvirt.org/go/libvirt"

	"vbk/virt"
	"vbk/virt/qcow2"
)

// ForgetCheckpoint lets libvirt forget a checkpoint of a domain that does not
// run. Its bitmaps, if they are there, stay. It is no error if there is none of
// that name; of a domain that runs it is virt.ErrUnsupported.
func (h *Host) ForgetCheckpoint(ctx context.Context, uuid, name string) error {
	_, err := withDomain(ctx, h, "forget checkpoint "+name+" of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		c, err := d.CheckpointLookupByName(name, 0)
		if isCode(err, libvirt.ERR_NO_DOMAIN_CHECKPOINT) {
			return struct{}{}, nil
		}
		if err != nil {
			return struct{}{}, err
		}
		defer c.Free()
		active, err := d.IsActive()
		if err == nil && active {
			err = fmt.Errorf("%w: the domain runs, its bitmaps would stay behind", virt.ErrUnsupported)
		}
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, c.Delete(libvirt.DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY)
	})
	return err
}

// readImages looks into the qcow2 files of a domain: at their kind, and where the
// domain is shut off at the bitmaps of its checkpoints, of which libvirt tells
// nothing then. A file that cannot be read leaves them Unseen.
func readImages(v *virt.Domain) {
	for n, disk := range v.Disks {
		if disk.Type != "file" && disk.Type != "block" || disk.Source == "" {
			continue
		}
		image, err := readImage(disk)
		if err == nil || errors.Is(err, qcow2.ErrNot) {
			v.Disks[n].Identity = identity(disk.Source, image)
		}
		if err != nil {
			continue
		}
		v.Disks[n].DataFile, v.Disks[n].Encrypted = image.DataFile, disk.Encrypted || image.Encrypted
		v.Disks[n].Image, v.Disks[n].Snapshots = image.Options, image.Snapshots
		if image.DataFile {
			v.Disks[n].DataState = dataState(*v, image)
		}
		if v.State != virt.ShutOff {
			continue
		}
		for _, c := range v.Checkpoints {
			for k := range c.Disks {
				if c.Disks[k].Target == disk.Target {
					b, _ := image.Bitmap(c.Disks[k].Bitmap)
					c.Disks[k].Health, c.Disks[k].Dirty = b.Health, b.Dirty
				}
			}
		}
	}
}

func readImage(d virt.Disk) (qcow2.Image, error) {
	if d.Format != "qcow2" {
		return qcow2.Image{}, qcow2.ErrNot
	}
	return openImage(d.Source)
}

func openImage(path string) (qcow2.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return qcow2.Image{}, err
	}
	defer f.Close()
	return qcow2.Read(f)
}
