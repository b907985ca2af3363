//go:build !cgo

package libvirt

import (
	"context"

	"vbk/virt"
)

// Known fails.
func (h *Host) Known(context.Context, string, string) ([]virt.Domain, error) { return nil, errNoCgo }

// DefineXML fails.
func (h *Host) DefineXML(context.Context, string) error { return errNoCgo }

// StartDomain fails.
func (h *Host) StartDomain(context.Context, string) error { return errNoCgo }

// StartTransient fails.
func (h *Host) StartTransient(context.Context, string) error { return errNoCgo }

// Destroy fails.
func (h *Host) Destroy(context.Context, string) error { return errNoCgo }

// Pull fails.
func (h *Host) Pull(context.Context, string, string, int64) error { return errNoCgo }

// Pulling fails.
func (h *Host) Pulling(context.Context, string, string) (done, total int64, active bool, err error) {
	return 0, 0, false, errNoCgo
}

// Flush fails.
func (h *Host) Flush(context.Context, string) error { return errNoCgo }

// Continue fails.
func (h *Host) Continue(context.Context, string) error { return errNoCgo }

// Unpause fails.
func (h *Host) Unpause(context.Context, string) error { return errNoCgo }

// QEMUUser fails.
func (h *Host) QEMUUser(context.Context) (uid, gid int, err error) { return 0, 0, errNoCgo }
