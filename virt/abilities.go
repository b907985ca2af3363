package virt

import (
	"fmt"

	"libvirt.org/go/libvirtxml"
)

// Abilities are what a host's libvirt and QEMU can do, and as whom QEMU runs.
// Versions are as libvirt counts them: 9002003 is 9.2.3.
type Abilities struct {
	Libvirt, QEMU uint32
	NoBackup      bool // libvirt says that it has no backup jobs with this QEMU
	UID, GID      int  // of QEMU, unless a domain says otherwise; -1 if unknown
}

// ParseAbilities reads what libvirt's capabilities and domain capabilities tell of
// it; the versions are in neither.
func ParseAbilities(capabilities, domainCapabilities string) (Abilities, error) {
	a := Abilities{UID: -1, GID: -1}
	var host libvirtxml.Caps
	if err := host.Unmarshal(capabilities); err != nil {
		return a, fmt.Errorf("parse capabilities XML: %w", err)
	}
	for _, model := range host.Host.SecModel {
		for _, label := range model.Labels {
			if uid, gid, ok := parseDAC(label.Value); ok && model.Name == "dac" {
				a.UID, a.GID = uid, gid
			}
		}
	}
	var domain libvirtxml.DomainCaps
	if err := domain.Unmarshal(domainCapabilities); err != nil {
		return a, fmt.Errorf("parse domain capabilities XML: %w", err)
	}
	if f := domain.Features; f != nil && f.Backup != nil {
		a.NoBackup = f.Backup.Supported == "no"
	}
	return a, nil
}
