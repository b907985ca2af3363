package virt

import "errors"

// Errors that callers of a hypervisor test for with errors.Is. The error that
// wraps one says which domain or checkpoint it is about.
var (
	// ErrNoDomain: the host does not know the domain.
	ErrNoDomain = errors.New("no such domain")
	// ErrNoCheckpoint: libvirt does not know the checkpoint.
	ErrNoCheckpoint = errors.New("no such checkpoint")
	// ErrBusy: another job, or another client's call, holds the domain.
	ErrBusy = errors.New("another job is active")
	// ErrBrokenCheckpoint: libvirt knows the checkpoint, but a disk's bitmap
	// is missing or inconsistent, so it is no base for an increment.
	ErrBrokenCheckpoint = errors.New("checkpoint is broken")
	// ErrUnsupported: the hypervisor cannot do it in the domain's state or
	// with this disk.
	ErrUnsupported = errors.New("not supported")
	// ErrServing: QEMU's NBD server runs, of which there is one, and no job of libvirt's has it.
	ErrServing = errors.New("QEMU serves NBD already, and libvirt knows no backup job")
	// ErrRunning: the domain has been started already, by somebody else.
	ErrRunning = errors.New("the domain runs already")
	// ErrNotRunning: the domain is paused, by somebody else, or shut off.
	ErrNotRunning = errors.New("it does not run")
	// ErrNoAgent: the domain has no guest agent, or none has connected.
	ErrNoAgent = errors.New("no guest agent")
	// ErrOldImage: a disk's image cannot hold a bitmap; qcow2 can from
	// version 3 (compat=1.1) on.
	ErrOldImage = errors.New("an image is qcow2 version 2, which holds no bitmaps")
)
