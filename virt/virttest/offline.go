package virttest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vbk/virt"
)

// ForgetCheckpoint lets libvirt forget a checkpoint of a domain that does not run.
func (h *Host) ForgetCheckpoint(ctx context.Context, uuid, name string) error {
	return h.effect(ctx, "ForgetCheckpoint", "forget checkpoint "+name+" of domain", uuid, func(d *domain) error {
		c := d.checkpoint(name)
		if c != nil && d.def.State.Active() {
			return fmt.Errorf("%w: the domain runs", virt.ErrUnsupported)
		}
		d.checkpoints = slices.DeleteFunc(d.checkpoints, func(x *checkpoint) bool { return x == c })
		return nil
	})
}

var errLocked = errors.New("failed to get \"write\" lock: another process uses the image")

// The methods below are what the programs of QEMU do to image files, which are
// told by their path, the Source of a disk.

// CreateScratch makes no file: the twin needs none.
func (h *Host) CreateScratch(ctx context.Context, _ string, _ int64, _ string) error {
	return ctx.Err()
}

// AddBitmap adds an empty bitmap to an image that no QEMU has open.
func (h *Host) AddBitmap(ctx context.Context, path, name string) error {
	return h.image(ctx, "AddBitmap", path, func(d *domain, target string) error {
		if d.def.State.Active() {
			return errLocked
		}
		d.changes++
		for _, c := range d.all() {
			if c.name == name {
				c.bitmaps[target] = &bitmap{dirty: map[int64]bool{}}
				return nil
			}
		}
		d.forgotten = append(d.forgotten, &checkpoint{name: name, bitmaps: map[string]*bitmap{target: {dirty: map[int64]bool{}}}})
		return nil
	})
}

// RemoveBitmap removes a bitmap of an image that no QEMU has open, if it is
// there.
func (h *Host) RemoveBitmap(ctx context.Context, path, name string) error {
	return h.image(ctx, "RemoveBitmap", path, func(d *domain, target string) error {
		for _, c := range d.all() {
			if b := c.bitmaps[target]; c.name == name && b != nil {
				if d.def.State.Active() {
					return errLocked
				}
				d.changes++
				c.bitmaps[target] = &bitmap{broken: true}
			}
		}
		return nil
	})
}

// Still tells one state of an image from another; it fails while a QEMU has it
// open.
func (h *Host) Still(ctx context.Context, path string) (state string, err error) {
	err = h.image(ctx, "Still", path, func(d *domain, _ string) error {
		if d.def.State.Active() {
			return errLocked
		}
		state = fmt.Sprint(d.changes)
		return nil
	})
	return state, err
}

// Serve exports an image as it is from moment to moment, for Open.
func (h *Host) Serve(ctx context.Context, path, _, export, bitmap, socket string) error {
	return h.image(ctx, "Serve", path, func(d *domain, target string) error {
		s := &snapshot{content: d.disk(target).content, name: bitmap}
		for _, c := range d.checkpoints {
			if c.name == bitmap {
				s.bitmap = c.bitmaps[target]
			}
		}
		if bitmap != "" && (s.bitmap == nil || s.bitmap.broken) {
			return fmt.Errorf("bitmap %q is not there or inconsistent", bitmap)
		}
		d.served = append(d.served, &job{socket: socket, exports: map[string]*snapshot{export: s}})
		return nil
	})
}

// image finds the disk that has an image.
func (h *Host) image(ctx context.Context, op, path string, f func(d *domain, target string) error) error {
	h.mu.Lock()
	uuid, target := "", ""
	for _, d := range h.domains {
		for _, x := range d.def.Disks {
			if x.Source == path {
				uuid, target = d.def.UUID, x.Target
			}
		}
	}
	h.mu.Unlock()
	return h.effect(ctx, op, op+" of "+path, uuid, func(d *domain) error { return f(d, target) })
}
