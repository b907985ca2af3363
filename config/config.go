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
	Hosts    []Host   // sorted by name; at least "local" = qemu:///system
	Stores   []Store  // sorted by address
	Domains  []Domain // domain blocks, sorted by name
}

// Host is a libvirt connection.
type Host struct {
	Name        string    `json:"name"`
	URI         string    `json:"uri"`
	MaxParallel int       `json:"max_parallel"` // domains backed up side by side on it
	ScratchDir  string    `json:"scratch_dir"`  // parent of run folders
	Range       hcl.Range `json:"-"`
}

// Store is a place for restore points. Kind is "local" in this version.
type Store struct {
	Kind    string    `json:"kind"`
	Name    string    `json:"name"`
	Path    string    `json:"path"`     // absolute
	MinFree int64     `json:"min_free"` // bytes that backups leave free
	Range   hcl.Range `json:"-"`
}

// Address of the store: store.local.NAME.
func (s Store) Address() string { return "store." + s.Kind + "." + s.Name }

// Domain is a domain block: a selector and the policy for what it selects.
type Domain struct {
	Name     string    `json:"name"`
	Match    []string  `json:"match,omitempty"`   // glob patterns of domain names
	Exclude  []string  `json:"exclude,omitempty"` // glob patterns; they win over Match
	UUIDs    []string  `json:"uuids,omitempty"`
	Fallback bool      `json:"fallback,omitempty"`
	Hosts    []string  `json:"hosts"` // names; all hosts unless set
	Policy   Policy    `json:"policy"`
	Range    hcl.Range `json:"-"`
}

// Address of the block: domain.NAME.
func (d Domain) Address() string { return "domain." + d.Name }

// Policy is the effective policy of a domain block: defaults, overridden by
// its policy block, overridden by its own attributes.
type Policy struct {
	Store       string      `json:"store"` // address
	Every       Duration    `json:"every"`
	Chain       Chain       `json:"chain"`
	Retention   Retention   `json:"retention"`
	Disks       Disks       `json:"disks"`
	Compression Compression `json:"compression"`
	Offline     string      `json:"offline"` // "backup" or "skip"
}

// Chain says when a new chain begins.
type Chain struct {
	FullEvery     Duration `json:"full_every"` // 0: never
	MaxIncrements int      `json:"max_increments"`
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
	MinChains   int       `json:"min_chains"`
	MaxPrune    int       `json:"max_prune"` // percent of an instance's points that one run may delete
}

// Disks selects among a domain's disks by target.
type Disks struct {
	Include []string `json:"include,omitempty"` // empty: all
	Exclude []string `json:"exclude,omitempty"`
}

// Compression of the stream.
type Compression struct {
	Codec string `json:"codec"` // "zstd" or "none"
	Level int    `json:"level"`
}

// Duration is a time span that prints as it is written in HCL ("7d", "36h").
type Duration time.Duration
