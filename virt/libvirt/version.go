//go:build cgo

package libvirt

import (
	"context"
	"fmt"

	"libvirt.org/go/libvirt"
)

// Versions are those of the host's libvirt and hypervisor, as libvirt counts them:
// 9002003 is 9.2.3.
func (h *Host) Versions(ctx context.Context) (library, hypervisor uint32, err error) {
	library, err = withHost(ctx, h, "read libvirt's version", (*libvirt.Connect).GetLibVersion)
	if err == nil {
		hypervisor, err = withHost(ctx, h, "read QEMU's version", (*libvirt.Connect).GetVersion)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read versions: %w", plain(err))
	}
	return library, hypervisor, nil
}
