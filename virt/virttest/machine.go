package virttest

import (
	"bytes"
	"fmt"
	"slices"

	"vbk/virt"
)

// Grain is the granularity of dirty bitmaps, in bytes.
const Grain = 64 << 10

type disk struct {
	content []byte
	format  string
}

// bitmap records grains written since its checkpoint.
type bitmap struct {
	dirty  map[int64]bool
	broken bool
}

func (b *bitmap) clone() *bitmap {
	c := &bitmap{dirty: map[int64]bool{}, broken: b.broken}
	for g := range b.dirty {
		c.dirty[g] = true
	}
	return c
}

func (b *bitmap) dirtyBytes(size int64) int64 {
	var n int64
	for g := range b.dirty {
		n += max(0, min(Grain, size-g*Grain))
	}
	return n
}

func allZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }

// The methods below are a test's: what an administrator or a guest does. They
// panic if domain, disk or range do not exist, which is the test's mistake.

// Define adds a domain, or replaces the one with its UUID. State is Running
// and the format of its disks qcow2 unless set; Size, Checkpoints and Job are
// taken from elsewhere. A disk without content, such as an empty drive, has no
// image.
func (h *Host) Define(def virt.Domain, content map[string][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if def.State == "" {
		def.State = virt.Running
	}
	def.Disks, def.Checkpoints, def.Job = slices.Clone(def.Disks), nil, nil
	d := &domain{def: def, disks: map[string]*disk{}}
	for i := range def.Disks {
		d.attach(&d.def.Disks[i], content[def.Disks[i].Target])
	}
	h.domains = slices.DeleteFunc(h.domains, func(x *domain) bool { return x.def.UUID == def.UUID })
	h.domains = append(h.domains, d)
}

func (d *domain) attach(x *virt.Disk, content []byte) {
	if x.Device == "" {
		x.Device = "disk"
	}
	if x.Format == "" {
		x.Format = "qcow2"
	}
	if content != nil {
		d.disks[x.Target] = &disk{content: slices.Clone(content), format: x.Format}
	}
}

// Undefine removes a domain.
func (h *Host) Undefine(uuid string) {
	h.change(uuid, func(d *domain) {
		d.endJob()
		h.domains = slices.DeleteFunc(h.domains, func(x *domain) bool { return x == d })
	})
}

// Write stores data at an offset, as the guest would.
func (h *Host) Write(uuid, target string, off int64, data []byte) {
	h.change(uuid, func(d *domain) { copy(d.touch(target, off, int64(len(data))), data) })
}

// Zero writes n zero bytes: a range that is dirty and zero.
func (h *Host) Zero(uuid, target string, off, n int64) {
	h.change(uuid, func(d *domain) { clear(d.touch(target, off, n)) })
}

// touch marks a range dirty in every sound bitmap and returns its bytes.
func (d *domain) touch(target string, off, n int64) []byte {
	content := d.disk(target).content[off : off+n]
	d.changes++
	for _, c := range d.all() {
		b := c.bitmaps[target]
		if b == nil || b.broken || n == 0 {
			continue
		}
		for g := off / Grain; g <= (off+n-1)/Grain; g++ {
			b.dirty[g] = true
		}
	}
	return content
}

// Sneak stores data behind the back of every bitmap, as storage does that is
// rolled back below QEMU.
func (h *Host) Sneak(uuid, target string, off int64, data []byte) {
	h.change(uuid, func(d *domain) { copy(d.disk(target).content[off:], data) })
}

// Content returns a copy of a disk as it is now.
func (h *Host) Content(uuid, target string) []byte {
	var content []byte
	h.change(uuid, func(d *domain) { content = slices.Clone(d.disk(target).content) })
	return content
}

// SetState starts or stops a domain in good order: bitmaps survive, a job does
// not survive a stop.
func (h *Host) SetState(uuid string, state virt.State) {
	h.change(uuid, func(d *domain) { d.setState(state) })
}

func (d *domain) setState(state virt.State) {
	if state.Active() && !d.def.State.Active() {
		d.starts++
	}
	d.def.State, d.fresh, d.saved = state, false, false
	d.changes++
	if !state.Active() {
		d.endJob()
		d.zombie = nil
	}
}

// Kill ends QEMU without letting it save its bitmaps: all of them are broken.
func (h *Host) Kill(uuid string) {
	h.change(uuid, func(d *domain) {
		d.setState(virt.ShutOff)
		for _, c := range d.all() {
			for _, b := range c.bitmaps {
				b.broken = true
			}
		}
	})
}

// BreakBitmap makes one disk's bitmap of a checkpoint broken.
func (h *Host) BreakBitmap(uuid, target, name string) {
	h.change(uuid, func(d *domain) {
		c := d.checkpoint(name)
		if c == nil || c.bitmaps[target] == nil {
			panic(fmt.Sprintf("virttest: no bitmap of checkpoint %s on %s", name, target))
		}
		c.bitmaps[target].broken = true
	})
}

// ForeignJob occupies a domain with another tool's job; the zero Job ends it.
func (h *Host) ForeignJob(uuid string, job virt.Job) {
	h.change(uuid, func(d *domain) {
		d.foreign = &job
		if job == (virt.Job{}) {
			d.foreign = nil
		}
	})
}

// Zombie leaves block jobs on the targets that belong to no job, as a
// BackupBegin does that fails while it saves its checkpoint.
func (h *Host) Zombie(uuid string, targets ...string) {
	h.change(uuid, func(d *domain) { d.zombie = targets })
}

// Resize changes a disk's size. As with QEMU, bitmaps call the new part clean.
func (h *Host) Resize(uuid, target string, size int64) {
	h.change(uuid, func(d *domain) {
		disk := d.disk(target)
		content := make([]byte, size)
		copy(content, disk.content)
		disk.content = content
		for _, c := range d.all() {
			if b := c.bitmaps[target]; b != nil {
				for g := range b.dirty {
					if g*Grain >= size {
						delete(b.dirty, g)
					}
				}
			}
		}
	})
}

// AddDisk attaches a disk.
func (h *Host) AddDisk(uuid string, x virt.Disk, content []byte) {
	h.change(uuid, func(d *domain) {
		d.attach(&x, content)
		d.def.Disks = append(d.def.Disks, x)
	})
}

// RemoveDisk detaches a disk; checkpoints keep no record of it.
func (h *Host) RemoveDisk(uuid, target string) {
	h.change(uuid, func(d *domain) {
		delete(d.disks, target)
		d.def.Disks = slices.DeleteFunc(d.def.Disks, func(x virt.Disk) bool { return x.Target == target })
		for _, c := range d.all() {
			delete(c.bitmaps, target)
		}
	})
}

func (d *domain) disk(target string) *disk {
	x := d.disks[target]
	if x == nil {
		panic(fmt.Sprintf("virttest: domain %s has no image on %s", d.def.Name, target))
	}
	return x
}

func (h *Host) change(uuid string, f func(*domain)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.lookup(uuid)
	if err != nil {
		panic(fmt.Sprintf("virttest: domain %s: %v", uuid, err))
	}
	f(d)
}
