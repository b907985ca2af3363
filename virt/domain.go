package virt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// ParseDomain reads libvirt's domain XML: name, UUID, disks, tags and the user
// that QEMU runs as. What the XML does not tell is left out: State is Unknown, disks
// have no Size, there are no checkpoints and no job. It fails on XML that is
// malformed or has no name or UUID.
func ParseDomain(xml string) (Domain, error) {
	var x libvirtxml.Domain
	if err := x.Unmarshal(xml); err != nil {
		return Domain{}, fmt.Errorf("parse domain XML: %w", err)
	}
	if x.Name == "" || x.UUID == "" {
		return Domain{}, fmt.Errorf("parse domain XML: name %q, uuid %q: both are needed", x.Name, x.UUID)
	}
	d := Domain{Name: x.Name, UUID: strings.ToLower(x.UUID), State: Unknown, ProcessUID: -1, ProcessGID: -1}
	if x.Devices != nil {
		for _, disk := range x.Devices.Disks {
			d.Disks = append(d.Disks, parseDisk(disk))
		}
		d.Agent = slices.ContainsFunc(x.Devices.Channels, isAgent)
	}
	for _, label := range x.SecLabel {
		if uid, gid, ok := parseDAC(label.Label); ok && label.Model == "dac" {
			d.ProcessUID, d.ProcessGID = uid, gid
		}
	}
	var err error
	if d.Tags, err = parseTags(xml); err != nil {
		return Domain{}, fmt.Errorf("parse domain XML: %w", err)
	}
	return d, nil
}

// isAgent says whether a channel leads to a guest agent that has opened it.
func isAgent(c libvirtxml.DomainChannel) bool {
	return c.Target != nil && c.Target.VirtIO != nil && c.Target.VirtIO.Name == "org.qemu.guest_agent.0" && c.Target.VirtIO.State == "connected"
}

func parseDisk(x libvirtxml.DomainDisk) Disk {
	d := Disk{Device: x.Device, ReadOnly: x.ReadOnly != nil, Shared: x.Shareable != nil}
	if d.Device == "" {
		d.Device = "disk"
	}
	if x.Target != nil {
		d.Target = x.Target.Dev
	}
	if x.Driver != nil {
		d.Format = x.Driver.Type
	}
	d.Encrypted = x.Encryption != nil
	if x.Source != nil {
		d.Type, d.Source = parseSource(x.Source)
		d.Encrypted = d.Encrypted || x.Source.Encryption != nil
	}
	return d
}

// parseSource returns the type and the address of an image; an empty drive has
// an address of "".
func parseSource(x *libvirtxml.DomainDiskSource) (kind, address string) {
	switch {
	case x.File != nil:
		return "file", x.File.File
	case x.Block != nil:
		return "block", x.Block.Dev
	case x.Network != nil:
		return "network", networkURI(x.Network)
	case x.Volume != nil:
		return "volume", x.Volume.Pool + "/" + x.Volume.Volume
	case x.Dir != nil:
		return "dir", x.Dir.Dir
	case x.NVME != nil:
		return "nvme", ""
	case x.VHostUser != nil:
		return "vhostuser", ""
	case x.VHostVDPA != nil:
		return "vhostvdpa", x.VHostVDPA.Dev
	}
	return "", ""
}

func networkURI(x *libvirtxml.DomainDiskSourceNetwork) string {
	var hosts []string
	for _, h := range x.Hosts {
		switch {
		case h.Socket != "":
			hosts = append(hosts, h.Socket)
		case h.Port != "":
			hosts = append(hosts, h.Name+":"+h.Port)
		default:
			hosts = append(hosts, h.Name)
		}
	}
	return x.Protocol + "://" + strings.Join(hosts, ",") + "/" + x.Name
}

// parseDAC reads the label of libvirt's DAC driver, "+64055:+64055". Names of
// users are not resolved: they belong to the machine QEMU runs on.
func parseDAC(label string) (uid, gid int, ok bool) {
	u, g, found := strings.Cut(label, ":")
	uid, err := strconv.Atoi(strings.TrimPrefix(u, "+"))
	gid, err2 := strconv.Atoi(strings.TrimPrefix(g, "+"))
	return uid, gid, found && err == nil && err2 == nil && uid >= 0 && gid >= 0
}
