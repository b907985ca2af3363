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

// QEMUUser fails.
func (h *Host) QEMUUser(context.Context) (uid, gid int, err error) { return 0, 0, errNoCgo }
