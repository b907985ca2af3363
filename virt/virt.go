package virt

import "time"

// State is a domain's state in virsh's words.
type State string

// The states of virDomainState that vbk tells apart.
const (
	Running     State = "running"
	Paused      State = "paused"
	ShutOff     State = "shut off"
	Crashed     State = "crashed"
	PMSuspended State = "pmsuspended"
	Unknown     State = "unknown"
)

// Active says whether a QEMU process exists for a domain in this state, which
// is what a backup job needs.
func (s State) Active() bool { return s == Running || s == Paused || s == PMSuspended }

// Domain is one virtual machine as a survey found it.
type Domain struct {
	Name        string            `json:"name"`
	UUID        string            `json:"uuid"` // lower case, with dashes
	State       State             `json:"state"`
	Disks       []Disk            `json:"disks,omitempty"`       // in the order of the XML, CD-ROMs and floppies too
	Checkpoints []Checkpoint      `json:"checkpoints,omitempty"` // parents before children
	Job         *Job              `json:"job,omitempty"`         // the active job, nil if there is none
	Agent       bool              `json:"agent,omitempty"`       // a guest agent is connected
	ProcessUID  int               `json:"process_uid"`           // user of the QEMU process by its DAC label, -1 if unknown
	ProcessGID  int               `json:"process_gid"`
	Tags        map[string]string `json:"tags,omitempty"`  // attributes of <tags xmlns="urn:vbk:tags:1"> in its metadata
	Error       string            `json:"error,omitempty"` // why its survey failed; then only name and UUID are known
}

// Disk is a block device of a domain.
type Disk struct {
	Target    string `json:"target"`              // libvirt's target device, "vda"
	Device    string `json:"device"`              // "disk", "cdrom", "floppy", "lun"
	Type      string `json:"type,omitempty"`      // of the source: "file", "block", "network", "volume"
	Source    string `json:"source,omitempty"`    // path or URI of the active image, empty for an empty drive
	Format    string `json:"format,omitempty"`    // driver type: "qcow2", "raw"
	Size      int64  `json:"size"`                // virtual size, bytes; 0 if it cannot be told
	Allocated int64  `json:"allocated,omitempty"` // bytes the image occupies on its host, 0 if unknown
	ReadOnly  bool   `json:"read_only,omitempty"`
	Identity  string `json:"identity,omitempty"`   // tells the image from another at the same address; "" if it cannot be seen from here
	DataFile  bool   `json:"data_file,omitempty"`  // the guest's data is in an external data file of the qcow2 image
	DataState string `json:"data_state,omitempty"` // of that file: as long as it is the same, nobody but one QEMU can have written; "" if it cannot be seen from here
	Encrypted bool   `json:"encrypted,omitempty"`  // by QEMU (LUKS)
	Shared    bool   `json:"shared,omitempty"`
	Snapshots int    `json:"snapshots,omitempty"` // in the qcow2 image itself ("internal"), as far as it can be seen from here

	Image ImageOptions `json:"image,omitzero"` // of a qcow2 image whose header can be read
}

// ImageOptions are how a qcow2 image was made, by the names of qemu-img create -o.
type ImageOptions struct {
	ClusterSize     int64  `json:"cluster_size,omitempty"` // bytes
	Compat          string `json:"compat,omitempty"`       // "0.10" or "1.1"
	RefcountBits    int    `json:"refcount_bits,omitempty"`
	ExtendedL2      bool   `json:"extended_l2,omitempty"`
	LazyRefcounts   bool   `json:"lazy_refcounts,omitempty"`
	CompressionType string `json:"compression_type,omitempty"` // "zlib" or "zstd"
}

// Checkpoint is a libvirt checkpoint of a domain.
type Checkpoint struct {
	Name    string           `json:"name"`
	Parent  string           `json:"parent,omitempty"`
	Created time.Time        `json:"created"` // UTC, whole seconds
	Disks   []CheckpointDisk `json:"disks,omitempty"`
}

// Disk returns the checkpoint's record for a target.
func (c Checkpoint) Disk(target string) (CheckpointDisk, bool) {
	for _, d := range c.Disks {
		if d.Target == target {
			return d, true
		}
	}
	return CheckpointDisk{}, false
}

// CheckpointDisk is the dirty bitmap of one disk in a checkpoint.
type CheckpointDisk struct {
	Target string `json:"target"`
	Bitmap string `json:"bitmap"`
	Health Health `json:"health"`
	Dirty  int64  `json:"dirty"` // bytes the next increment would hold; only where Health is Sound
}

// Health of a dirty bitmap.
type Health string

// Sound: QEMU records every write into it. Broken: libvirt knows the
// checkpoint but QEMU has no such bitmap, or it is inconsistent. Unseen: the
// domain does not run, and its image cannot be read.
const (
	Sound  Health = "sound"
	Broken Health = "broken"
	Unseen Health = "unseen"
)

// Job is an active job of a domain.
type Job struct {
	Operation string `json:"operation"`        // libvirt's word: "backup", "migration out", "block copy", ...
	Socket    string `json:"socket,omitempty"` // unix socket of a pull-mode backup, "" otherwise
}

// Operations of a Job that stands for silence: libvirt told nothing more of the
// domain than its definition.
const (
	NoAnswer   = "a call that does not end"
	ClientCall = "another client's call"
)

// Backup describes a pull-mode backup job of one domain; see
// https://libvirt.org/formatbackup.html.
type Backup struct {
	Socket     string // unix socket libvirt creates, in a folder that QEMU may enter
	Checkpoint string // created at the same instant, for every disk in Disks that tracks; "" for none
	Disks      []BackupDisk
	Reuse      bool     // the scratch files exist already, in qcow2
	Others     []string // targets that take no part, in job or checkpoint
}

// BackupDisk is one exported disk of a Backup. Its NBD export is named like
// Target.
type BackupDisk struct {
	Target      string
	Incremental string // checkpoint since which changes are wanted; "" for a full
	Bitmap      string // exported as qemu:dirty-bitmap:<Bitmap> where Incremental is set
	Secret      string // UUID of the libvirt secret that Scratch is encrypted with; "": it is not
	Scratch     string // path of a file that does not exist yet
	Untracked   bool   // in the job but not in the checkpoint: a raw image has no bitmap
}
