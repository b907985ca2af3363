package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Config is the desired state: what a directory of *.vbk.hcl files declares,
// every value with its default filled in.
type Config struct {
	Dir      string
	Name     string // vbk { name }, "" if not set
	TimeZone *time.Location
	Hosts    []Host    // sorted by name; at least "local" = qemu:///system
	Stores   []Store   // sorted by address
	Domains  []Domain  // domain blocks, sorted by name
	Removed  []Removed // sorted by From
	Checks   []Check   // sorted by name

	Variables map[string]string // values of variables that are not sensitive, as JSON
	Secrets   []string          `json:"-"` // text in the values of those that are: to be kept out of logs

	drafts []*draft // of Domains, in their order
}

// Removed asks for the deletion of the chains that a block made, which is not in
// the configuration any more.
type Removed struct {
	From  string    `json:"from"` // domain.NAME
	Range hcl.Range `json:"-"`
}

// Check is an assertion over what a plan or a status found.
type Check struct {
	Name    string
	Asserts []Assert
	Range   hcl.Range

	in scope // what conditions can refer to besides results
}

// Assert is evaluated after the survey, by Config.EvalChecks.
type Assert struct {
	Condition    hcl.Expression
	ErrorMessage hcl.Expression
}

// Host is a libvirt connection.
type Host struct {
	Name        string            `json:"name"`
	URI         string            `json:"uri"`
	MaxParallel int               `json:"max_parallel"` // domains backed up side by side on it
	ScratchDir  string            `json:"scratch_dir"`  // parent of run folders
	Labels      map[string]string `json:"labels,omitempty"`
	ReadLimit   int64             `json:"read_limit,omitempty"` // bytes a second over all its disks; 0: none
	MinFree     int64             `json:"min_free,omitempty"`   // bytes that scratch files leave free in ScratchDir
	Transport   string            `json:"transport"`            // of NBD: "unix", "ssh", "tls", "tcp"
	Pending     []string          `json:"pending,omitempty"`    // what is asked of this host and this version does not act on, each a sentence
	Range       hcl.Range         `json:"-"`
}

// Store is a place for restore points. Kind is "local" or "s3"; this version
// acts on local ones.
type Store struct {
	Kind       string    `json:"kind"`
	Name       string    `json:"name"`
	Path       string    `json:"path"`                  // absolute; "" of S3
	MinFree    int64     `json:"min_free"`              // bytes that backups leave free
	WriteLimit int64     `json:"write_limit,omitempty"` // bytes a second; 0: none
	Pending    []string  `json:"pending,omitempty"`     // what is asked of this store and this version does not act on, each a sentence
	Range      hcl.Range `json:"-"`
}

// Address of the store: store.local.NAME.
func (s Store) Address() string { return "store." + s.Kind + "." + s.Name }

// Domain is a domain block: a selector and the policy for what it selects.
type Domain struct {
	Name        string            `json:"name"`
	Match       []string          `json:"match,omitempty"`   // glob patterns of domain names
	Exclude     []string          `json:"exclude,omitempty"` // glob patterns; they win over Match
	UUIDs       []string          `json:"uuids,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`         // of the domain's metadata; all of them have to match, values are glob patterns
	ExcludeTags map[string]string `json:"exclude_tags,omitempty"` // one of them that matches excludes
	Fallback    bool              `json:"fallback,omitempty"`
	Hosts       []string          `json:"hosts"` // names; all hosts unless set
	Policy      Policy            `json:"policy"`
	Range       hcl.Range         `json:"-"`
}

// Address of the block: domain.NAME.
func (d Domain) Address() string { return "domain." + d.Name }

// Policy is the effective policy of a domain block: defaults, overridden by
// its policy block, overridden by its own attributes.
type Policy struct {
	Store       string      `json:"store"`              // address
	Every       Duration    `json:"every,omitempty"`    // 0 where Schedule is set
	Schedule    string      `json:"schedule,omitempty"` // five fields of cron in the configuration's time zone; "" where Every counts
	RPO         Duration    `json:"rpo"`
	Mode        string      `json:"mode"` // "incremental" or "full"
	Chain       Chain       `json:"chain"`
	Retention   Retention   `json:"retention"`
	Quiesce     Quiesce     `json:"quiesce"`
	Disks       Disks       `json:"disks"`
	Offline     string      `json:"offline"`    // "backup", "start_paused" or "skip"
	MinChange   int64       `json:"min_change"` // bytes
	Compression Compression `json:"compression"`
	Stream      string      `json:"stream"` // "v3", "virtnbdbackup" or "raw"
	Extra       Extra       `json:"extra"`
	Audit       int         `json:"audit"`            // grains a disk and increment
	Copies      []Copy      `json:"copies,omitempty"` // by name
	Verify      Verify      `json:"verify"`
	Hooks       []Hook      `json:"hooks,omitempty"`   // pre, post, fail
	Pending     []string    `json:"pending,omitempty"` // what is asked and this version does not act on, each a sentence: the instance is refused
}

// Chain says when a new chain begins.
type Chain struct {
	FullEvery     Duration `json:"full_every"` // 0: never
	MaxIncrements int      `json:"max_increments"`
	OnBroken      string   `json:"on_broken"` // "resync", "full" or "fail"
}

// Quiesce says whether the guest's file systems are frozen at the instant of a
// point.
type Quiesce struct {
	Mode        string   `json:"mode"` // "try", "require" or "off"
	Timeout     Duration `json:"timeout"`
	Filesystems []string `json:"filesystems,omitempty"` // mount points; empty: all
}

// Extra says what is saved besides disks and XML.
type Extra struct {
	NVRAM  bool `json:"nvram"`
	TPM    bool `json:"tpm"`
	Kernel bool `json:"kernel"`
}

// Copy is a second place for points.
type Copy struct {
	Name      string    `json:"name"`
	To        string    `json:"to"`   // address of a store
	Only      string    `json:"only"` // "all" or "full"
	Retention Retention `json:"retention"`
}

// Verify says how often points are verified.
type Verify struct {
	Every Duration `json:"every"` // 0: never
}

// Hook is a program that runs beside a backup.
type Hook struct {
	When    string            `json:"when"` // "pre", "post" or "fail"
	Command []string          `json:"command"`
	Env     map[string]string `json:"-"` // may hold secrets
	Timeout Duration          `json:"timeout"`
	OnFail  string            `json:"on_fail"` // "abort" or "warn"
}

// Retention holds the keep rules; a nil rule was not set. No rule at all keeps
// every point.
type Retention struct {
	KeepLast    *int      `json:"keep_last,omitempty"`
	KeepHourly  *int      `json:"keep_hourly,omitempty"`
	KeepDaily   *int      `json:"keep_daily,omitempty"`
	KeepWeekly  *int      `json:"keep_weekly,omitempty"`
	KeepMonthly *int      `json:"keep_monthly,omitempty"`
	KeepYearly  *int      `json:"keep_yearly,omitempty"`
	KeepWithin  *Duration `json:"keep_within,omitempty"`
	Anchor      string    `json:"anchor"`   // "any", or "full": weekly and coarser rules choose among fulls
	Prune       string    `json:"prune"`    // "chain" or "merge"
	Departed    Duration  `json:"departed"` // 0: keep
	MinChains   int       `json:"min_chains"`
	MaxPrune    int       `json:"max_prune"` // percent of an instance's points that one run may delete
}

// Disks selects among a domain's disks by target.
type Disks struct {
	Include   []string `json:"include,omitempty"` // empty: all
	Exclude   []string `json:"exclude,omitempty"`
	Raw       string   `json:"raw"`       // "resync", "full", "skip" or "fail"
	Encrypted string   `json:"encrypted"` // "fail", or "plaintext": the store holds what they hold
}

// Compression of the stream.
type Compression struct {
	Codec string `json:"codec"` // "zstd" or "none"; with stream "virtnbdbackup" "lz4" or "none"
	Level int    `json:"level"`
}

// Duration is a time span that prints as it is written in HCL ("7d", "36h").
type Duration time.Duration
