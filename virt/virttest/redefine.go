package virttest

import (
	"context"
	"fmt"
	"slices"

	"vbk/virt"
)

// Forget makes libvirt forget a checkpoint, as undefining the domain does; its
// bitmaps record on.
func (h *Host) Forget(uuid, name string) {
	h.change(uuid, func(d *domain) {
		d.forgotten = append(d.forgotten, d.checkpoint(name))
		d.checkpoints = slices.DeleteFunc(d.checkpoints, func(c *checkpoint) bool { return c.name == name })
	})
}

// RedefineCheckpoint makes a forgotten checkpoint known again.
func (h *Host) RedefineCheckpoint(ctx context.Context, uuid, doc string) error {
	return h.effect(ctx, "RedefineCheckpoint", "redefine checkpoint of domain", uuid, func(d *domain) error {
		want, err := virt.ParseCheckpoint(doc, false)
		if err != nil || d.checkpoint(want.Name) != nil {
			return err
		}
		c := &checkpoint{name: want.Name, created: want.Created, bitmaps: map[string]*bitmap{}}
		for _, f := range d.forgotten {
			if f.name == want.Name {
				c = f
			}
		}
		c.parent = ""
		for _, disk := range want.Disks {
			if c.bitmaps[disk.Target] == nil {
				c.bitmaps[disk.Target] = &bitmap{broken: true}
			}
			if d.def.State.Active() && c.bitmaps[disk.Target].broken {
				return fmt.Errorf("%w: bitmap %s on %s", virt.ErrBrokenCheckpoint, want.Name, disk.Target)
			}
		}
		d.forgotten = slices.DeleteFunc(d.forgotten, func(f *checkpoint) bool { return f == c })
		d.checkpoints = append(d.checkpoints, c)
		return nil
	})
}

// all are the checkpoints with the forgotten ones.
func (d *domain) all() []*checkpoint { return slices.Concat(d.checkpoints, d.forgotten) }
