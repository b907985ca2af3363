package store

import (
	"encoding/json"
	"math"
	"time"
)

// FormatVersion of marks and manifests that this package writes and reads.
const FormatVersion = 1

// Mark is the content of vbk.json, which makes a directory a store.
type Mark struct {
	FormatVersion int       `json:"format_version"`
	ID            string    `json:"id"` // 8 hex digits
	Created       time.Time `json:"created"`
}

// Domain is the folder of one domain as a survey found it.
type Domain struct {
	Folder    string   `json:"folder"`              // name of the folder, "web01-4c1f9d2a"
	Name      string   `json:"name"`                // the domain's name in the newest manifest
	UUID      string   `json:"uuid"`                // full, from the manifests
	Chains    []Chain  `json:"chains,omitempty"`    // by number, rising
	Attempt   *Attempt `json:"attempt,omitempty"`   // record found in the lock file
	Locked    bool     `json:"locked,omitempty"`    // a living process holds the lock
	Leftovers []string `json:"leftovers,omitempty"` // paths below Folder that no kept manifest names, sorted
	Error     string   `json:"error,omitempty"`     // why the folder cannot be surveyed: nothing else here but Folder, and Name and UUID if known

	Outcomes *Outcomes `json:"outcomes,omitempty"` // how attempts and drills went that no chain tells of
}

// NextChain is the number of a new chain. It leaves room for each chain that has
// lost its own number with its manifests: rebuilt, it counts as older.
func (d Domain) NextChain() int {
	highest, lost := 0, 0
	for _, c := range d.Chains {
		highest = max(highest, c.Manifest.ChainNumber)
		if c.Manifest.ChainNumber == 0 {
			lost++
		}
	}
	return highest + lost + 1
}

// Chain is a folder of a full and what builds on it.
type Chain struct {
	Name     string    `json:"name"` // "20261122T013000Z-9f3c"
	Manifest Manifest  `json:"manifest"`
	Problems []Problem `json:"problems,omitempty"` // what makes points unsound

	Verifications []Verified `json:"verified,omitempty"` // points whose files were read, by sequence
}

// Problem says what is wrong with a file of a chain.
type Problem struct {
	File   string `json:"file"` // name below the chain's folder
	Detail string `json:"detail"`
	From   int    `json:"from"`            // points from this sequence on do not restore; 0: none of the chain does
	Until  int    `json:"until,omitempty"` // points from this sequence on do not need the file; 0: all that follow do
}

// NoPoint is the From of a problem that keeps no point from being restored.
const NoPoint = math.MaxInt32

// Sound says whether the point with this sequence restores, as far as names
// and sizes tell.
func (c Chain) Sound(sequence int) bool {
	for _, p := range c.Problems {
		if sequence >= p.From && (p.Until == 0 || sequence < p.Until) {
			return false
		}
	}
	return true
}

// Head is the newest point of the chain on which something may be built; false
// if there is none.
func (c Chain) Head() (Point, bool) {
	for n := len(c.Manifest.Points) - 1; n >= 0; n-- {
		if !c.Manifest.Points[n].Leaf {
			return c.Manifest.Points[n], true
		}
	}
	return Point{}, false
}

// Manifest lists the points of a chain. The file chain.NNNNNN.json with the
// highest number is the truth.
type Manifest struct {
	FormatVersion int             `json:"format_version"`
	Number        int             `json:"number"` // of this manifest, from 1
	StoreID       string          `json:"store_id"`
	Chain         string          `json:"chain"`
	ChainNumber   int             `json:"chain_number"` // 1 + the highest of the domain's folder
	Owner         Owner           `json:"owner"`
	Domain        string          `json:"domain"` // name at the newest point
	UUID          string          `json:"uuid"`
	Stream        Stream          `json:"stream,omitempty"`    // version of all its files
	HashKey       string          `json:"hash_key"`            // 64 hex digits: HighwayHash key of the chain's grains
	Closed        string          `json:"closed,omitempty"`    // why nothing is added any more
	Deleted       bool            `json:"deleted,omitempty"`   // the chain has been released: no points, files go
	Retention     json.RawMessage `json:"retention,omitempty"` // effective keep rules, for people
	Points        []Point         `json:"points"`              // by sequence, rising
	Written       time.Time       `json:"written"`
	Version       string          `json:"vbk_version"`
}

// Next is the sequence that the next point will have: one more than the newest.
func (m Manifest) Next() int {
	if n := len(m.Points); n > 0 {
		return m.Points[n-1].Sequence + 1
	}
	return 0
}

// Stream is the version of the files of a chain.
type Stream string

// The streams that a store holds. A chain has files of one of them only.
const (
	V3            Stream = ""
	VirtNBDBackup Stream = "virtnbdbackup" // v2, or v1 in a chain that was imported
	Raw           Stream = "raw"
)

// Owner names the configuration that made a chain.
type Owner struct {
	Configuration string `json:"configuration,omitempty"` // vbk { name }
	Address       string `json:"address"`                 // domain.BLOCK["HOST/NAME"]
	HostUUID      string `json:"host_uuid,omitempty"`
}

// Kind of a restore point.
type Kind string

// A Full stands alone, an Increment needs its parent. A Resync is an increment
// for which all data of a disk was read and compared with the chain.
const (
	Full      Kind = "full"
	Increment Kind = "inc"
	Resync    Kind = "resync"
)

// Point is one restore point: all disks of a domain at one instant.
type Point struct {
	Sequence   int         `json:"sequence"` // from 0
	Attempt    string      `json:"attempt"`  // 8 hex digits, never reused
	Kind       Kind        `json:"kind"`
	Parent     int         `json:"parent"` // sequence, -1 for a full
	Checkpoint string      `json:"checkpoint,omitempty"`
	Start      time.Time   `json:"start"` // instant of the checkpoint, UTC
	End        time.Time   `json:"end"`   // last byte counted
	Quiesced   bool        `json:"quiesced"`
	QuiesceWhy string      `json:"quiesce_why,omitempty"`
	FrozenMS   int64       `json:"frozen_ms,omitempty"` // so long the guest's file systems stood still for it, at most
	Read       int64       `json:"read,omitempty"`      // bytes of the guest that were read to make it, those that had not changed included
	Reason     string      `json:"reason,omitempty"`    // why the plan made it
	Disks      []PointDisk `json:"disks"`
	Files      []File      `json:"files,omitempty"`             // domain XML, checkpoint XML, NVRAM, kernel
	Notes      []string    `json:"notes,omitempty"`             // what could not be stored beside the disks, each a sentence
	Merged     int         `json:"merged,omitempty"`            // older points that it has taken in
	Protected  *Protection `json:"protected,omitempty"`         // nothing deletes or merges the point away
	Created    time.Time   `json:"checkpoint_created,omitzero"` // creationTime of an adopted Checkpoint, whose name does not prove whose it is
	Leaf       bool        `json:"leaf,omitempty"`              // nothing is built on the point: it is a difference of virtnbdbackup
	ClockDoubt bool        `json:"clock_doubt,omitempty"`       // it came so long after the point before it that the clock may have jumped
	Distrusted string      `json:"distrusted,omitempty"`        // why no increment is built on this point, though its checkpoint is there
	Digest     string      `json:"config_digest,omitempty"`
	Version    string      `json:"vbk_version"`
}

// Disk returns the point's record of a target.
func (p Point) Disk(target string) (PointDisk, bool) {
	for _, d := range p.Disks {
		if d.Target == target {
			return d, true
		}
	}
	return PointDisk{}, false
}

// Stored is the sum of the bytes that the point's files occupy, the chunks that
// these have in other files included.
func (p Point) Stored() int64 {
	var n int64
	for _, d := range p.Disks {
		n += max(d.FileSize, d.Stored)
	}
	for _, f := range p.Files {
		n += f.Size
	}
	return n
}

// Protection keeps a point whatever the rules say.
type Protection struct {
	Until time.Time `json:"until,omitzero"` // zero: until it is lifted
	By    string    `json:"by"`
	Why   string    `json:"why"`
}

// Holds says whether the protection still counts.
func (p *Protection) Holds(now time.Time) bool {
	return p != nil && (p.Until.IsZero() || now.Before(p.Until))
}

// PointDisk is one disk in a point.
type PointDisk struct {
	Target     string   `json:"target"`
	File       string   `json:"file"` // name below the chain's folder
	Base       bool     `json:"base"` // nothing older shows through
	Size       int64    `json:"size"` // virtual size, bytes
	Source     string   `json:"source"`
	Format     string   `json:"format"`
	Identity   string   `json:"identity,omitempty"`    // of the image, as virt.Disk has it
	DataState  string   `json:"data_state,omitempty"`  // of its external data file, as virt.Disk has it
	FileSize   int64    `json:"file_size"`             // bytes of File
	Data       int64    `json:"data"`                  // bytes of the guest in data entries
	Stored     int64    `json:"stored"`                // bytes of the stored chunks
	FooterHash string   `json:"footer_hash,omitempty"` // 16 hex digits: XXH3-64 of the footer of a v3 file, its last 8 bytes; of any other file the XXH3-64 of its last 4096 bytes
	Shares     []string `json:"shares,omitempty"`      // other files of the chain that hold chunks of File, by file slot
	RawImage   bool     `json:"raw_image,omitempty"`   // File is the disk, byte for byte, and has no header

	Image ImageOptions `json:"image,omitzero"` // of a qcow2 image, as far as they are known: a restored one gets them
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

// File is another file of a point.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Hash string `json:"hash"` // 32 hex digits: XXH3-128
}

// Attempt is the record in a domain folder's lock file: what a run has begun
// there, so that whoever comes after a crash knows which names are ours.
type Attempt struct {
	Host       string    `json:"host"` // name of the machine vbk runs on
	BootID     string    `json:"boot_id"`
	PID        int       `json:"pid"`
	Since      time.Time `json:"since"`
	Chain      string    `json:"chain,omitempty"`
	ID         string    `json:"attempt,omitempty"`
	Checkpoint string    `json:"checkpoint,omitempty"` // drawn for this attempt
	RunFolder  string    `json:"run_folder,omitempty"` // scratch files and socket
	Domain     string    `json:"domain_uuid,omitempty"`
	Frozen     bool      `json:"frozen,omitempty"`
	Secret     string    `json:"secret_uuid,omitempty"` // of libvirt, for scratch files
	Started    *int      `json:"started,omitempty"`     // the domain was shut off and is started paused: libvirt's number of it, 0 until that is known
}

// Finding is what a check found wrong in a domain's folder.
type Finding struct {
	Chain string `json:"chain,omitempty"` // "" for the domain's folder itself
	Problem
	Unread bool `json:"unread,omitempty"` // the file could not be read, or not all of it: nothing is known of that
}
