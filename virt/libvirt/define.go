//go:build cgo

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// Known returns the domains that have this name or this UUID, as libvirt's
// definition describes them; none is no error.
func (h *Host) Known(ctx context.Context, name, uuid string) ([]virt.Domain, error) {
	found, err := withHost(ctx, h, "read definitions", func(conn *libvirt.Connect) (found []virt.Domain, err error) {
		for _, lookup := range []func() (*libvirt.Domain, error){
			func() (*libvirt.Domain, error) { return conn.LookupDomainByName(name) },
			func() (*libvirt.Domain, error) { return conn.LookupDomainByUUIDString(uuid) },
		} {
			d, err := lookup()
			if isCode(err, libvirt.ERR_NO_DOMAIN) {
				continue
			}
			if err != nil {
				return nil, err
			}
			v, err := definition(d)
			_ = d.Free()
			if err != nil {
				return nil, err
			}
			if len(found) == 0 || found[0].UUID != v.UUID {
				found = append(found, v)
			}
		}
		return found, nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up domain %s: %w", name, plain(err))
	}
	return found, nil
}

// DefineXML defines a domain (virDomainDefineXML); one that has the same name and
// UUID is replaced.
func (h *Host) DefineXML(ctx context.Context, doc string) error {
	_, err := withHost(ctx, h, "define a domain", func(conn *libvirt.Connect) (struct{}, error) {
		d, err := conn.DomainDefineXML(doc)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, d.Free()
	})
	if err != nil {
		return fmt.Errorf("define domain: %w", plain(err))
	}
	return nil
}

// StartDomain starts a domain that is defined (virDomainCreate).
func (h *Host) StartDomain(ctx context.Context, uuid string) error {
	_, err := withDomainOnce(ctx, h, "start domain", uuid, func(d *libvirt.Domain) (struct{}, error) { return struct{}{}, d.Create() })
	return err
}

// StartTransient starts a domain that is never defined, and that libvirt destroys
// if the connection ends without Destroy (VIR_DOMAIN_START_AUTODESTROY, which the
// embedded driver does not have).
func (h *Host) StartTransient(ctx context.Context, doc string) error {
	_, err := withHost(ctx, h, "start a domain", func(conn *libvirt.Connect) (struct{}, error) {
		uri, err := conn.GetURI()
		if err != nil {
			return struct{}{}, err
		}
		flags := libvirt.DOMAIN_START_AUTODESTROY
		if strings.Contains(uri, "/embed") {
			flags = libvirt.DOMAIN_NONE
		}
		d, err := conn.DomainCreateXML(doc, flags)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, d.Free()
	})
	if err != nil {
		return fmt.Errorf("start transient domain: %w", plain(err))
	}
	return nil
}

// Destroy ends a domain at once (virDomainDestroy). It is no error if none runs.
func (h *Host) Destroy(ctx context.Context, uuid string) error {
	_, err := withDomain(ctx, h, "destroy domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		err := d.Destroy()
		if isCode(err, libvirt.ERR_OPERATION_INVALID) {
			err = nil // it has ended by itself
		}
		return struct{}{}, err
	})
	if errors.Is(err, virt.ErrNoDomain) {
		return nil
	}
	return err
}

// Pull begins to copy what the image of a disk lies on into that image, which then
// stands alone (virDomainBlockPull), at most rate bytes a second, 0: at any speed. If
// that is under way it gets the rate.
func (h *Host) Pull(ctx context.Context, uuid, target string, rate int64) error {
	_, err := withDomain(ctx, h, "pull disk "+target+" of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		if info, err := d.GetBlockJobInfo(target, 0); err == nil && info.Type == libvirt.DOMAIN_BLOCK_JOB_TYPE_PULL {
			return struct{}{}, d.BlockJobSetSpeed(target, uint64(rate), libvirt.DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES)
		}
		return struct{}{}, d.BlockPull(target, uint64(rate), libvirt.DOMAIN_BLOCK_PULL_BANDWIDTH_BYTES)
	})
	return err
}

// Pulling tells how far a Pull is, in bytes; false if none is under way. Whether it
// has done its work the image tells.
func (h *Host) Pulling(ctx context.Context, uuid, target string) (done, total int64, active bool, err error) {
	info, err := withDomain(ctx, h, "look at pull of disk "+target+" of domain", uuid, func(d *libvirt.Domain) (*libvirt.DomainBlockJobInfo, error) {
		info, err := d.GetBlockJobInfo(target, 0)
		if isCode(err, libvirt.ERR_OPERATION_INVALID) { // it is shut off
			return nil, nil
		}
		return info, err
	})
	if err != nil || info == nil || info.Type != libvirt.DOMAIN_BLOCK_JOB_TYPE_PULL {
		return 0, 0, false, err
	}
	return int64(info.Cur), int64(info.End), true, nil
}

// Flush has QEMU write what it keeps of its images in memory, which it does when a
// machine pauses: a running one does for an instant.
func (h *Host) Flush(ctx context.Context, uuid string) error {
	paused := false // by us: where libvirt goes away meanwhile, this is done twice
	_, err := withDomain(ctx, h, "flush disks of domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		state, reason, err := d.GetState()
		switch {
		case err != nil:
		case state == libvirt.DOMAIN_RUNNING:
			paused = true
			err = d.Suspend()
		case !paused || state != libvirt.DOMAIN_PAUSED:
			err = fmt.Errorf("%w (virDomainState %d, reason %d)", virt.ErrNotRunning, state, reason)
		}
		if err == nil {
			err = d.Resume()
		}
		return struct{}{}, err
	})
	return err
}

// Unpause lets a domain run on that a client of libvirt has paused, and no other.
func (h *Host) Unpause(ctx context.Context, uuid string) error {
	return h.resume(ctx, uuid, libvirt.DOMAIN_PAUSED_USER)
}

// Continue lets a domain run on that an error of a disk has paused, and no other.
func (h *Host) Continue(ctx context.Context, uuid string) error {
	return h.resume(ctx, uuid, libvirt.DOMAIN_PAUSED_IOERROR)
}

func (h *Host) resume(ctx context.Context, uuid string, paused libvirt.DomainPausedReason) error {
	_, err := withDomain(ctx, h, "resume domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		state, reason, err := d.GetState()
		if err == nil && state == libvirt.DOMAIN_PAUSED && libvirt.DomainPausedReason(reason) == paused {
			err = d.Resume()
		}
		return struct{}{}, err
	})
	return err
}

// QEMUUser is the user and group that QEMU runs as, by the baselabel of libvirt's DAC
// driver.
func (h *Host) QEMUUser(ctx context.Context) (uid, gid int, err error) {
	doc, err := withHost(ctx, h, "read capabilities", (*libvirt.Connect).GetCapabilities)
	if err != nil {
		return 0, 0, fmt.Errorf("read QEMU's user: %w", plain(err))
	}
	return virt.ParseQEMUUser(doc)
}
