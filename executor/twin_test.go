package executor_test

import (
	"context"
	"errors"

	"vbk/nbd"
	"vbk/virt"
	"vbk/virt/virttest"
)

// twin remembers what the disks held when a job began.
type twin struct {
	*virttest.Host
	w *world
}

func (h twin) Domain(ctx context.Context, uuid string) (virt.Domain, error) {
	if err := h.w.before("Domain"); err != nil {
		return virt.Domain{}, err
	}
	return h.Host.Domain(ctx, uuid)
}

func (h twin) EndBackup(ctx context.Context, uuid, socket string) error {
	if err := h.w.before("EndBackup"); err != nil {
		return err
	}
	return h.Host.EndBackup(ctx, uuid, socket)
}

func (h twin) Freeze(ctx context.Context, uuid string, mountPoints []string) error {
	if err := h.w.before("Freeze"); err != nil {
		return err
	}
	return h.Host.Freeze(ctx, uuid, mountPoints)
}

func (h twin) Thaw(ctx context.Context, uuid string) error {
	if err := h.w.before("Thaw"); err != nil {
		return err
	}
	return h.Host.Thaw(ctx, uuid)
}

func (h twin) AbortZombie(ctx context.Context, uuid string, targets []string) error {
	if err := h.w.before("AbortZombie"); err != nil {
		return err
	}
	return h.Host.AbortZombie(ctx, uuid, targets)
}

func (h twin) DeleteCheckpoint(ctx context.Context, uuid, name string) error {
	if err := h.w.before("DeleteCheckpoint"); err != nil {
		return err
	}
	return h.Host.DeleteCheckpoint(ctx, uuid, name)
}

func (h twin) RedefineCheckpoint(ctx context.Context, uuid, doc string) error {
	if err := h.w.before("RedefineCheckpoint"); err != nil {
		return err
	}
	return h.Host.RedefineCheckpoint(ctx, uuid, doc)
}

func (h twin) ForgetCheckpoint(ctx context.Context, uuid, name string) error {
	if err := h.w.before("ForgetCheckpoint"); err != nil {
		return err
	}
	return h.Host.ForgetCheckpoint(ctx, uuid, name)
}

func (h twin) StartPaused(ctx context.Context, uuid string) (int, error) {
	if err := h.w.before("StartPaused"); err != nil {
		return 0, err
	}
	return h.Host.StartPaused(ctx, uuid)
}

func (h twin) EndPaused(ctx context.Context, uuid string, id int) error {
	if err := h.w.before("EndPaused"); err != nil {
		return err
	}
	return h.Host.EndPaused(ctx, uuid, id)
}

// AddBitmap is the instant of a point of a domain that is shut off.
func (h twin) AddBitmap(ctx context.Context, path, name string) error {
	if err := h.w.before("AddBitmap"); err != nil {
		return err
	}
	h.saw(uuid, h.w.targets())
	return h.Host.AddBitmap(ctx, path, name)
}

func (h twin) RemoveBitmap(ctx context.Context, path, name string) error {
	if err := h.w.before("RemoveBitmap"); err != nil {
		return err
	}
	return h.Host.RemoveBitmap(ctx, path, name)
}

func (h twin) Serve(ctx context.Context, path, format, export, bitmap, socket string) error {
	if err := h.w.before("Serve"); err != nil {
		return err
	}
	attempt := h.w.attempt(uuid)
	h.w.mu.Lock()
	_, seen := h.w.taken[attempt]
	h.w.mu.Unlock()
	if !seen { // no disk has a bitmap
		h.saw(uuid, h.w.targets())
	}
	err := h.Host.Serve(ctx, path, format, export, bitmap, socket)
	if err == nil && h.w.begun != nil {
		h.w.begun()
	}
	return err
}

// saw remembers what disks hold now, for the attempt under way.
func (h twin) saw(uuid string, targets []string) {
	saw := map[string][]byte{}
	for _, target := range targets {
		saw[target] = h.Content(uuid, target)
	}
	attempt := h.w.attempt(uuid)
	h.w.mu.Lock()
	h.w.taken[attempt] = saw
	h.w.mu.Unlock()
}

func (h twin) BeginBackup(ctx context.Context, uuid string, b virt.Backup) error {
	if err := h.w.before("BeginBackup"); err != nil {
		return err
	}
	var targets []string
	for _, d := range b.Disks {
		targets = append(targets, d.Target)
	}
	h.saw(uuid, targets)
	err := h.Host.BeginBackup(ctx, uuid, b)
	if err == nil && h.w.begun != nil {
		h.w.begun()
	}
	return err
}

// twinExport gives an export of the twin the executor's interface.
type twinExport struct {
	*virttest.Export
	w *world
}

func (e twinExport) Prime(ctx context.Context) error { return ctx.Err() }

func (e twinExport) Extents(ctx context.Context, offset, length int64) ([]nbd.Extent, error) {
	if err := e.w.before("Extents"); err != nil {
		return nil, err
	}
	found, err := e.Export.Extents(offset, length)
	var all []nbd.Extent
	for _, x := range found {
		all = append(all, nbd.Extent(x))
	}
	return all, errors.Join(err, ctx.Err())
}

func (e twinExport) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	if err := e.w.before("ReadBatch"); err != nil {
		return err
	}
	for _, r := range reads {
		if _, err := e.ReadAt(r.Data, r.Offset); err != nil {
			return err
		}
	}
	return ctx.Err()
}
