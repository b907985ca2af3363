package plan

import (
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// Plan is data: what would be done, in which order, and why. It prints, saves,
// loads and compares.
type Plan struct {
	Created   time.Time  `json:"created"`
	Version   string     `json:"vbk_version"`
	Instances []Instance `json:"instances"`           // sorted by address
	Unclaimed []string   `json:"unclaimed,omitempty"` // HOST/NAME that no block takes
	LeftOut   []string   `json:"left_out,omitempty"`  // instances that -target or -exclude left out
	Departed  []Departed `json:"departed,omitempty"`
	Failures  []Failure  `json:"failures,omitempty"` // hosts and stores that could not be surveyed
	Warnings  []string   `json:"warnings,omitempty"`
	Others    int        `json:"others,omitempty"` // chains of other configurations on the same stores
	Space     []Space    `json:"space,omitempty"`  // of each store that an action concerns, by address

	Checks []config.CheckResult `json:"checks,omitempty"` // what the configuration's check blocks say, filled in after Make

	NotApplicable string            `json:"not_applicable,omitempty"` // why the plan can never be applied: it was made at another time, or from a file
	Variables     map[string]string `json:"variables,omitempty"`      // of the configuration, JSON; never sensitive ones
}

// Space is what a plan does to the bytes of a store.
type Space struct {
	Store   string `json:"store"`
	Free    int64  `json:"free"` // now
	MinFree int64  `json:"min_free"`
	Stores  int64  `json:"stores"` // estimate of what the backups add
	Before  int64  `json:"before"` // what deletions free that wait for no backup
	After   int64  `json:"after"`  // at most so much becomes free later: deletions that wait for a backup, and merges
}

// Failure is something that could not be planned.
type Failure struct {
	Object string `json:"object"` // host.NAME or store address
	Error  string `json:"error"`
	Hint   string `json:"hint,omitempty"`
}

// Departed is a folder of this configuration whose domain is gone or no longer
// claimed, or whose block is. It is listed and kept.
type Departed struct {
	Store  string    `json:"store"`
	Folder string    `json:"folder"`
	Domain string    `json:"domain"`
	Points int       `json:"points"`
	Newest time.Time `json:"newest"`
	Why    string    `json:"why"`
	Until  time.Time `json:"until,omitzero"` // when `departed` deletes its chains; zero: they stay

	Chains   int  `json:"chains"`
	Orphaned bool `json:"orphaned,omitempty"` // the block that made them is not in the configuration
}

// Instance is one domain on one store: what is planned for it, or why nothing
// is. Where Want.Release is set it is a folder that nobody claims, and there is
// no host.
type Instance struct {
	Want    Want      `json:"want"`
	Folder  string    `json:"folder,omitempty"` // on the store; "" before the first point
	Actions []Action  `json:"actions,omitempty"`
	Locked  bool      `json:"locked,omitempty"` // another vbk is at work: the error passes
	Error   string    `json:"error,omitempty"`  // why it cannot be planned: a failure
	Hint    string    `json:"hint,omitempty"`
	Idle    string    `json:"idle,omitempty"`   // why no backup is planned though nothing is wrong
	Due     time.Time `json:"due,omitzero"`     // when the next backup is due, where none is now
	Newest  time.Time `json:"newest,omitzero"`  // start of the newest point that restores, zero if there is none
	Current time.Time `json:"current,omitzero"` // the newest point is known to be as good as one made then: shut off, and nothing changed
	Held    []string  `json:"held,omitempty"`   // what is held back, and what would allow it
	Kept    []Kept    `json:"kept,omitempty"`   // existing points and what holds each
}

// Action is one step. Exactly one of the pointers is set, as Kind says.
type Action struct {
	Kind    Kind     `json:"kind"`
	Reason  string   `json:"reason"`
	Cleanup *Cleanup `json:"cleanup,omitempty"`
	Backup  *Backup  `json:"backup,omitempty"`
	Prune   *Prune   `json:"prune,omitempty"`
	Merge   *Merge   `json:"merge,omitempty"`
	Verify  *Verify  `json:"verify,omitempty"`
}

// Kind of an action.
type Kind string

// The kinds, in the order in which an instance's actions are done.
const (
	KindCleanup Kind = "cleanup"
	KindBackup  Kind = "backup"
	KindPrune   Kind = "prune"
	KindMerge   Kind = "merge"
	KindVerify  Kind = "verify"
)

// Cleanup removes what an interrupted run of ours left, in this order: the
// freeze, the job, checkpoints, the run folder, files.
type Cleanup struct {
	Thaw        bool     `json:"thaw,omitempty"`        // the guest may be frozen still
	Job         string   `json:"job,omitempty"`         // socket of the backup job to end
	Checkpoints []string `json:"checkpoints,omitempty"` // to delete
	RunFolder   string   `json:"run_folder,omitempty"`  // named by the attempt record
	Files       []string `json:"files,omitempty"`       // below the domain's folder
	Record      bool     `json:"record,omitempty"`      // an attempt record without a living owner
	Secret      string   `json:"secret_uuid,omitempty"` // that libvirt is to forget
	Started     *int     `json:"started,omitempty"`     // the domain that was started paused is to be ended, unless somebody lets it run
}

// Backup makes one restore point.
type Backup struct {
	Kind        store.Kind   `json:"point"`
	Chain       string       `json:"chain,omitempty"`        // the chain it joins; "" opens a new one
	Head        int          `json:"head"`                   // the head it builds on; -1 for a new chain
	Checkpoint  string       `json:"checkpoint,omitempty"`   // of that head: changes since then
	Offline     bool         `json:"offline,omitempty"`      // the domain is shut off: its image files are read
	StartPaused bool         `json:"start_paused,omitempty"` // the domain is shut off: it is started paused for the time of the job
	Redefine    bool         `json:"redefine,omitempty"`     // libvirt does not know Checkpoint: it is redefined first; if that fails, disks join as on_broken says
	Closes      string       `json:"closes,omitempty"`       // the chain that a new one closes
	Stream      store.Stream `json:"stream,omitempty"`       // of the chain
	Disks       []DiskBackup `json:"disks"`
	Others      []string     `json:"others,omitempty"` // targets that take no part
	Estimate    int64        `json:"estimate"`         // bytes to read: libvirt's count, or the virtual sizes for a full

	Stores int64           `json:"stores"`          // bytes to store, by what earlier points of its kind made of what was read
	Takes  config.Duration `json:"takes,omitempty"` // time it takes, by the rate of earlier points of its kind; 0: unknown
}

// DiskBackup is one disk of a Backup.
type DiskBackup struct {
	Target    string `json:"target"`
	Base      bool   `json:"base"`                // read whole: nothing older shows through
	Resync    bool   `json:"resync,omitempty"`    // read whole, and what differs from the chain is stored
	Encrypted bool   `json:"encrypted,omitempty"` // QEMU decrypts it: its scratch file is encrypted, what the store holds is not
	Untracked bool   `json:"untracked,omitempty"` // has no bitmap: takes no part in the checkpoint
	Reason    string `json:"reason,omitempty"`    // why it is read whole inside an increment
	Size      int64  `json:"size"`
	Estimate  int64  `json:"estimate,omitempty"` // bytes to read
	Source    string `json:"source"`
	Format    string `json:"format"`
	Identity  string `json:"identity,omitempty"`   // of the image, and
	DataState string `json:"data_state,omitempty"` // of its data file, when the point begins

	Image virt.ImageOptions `json:"image,omitzero"`
}

// Prune releases a whole chain: every point of it is deleted.
type Prune struct {
	Chain    string   `json:"chain"`
	Attempts []string `json:"attempts"` // of its points: those that were reviewed
	Points   int      `json:"points"`
	Stored   int64    `json:"stored"`                 // bytes that become free
	After    bool     `json:"after_backup,omitempty"` // right only once the planned point is durable
}

// Merge gives points up: a run of neighbours, each the parent of the next, and
// the point that builds on the last of them become one, which keeps the identity
// of the latter. No data of that point changes.
type Merge struct {
	Chain    string   `json:"chain"`
	Gone     []int    `json:"gone"`                   // sequences, rising
	Into     int      `json:"into"`                   // sequence of the point that takes them in
	Attempts []string `json:"attempts"`               // of Gone, then of Into: those that were reviewed; "" for the planned point
	Stored   int64    `json:"stored"`                 // bytes of the files of Gone: at most so much becomes free
	After    bool     `json:"after_backup,omitempty"` // right only once the planned point is durable
}

// Kept is an existing point with what holds it.
type Kept struct {
	Chain    string    `json:"chain"`
	Sequence int       `json:"sequence"`
	Start    time.Time `json:"start"`
	Rules    []string  `json:"rules"`         // "keep_daily", "held by chain", ...
	Read     time.Time `json:"read,omitzero"` // when its own files were read last, where the policy asks for that
}

// Empty says whether there is nothing to do.
func (p Plan) Empty() bool {
	for _, i := range p.Instances {
		if len(i.Actions) > 0 {
			return false
		}
	}
	return true
}

// Failed says whether something claimed could not be planned.
func (p Plan) Failed() bool {
	if len(p.Failures) > 0 {
		return true
	}
	for _, i := range p.Instances {
		if i.Error != "" {
			return true
		}
	}
	return false
}
