package virttest

import (
	"encoding/xml"
	"slices"
	"strconv"

	"libvirt.org/go/libvirtxml"
)

func (d *domain) xml() (string, error) {
	x := libvirtxml.Domain{Type: "qemu", Name: d.def.Name, UUID: d.def.UUID, Devices: &libvirtxml.DomainDeviceList{}}
	if d.def.ProcessUID > 0 {
		label := "+" + strconv.Itoa(d.def.ProcessUID) + ":+" + strconv.Itoa(d.def.ProcessGID)
		x.SecLabel = []libvirtxml.DomainSecLabel{{Type: "dynamic", Model: "dac", Label: label}}
	}
	for _, v := range d.def.Disks {
		disk := libvirtxml.DomainDisk{
			Device: v.Device,
			Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: v.Format},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: v.Source}},
			Target: &libvirtxml.DomainDiskTarget{Dev: v.Target, Bus: "virtio"},
		}
		if v.ReadOnly {
			disk.ReadOnly = &libvirtxml.DomainDiskReadOnly{}
		}
		if v.Shared {
			disk.Shareable = &libvirtxml.DomainDiskShareable{}
		}
		x.Devices.Disks = append(x.Devices.Disks, disk)
	}
	return x.Marshal()
}

func (c *checkpoint) xml() (string, error) {
	x := libvirtxml.DomainCheckpoint{
		XMLName:      xml.Name{Local: "domaincheckpoint"},
		Name:         c.name,
		CreationTime: strconv.FormatInt(c.created.Unix(), 10),
		Disks:        &libvirtxml.DomainCheckpointDisks{},
	}
	if c.parent != "" {
		x.Parent = &libvirtxml.DomainCheckpointParent{Name: c.parent}
	}
	var targets []string
	for target := range c.bitmaps {
		targets = append(targets, target)
	}
	slices.Sort(targets)
	for _, target := range targets {
		x.Disks.Disks = append(x.Disks.Disks, libvirtxml.DomainCheckpointDisk{Name: target, Checkpoint: "bitmap", Bitmap: c.name})
	}
	return x.Marshal()
}
