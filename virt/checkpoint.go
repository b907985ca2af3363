package virt

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"time"

	"libvirt.org/go/libvirtxml"
)

// checkpointXML is the part of a <domaincheckpoint> that vbk reads. libvirtxml
// has the whole of it, but cannot tell size='0' (a clean bitmap) from no size
// at all (a broken one).
type checkpointXML struct {
	XMLName      xml.Name `xml:"domaincheckpoint"`
	Name         string   `xml:"name"`
	CreationTime int64    `xml:"creationTime"`
	Parent       string   `xml:"parent>name"`
	Disks        []struct {
		Name       string `xml:"name,attr"`
		Checkpoint string `xml:"checkpoint,attr"`
		Bitmap     string `xml:"bitmap,attr"`
		Size       *int64 `xml:"size,attr"`
	} `xml:"disks>disk"`
}

// ParseCheckpoint reads libvirt's checkpoint XML. With sized it is the XML that
// VIR_DOMAIN_CHECKPOINT_XML_SIZE gives for a running domain: a disk with a size
// is Sound and has that many Dirty bytes, one without is Broken. Otherwise
// every disk is Unseen. Disks that are not part of the checkpoint are left out.
func ParseCheckpoint(doc string, sized bool) (Checkpoint, error) {
	var x checkpointXML
	if err := xml.Unmarshal([]byte(doc), &x); err != nil {
		return Checkpoint{}, fmt.Errorf("parse checkpoint XML: %w", err)
	}
	if x.Name == "" {
		return Checkpoint{}, fmt.Errorf("parse checkpoint XML: it has no name")
	}
	c := Checkpoint{Name: x.Name, Parent: x.Parent, Created: time.Unix(x.CreationTime, 0).UTC()}
	for _, disk := range x.Disks {
		if disk.Checkpoint == "no" {
			continue
		}
		d := CheckpointDisk{Target: disk.Name, Bitmap: disk.Bitmap, Health: Unseen}
		if d.Bitmap == "" {
			d.Bitmap = x.Name
		}
		switch {
		case sized && disk.Size == nil:
			d.Health = Broken
		case sized && *disk.Size < 0:
			return Checkpoint{}, fmt.Errorf("parse checkpoint XML: disk %s of %s has size %d", disk.Name, x.Name, *disk.Size)
		case sized:
			d.Health, d.Dirty = Sound, *disk.Size
		}
		c.Disks = append(c.Disks, d)
	}
	return c, nil
}

// NewCheckpointXML is libvirt's record of a checkpoint that is made by other
// means than a backup job, for a domain that is shut off: tracked disks have a
// bitmap of its name in their image, others none.
func NewCheckpointXML(name, domainXML string, created time.Time, tracked, others []string) (string, error) {
	if !checkpointName.MatchString(name) {
		return "", fmt.Errorf("checkpoint XML: %q is no name", name)
	}
	x := libvirtxml.DomainCheckpoint{
		Name: name, CreationTime: strconv.FormatInt(created.Unix(), 10),
		Disks: &libvirtxml.DomainCheckpointDisks{}, Domain: &libvirtxml.Domain{},
	}
	for _, target := range tracked {
		x.Disks.Disks = append(x.Disks.Disks, libvirtxml.DomainCheckpointDisk{Name: target, Checkpoint: "bitmap", Bitmap: name})
	}
	for _, target := range others {
		x.Disks.Disks = append(x.Disks.Disks, libvirtxml.DomainCheckpointDisk{Name: target, Checkpoint: "no"})
	}
	if err := x.Domain.Unmarshal(domainXML); err != nil {
		return "", fmt.Errorf("checkpoint XML: domain: %w", err)
	}
	return x.Marshal()
}
