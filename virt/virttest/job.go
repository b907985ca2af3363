package virttest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"vbk/virt"
)

// job is an active pull-mode backup: the disks as they were when it began.
type job struct {
	socket  string
	exports map[string]*snapshot
	ended   bool
}

type snapshot struct {
	content []byte
	name    string // of the exported bitmap, "" for a full
	bitmap  *bitmap
}

func (d *domain) begin(b virt.Backup, now time.Time) error {
	if _, _, err := b.XML(); err != nil {
		return err
	}
	if !d.def.State.Active() {
		return fmt.Errorf("%w: %w", virt.ErrUnsupported, errInactive)
	}
	if active := d.active(); active != nil {
		return fmt.Errorf("%w: %s", virt.ErrBusy, active.Operation)
	}
	if b.Checkpoint != "" && d.checkpoint(b.Checkpoint) != nil {
		return fmt.Errorf("checkpoint %s exists already", b.Checkpoint)
	}
	j := &job{socket: b.Socket, exports: map[string]*snapshot{}}
	for _, want := range b.Disks {
		s, err := d.snapshot(want, b.Checkpoint != "")
		if err != nil {
			return fmt.Errorf("disk %s: %w", want.Target, err)
		}
		j.exports[want.Target] = s
	}
	d.job = j
	if b.Checkpoint != "" {
		d.addCheckpoint(b, now)
	}
	return nil
}

func (d *domain) snapshot(want virt.BackupDisk, tracked bool) (*snapshot, error) {
	disk := d.disks[want.Target]
	if disk == nil {
		return nil, errors.New("no such disk")
	}
	if tracked && !want.Untracked && disk.format != "qcow2" {
		return nil, fmt.Errorf("%w: a checkpoint of a %s image", virt.ErrUnsupported, disk.format)
	}
	s := &snapshot{content: append([]byte(nil), disk.content...)}
	if want.Incremental == "" {
		return s, nil
	}
	base := d.checkpoint(want.Incremental)
	if base == nil {
		return nil, fmt.Errorf("checkpoint %s: %w", want.Incremental, virt.ErrNoCheckpoint)
	}
	bits := base.bitmaps[want.Target]
	if bits == nil || bits.broken {
		return nil, fmt.Errorf("checkpoint %s: %w", want.Incremental, virt.ErrBrokenCheckpoint)
	}
	s.name, s.bitmap = want.Bitmap, bits.clone()
	return s, nil
}

func (d *domain) addCheckpoint(b virt.Backup, now time.Time) {
	c := &checkpoint{name: b.Checkpoint, created: now.UTC().Truncate(time.Second), bitmaps: map[string]*bitmap{}}
	if n := len(d.checkpoints); n > 0 {
		c.parent = d.checkpoints[n-1].name
	}
	for _, want := range b.Disks {
		if !want.Untracked {
			c.bitmaps[want.Target] = &bitmap{dirty: map[int64]bool{}}
		}
	}
	d.checkpoints = append(d.checkpoints, c)
}

// Extent is a range of an export with what block status says about it.
type Extent struct {
	Offset, Length int64
	Zero           bool // reads as zero
	Dirty          bool // in the bitmap; true where no bitmap was asked for
}

// Export is an open export of an active job.
type Export struct {
	host   *Host
	job    *job
	image  *snapshot
	bitmap *bitmap // nil for all dirty
}

// Open connects to an export of the active job that has this socket. bitmap is
// the exported bitmap's name, "" to see the whole disk as dirty. It fails if
// there is no such job, export or bitmap.
func (h *Host) Open(socket, export, bitmap string) (*Export, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.domains {
		j := d.serving(socket)
		if j == nil {
			continue
		}
		s := j.exports[export]
		if s == nil {
			return nil, fmt.Errorf("open %s: no export %q", socket, export)
		}
		if bitmap == "" {
			return &Export{host: h, job: j, image: s}, nil
		}
		if s.name != bitmap {
			return nil, fmt.Errorf("open %s: export %q has no bitmap %q", socket, export, bitmap)
		}
		return &Export{host: h, job: j, image: s, bitmap: s.bitmap}, nil
	}
	return nil, fmt.Errorf("open %s: connection refused", socket)
}

// serving is what answers at a socket, nil if nothing does.
func (d *domain) serving(socket string) *job {
	for _, j := range append(slices.Clone(d.served), d.job) {
		if j != nil && j.socket == socket {
			return j
		}
	}
	return nil
}

// Close ends the connection, not the job.
func (e *Export) Close() error { return nil }

// Size is the virtual size of the disk in bytes when the job began.
func (e *Export) Size() int64 { return int64(len(e.image.content)) }

// ReadAt reads the disk as it was when the job began. It fails once the job has
// ended.
func (e *Export) ReadAt(p []byte, off int64) (int, error) {
	if err := e.alive("read", off, int64(len(p))); err != nil {
		return 0, err
	}
	n := copy(p, e.image.content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Extents tiles the range with extents, neighbours with the same flags merged.
// It fails once the job has ended, or if the range is not within the export.
func (e *Export) Extents(offset, length int64) ([]Extent, error) {
	if err := e.alive("block status", offset, length); err != nil {
		return nil, err
	}
	if offset+length > e.Size() {
		return nil, fmt.Errorf("block status: %d bytes at %d: beyond the end, %d", length, offset, e.Size())
	}
	var all []Extent
	for at := offset; at < offset+length; {
		end := min((at/Grain+1)*Grain, offset+length)
		x := Extent{Offset: at, Length: end - at, Zero: allZero(e.image.content[at:end]), Dirty: e.bitmap == nil || e.bitmap.dirty[at/Grain]}
		if n := len(all); n > 0 && all[n-1].Zero == x.Zero && all[n-1].Dirty == x.Dirty {
			all[n-1].Length += x.Length
		} else {
			all = append(all, x)
		}
		at = end
	}
	return all, nil
}

func (e *Export) alive(op string, off, n int64) error {
	e.host.mu.Lock()
	defer e.host.mu.Unlock()
	if e.job.ended {
		return fmt.Errorf("%s: %d bytes at %d: the connection is closed", op, n, off)
	}
	if off < 0 || n < 0 || off > e.Size() {
		return fmt.Errorf("%s: %d bytes at %d: outside of %d", op, n, off, e.Size())
	}
	return nil
}
