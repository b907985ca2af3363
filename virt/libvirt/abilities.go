//go:build cgo

package libvirt

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// Abilities are those of the host with the QEMU that libvirt would start there. A
// read-only connection is not told whether there are backups.
func (h *Host) Abilities(ctx context.Context) (virt.Abilities, error) {
	a, err := withHost(ctx, h, "read abilities", func(conn *libvirt.Connect) (a virt.Abilities, err error) {
		library, err := conn.GetLibVersion()
		if err != nil {
			return a, err
		}
		hypervisor, err := conn.GetVersion()
		if err != nil {
			return a, err
		}
		capabilities, err := conn.GetCapabilities()
		if err != nil {
			return a, err
		}
		domain, err := conn.GetDomainCapabilities("", "", "", "", 0)
		if isCode(err, libvirt.ERR_OPERATION_DENIED, libvirt.ERR_ACCESS_DENIED) {
			domain, err = "<domainCapabilities/>", nil
		}
		if err != nil {
			return a, err
		}
		a, err = virt.ParseAbilities(capabilities, domain)
		a.Libvirt, a.QEMU = library, hypervisor
		return a, err
	})
	if err != nil {
		return a, fmt.Errorf("read what libvirt can do: %w", plain(err))
	}
	return a, nil
}
