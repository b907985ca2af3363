//go:build !cgo

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vbk/virt"
)

var errNoCgo = errors.New("this is the static build of vbk, which has no libvirt: install the .deb or .rpm, or build vbk with cgo")

// Host cannot be had in this build.
type Host struct {
	Trace func(what, uuid string, took time.Duration, err error) // never called
}

// Connect fails: this build has no libvirt.
func Connect(_ context.Context, uri string, _ bool) (*Host, error) {
	return nil, fmt.Errorf("connect to %s: %w", uri, errNoCgo)
}

// Close does nothing.
func (h *Host) Close() error { return nil }

// UUID fails.
func (h *Host) UUID(context.Context) (string, error) { return "", errNoCgo }

// Abilities fails.
func (h *Host) Abilities(context.Context) (virt.Abilities, error) { return virt.Abilities{}, errNoCgo }

// Domains fails.
func (h *Host) Domains(context.Context) ([]virt.Domain, error) { return nil, errNoCgo }

// Domain fails.
func (h *Host) Domain(context.Context, string) (virt.Domain, error) { return virt.Domain{}, errNoCgo }

// DomainXML fails.
func (h *Host) DomainXML(context.Context, string) (string, error) { return "", errNoCgo }

// CheckpointXML fails.
func (h *Host) CheckpointXML(context.Context, string, string) (string, error) { return "", errNoCgo }

// BeginBackup fails.
func (h *Host) BeginBackup(context.Context, string, virt.Backup) error { return errNoCgo }

// EndBackup fails.
func (h *Host) EndBackup(context.Context, string, string) error { return errNoCgo }

// AbortZombie fails.
func (h *Host) AbortZombie(context.Context, string, []string) error { return errNoCgo }

// EndLeftover fails.
func (h *Host) EndLeftover(context.Context, string, string) (bool, error) { return false, errNoCgo }

// DeleteCheckpoint fails.
func (h *Host) DeleteCheckpoint(context.Context, string, string) error { return errNoCgo }

// Freeze fails.
func (h *Host) Freeze(context.Context, string, []string) error { return errNoCgo }

// Thaw fails.
func (h *Host) Thaw(context.Context, string) error { return errNoCgo }

// ForgetCheckpoint fails.
func (h *Host) ForgetCheckpoint(context.Context, string, string) error { return errNoCgo }

// RedefineCheckpoint fails.
func (h *Host) RedefineCheckpoint(context.Context, string, string) error { return errNoCgo }

// StartPaused fails.
func (h *Host) StartPaused(context.Context, string) (int, error) { return 0, errNoCgo }

// EndPaused fails.
func (h *Host) EndPaused(context.Context, string, int) error { return errNoCgo }

// DefineSecret fails.
func (h *Host) DefineSecret(context.Context, string, string, []byte) error { return errNoCgo }

// ForgetSecret fails.
func (h *Host) ForgetSecret(context.Context, string) error { return errNoCgo }
