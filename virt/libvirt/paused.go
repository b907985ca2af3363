//go:build cgo

package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// StartPaused starts a domain that is shut off, without letting its guest run
// (virDomainCreateWithFlags), and returns libvirt's number of it. A domain that was
// suspended to disk (virsh managedsave) is virt.ErrUnsupported: its start would use
// up the guest's memory that was saved. One that runs is virt.ErrRunning.
func (h *Host) StartPaused(ctx context.Context, uuid string) (id int, err error) {
	return withDomainOnce(ctx, h, "start domain paused", uuid, func(d *libvirt.Domain) (int, error) {
		saved, err := d.HasManagedSaveImage(0)
		if err != nil {
			return 0, err
		}
		if saved {
			return 0, fmt.Errorf("%w: its guest is suspended to disk (managed save), and starting it would use that up", virt.ErrUnsupported)
		}
		err = d.CreateWithFlags(libvirt.DOMAIN_START_PAUSED)
		if isCode(err, libvirt.ERR_OPERATION_INVALID) {
			err = fmt.Errorf("%w: %w", virt.ErrRunning, plain(err))
		}
		if err != nil {
			return 0, err
		}
		return number(d)
	})
}

func number(d *libvirt.Domain) (int, error) {
	id, err := d.GetID()
	return int(id), err
}

// EndPaused ends a domain that StartPaused has started, in good order, so that its
// bitmaps are saved. What somebody has let run since, what is another start of
// the domain, and what does not run are left alone. A number of 0 stands for a
// start whose number nobody knows.
func (h *Host) EndPaused(ctx context.Context, uuid string, id int) error {
	_, err := withDomain(ctx, h, "end paused domain", uuid, func(d *libvirt.Domain) (struct{}, error) {
		state, _, err := d.GetState()
		if err != nil || state != libvirt.DOMAIN_PAUSED {
			return struct{}{}, err
		}
		now, err := number(d)
		if err != nil || id != 0 && now != id {
			return struct{}{}, err
		}
		fresh, err := neverRan(d)
		if err != nil || !fresh {
			return struct{}{}, err
		}
		err = d.DestroyFlags(libvirt.DOMAIN_DESTROY_GRACEFUL)
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

// neverRan asks QEMU whether its guest has ever run: libvirt calls it paused either
// way. Of one that is paused and has run libvirt notes that somebody has asked QEMU
// behind its back.
func neverRan(d *libvirt.Domain) (bool, error) {
	answer, err := d.QemuMonitorCommand(`{"execute":"query-status"}`, libvirt.DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT)
	if err != nil {
		return false, err
	}
	var x struct {
		Return struct {
			Status string `json:"status"`
		} `json:"return"`
	}
	if err := json.Unmarshal([]byte(answer), &x); err != nil || x.Return.Status == "" {
		return false, fmt.Errorf("QEMU does not tell its status: %q", answer)
	}
	return x.Return.Status == "prelaunch", nil
}
