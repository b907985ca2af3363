package virttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vbk/virt"
)

// HostUUID is what every twin gives as its host's UUID.
const HostUUID = "5e1f0a52-7c1d-4b0e-9a56-0c4d7f1b2a10"

// Host is a hypervisor in memory. It may be used by many goroutines; its
// fields are set before.
type Host struct {
	// Before is called ahead of each effect (BeginBackup, EndBackup,
	// AbortZombie, DeleteCheckpoint) with the method's name. An error makes the
	// call fail without its effect.
	Before func(op, uuid string) error
	// After is called when the effect has happened. An error makes the call
	// fail all the same: the outcome-unknown case.
	After func(op, uuid string) error
	// Now dates checkpoints; time.Now unless set.
	Now func() time.Time

	mu      sync.Mutex
	domains []*domain
	secrets map[string][]byte // by UUID
}

type domain struct {
	def         virt.Domain // without checkpoints and job
	disks       map[string]*disk
	checkpoints []*checkpoint
	forgotten   []*checkpoint // unknown to libvirt, their bitmaps record on
	changes     int           // of content, state or bitmaps
	job         *job
	served      []*job // exports of images, by QEMU's programs
	foreign     *virt.Job
	zombie      []string // targets with a block job that belongs to no job
	agent       agent
	starts      int  // how often it was started
	fresh       bool // started paused, and never run
	saved       bool // suspended to disk
}

type checkpoint struct {
	name, parent string
	created      time.Time
	bitmaps      map[string]*bitmap // by target
}

// New returns a host without domains.
func New() *Host { return &Host{Now: time.Now} }

// Close does nothing: the host can be used on, as another connection would.
func (h *Host) Close() error { return nil }

// UUID returns HostUUID.
func (h *Host) UUID(ctx context.Context) (string, error) { return HostUUID, ctx.Err() }

// Domains surveys all domains, in the order of their definition.
func (h *Host) Domains(ctx context.Context) ([]virt.Domain, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []virt.Domain
	for _, d := range h.domains {
		all = append(all, d.survey())
	}
	return all, nil
}

// Domain surveys one domain.
func (h *Host) Domain(ctx context.Context, uuid string) (virt.Domain, error) {
	return read(ctx, h, "survey domain", uuid, func(d *domain) (virt.Domain, error) { return d.survey(), nil })
}

// DomainXML returns a definition that virt.ParseDomain reads.
func (h *Host) DomainXML(ctx context.Context, uuid string) (string, error) {
	return read(ctx, h, "read definition of domain", uuid, (*domain).xml)
}

// CheckpointXML returns a document that virt.ParseCheckpoint reads.
func (h *Host) CheckpointXML(ctx context.Context, uuid, name string) (string, error) {
	return read(ctx, h, "read checkpoint "+name+" of domain", uuid, func(d *domain) (string, error) {
		c := d.checkpoint(name)
		if c == nil {
			return "", virt.ErrNoCheckpoint
		}
		return c.xml()
	})
}

// BeginBackup starts a pull-mode job and creates its checkpoint.
func (h *Host) BeginBackup(ctx context.Context, uuid string, b virt.Backup) error {
	return h.effect(ctx, "BeginBackup", "begin backup of domain", uuid, func(d *domain) error { return d.begin(b, h.Now()) })
}

// EndBackup ends the job that has this socket.
func (h *Host) EndBackup(ctx context.Context, uuid, socket string) error {
	return h.effect(ctx, "EndBackup", "end backup of domain", uuid, func(d *domain) error {
		active := d.active()
		switch {
		case active == nil || active.Operation != "backup":
			return nil
		case socket == "" || active.Socket != socket:
			return fmt.Errorf("%w: its socket is %q, not %q", virt.ErrBusy, active.Socket, socket)
		}
		d.endJob()
		return nil
	})
}

// AbortZombie ends what Zombie began on any of the targets.
func (h *Host) AbortZombie(ctx context.Context, uuid string, targets []string) error {
	return h.effect(ctx, "AbortZombie", "abort block jobs of domain", uuid, func(d *domain) error {
		if d.job != nil || d.foreign != nil {
			return fmt.Errorf("%w: not a leftover", virt.ErrBusy)
		}
		if slices.ContainsFunc(targets, func(t string) bool { return slices.Contains(d.zombie, t) }) {
			d.zombie = nil
		}
		return nil
	})
}

// EndLeftover finds nothing: a begin of this host leaves no half of a job.
func (h *Host) EndLeftover(ctx context.Context, uuid, folder string) (ended bool, err error) {
	return false, h.effect(ctx, "EndLeftover", "end leftover of a backup job of domain", uuid, func(d *domain) error {
		if d.job != nil || d.foreign != nil {
			return fmt.Errorf("%w: not a leftover", virt.ErrBusy)
		}
		return nil
	})
}

// DeleteCheckpoint removes a checkpoint and its bitmaps; children go to its
// parent.
func (h *Host) DeleteCheckpoint(ctx context.Context, uuid, name string) error {
	return h.effect(ctx, "DeleteCheckpoint", "delete checkpoint "+name+" of domain", uuid, func(d *domain) error {
		c := d.checkpoint(name)
		if c == nil {
			return nil
		}
		if !d.def.State.Active() {
			return fmt.Errorf("%w: the domain is %s, its bitmaps would stay behind", virt.ErrUnsupported, d.def.State)
		}
		d.checkpoints = slices.DeleteFunc(d.checkpoints, func(x *checkpoint) bool { return x == c })
		for _, x := range d.checkpoints {
			if x.parent == name {
				x.parent = c.parent
			}
		}
		return nil
	})
}

func read[T any](ctx context.Context, h *Host, what, uuid string, f func(*domain) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, fmt.Errorf("%s %s: %w", what, uuid, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d, err := h.lookup(uuid)
	if err != nil {
		return zero, fmt.Errorf("%s %s: %w", what, uuid, err)
	}
	v, err := f(d)
	if err != nil {
		return zero, fmt.Errorf("%s %s: %w", what, uuid, err)
	}
	return v, nil
}

// effect calls the hooks without the lock held, so that they may look at the
// host and change it.
func (h *Host) effect(ctx context.Context, op, what, uuid string, f func(*domain) error) error {
	if h.Before != nil {
		if err := h.Before(op, uuid); err != nil {
			return fmt.Errorf("%s %s: %w", what, uuid, err)
		}
	}
	_, err := read(ctx, h, what, uuid, func(d *domain) (struct{}, error) { return struct{}{}, f(d) })
	if err == nil && h.After != nil {
		if err := h.After(op, uuid); err != nil {
			return fmt.Errorf("%s %s: %w", what, uuid, err)
		}
	}
	return err
}

func (h *Host) lookup(uuid string) (*domain, error) {
	for _, d := range h.domains {
		if d.def.UUID == uuid {
			return d, nil
		}
	}
	return nil, virt.ErrNoDomain
}

func (d *domain) checkpoint(name string) *checkpoint {
	for _, c := range d.checkpoints {
		if c.name == name {
			return c
		}
	}
	return nil
}

// active is the job that a survey shows.
func (d *domain) active() *virt.Job {
	switch {
	case d.job != nil:
		return &virt.Job{Operation: "backup", Socket: d.job.socket}
	case d.foreign != nil:
		job := *d.foreign
		return &job
	case d.zombie != nil:
		return &virt.Job{Operation: "block backup"}
	}
	return nil
}

func (d *domain) endJob() {
	if d.job != nil {
		d.job.ended = true
	}
	d.job, d.foreign = nil, nil
}

func (d *domain) survey() virt.Domain {
	v := d.def
	v.Disks = slices.Clone(d.def.Disks)
	for i, x := range v.Disks {
		if disk := d.disks[x.Target]; disk != nil {
			v.Disks[i].Size = int64(len(disk.content))
		}
	}
	for _, c := range d.checkpoints {
		v.Checkpoints = append(v.Checkpoints, c.survey(d))
	}
	v.Job = d.active()
	return v
}

func (c *checkpoint) survey(d *domain) virt.Checkpoint {
	v := virt.Checkpoint{Name: c.name, Parent: c.parent, Created: c.created}
	for _, x := range d.def.Disks {
		b := c.bitmaps[x.Target]
		if b == nil {
			continue
		}
		record := virt.CheckpointDisk{Target: x.Target, Bitmap: c.name, Health: virt.Unseen}
		switch {
		case x.Type == "network" && !d.def.State.Active(): // only a QEMU sees it
		case b.broken:
			record.Health = virt.Broken
		default:
			record.Health, record.Dirty = virt.Sound, b.dirtyBytes(int64(len(d.disks[x.Target].content)))
		}
		v.Disks = append(v.Disks, record)
	}
	return v
}

var errInactive = errors.New("domain is not running")
