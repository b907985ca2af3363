package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/plan"
	"vbk/store"
)

// The verbs of a change are Terraform's, so that what reads its plans reads ours.
const (
	verbCreate = "create"
	verbUpdate = "update"
	verbDelete = "delete"
	verbRead   = "read"
	verbKeep   = "no-op"
)

// change is what a plan does to one restore point, in the shape of an entry of
// Terraform's resource_changes. A cleanup is the one entry that is no point.
type change struct {
	Address      string     `json:"address"` // of the instance, "@", the point; "@new" is made
	Mode         string     `json:"mode"`
	Type         string     `json:"type"`  // "point" or "cleanup"
	Name         string     `json:"name"`  // of the domain block
	Index        string     `json:"index"` // HOST/NAME of the domain
	ProviderName string     `json:"provider_name"`
	Reason       string     `json:"action_reason,omitempty"`
	Waits        bool       `json:"waits,omitempty"` // until the new point is durable
	Change       difference `json:"change"`
}

type difference struct {
	Actions []string    `json:"actions"` // one
	Before  *pointState `json:"before"`
	After   *pointState `json:"after"`
}

// pointState is a point before or after a change. The amounts are bytes.
type pointState struct {
	Domain    string      `json:"domain"`
	UUID      string      `json:"uuid"`
	Host      string      `json:"host,omitempty"`
	Store     string      `json:"store"`
	Chain     string      `json:"chain,omitempty"` // "" of one that is not named yet
	Sequence  *int        `json:"sequence,omitempty"`
	Kind      store.Kind  `json:"kind,omitempty"` // of a new point
	Start     *time.Time  `json:"start,omitempty"`
	HeldBy    []string    `json:"held_by,omitempty"`
	Offline   bool        `json:"offline,omitempty"`       // the domain is shut off
	Starts    bool        `json:"starts_paused,omitempty"` // the domain is shut off, and started paused meanwhile
	Redefines string      `json:"redefines,omitempty"`     // the checkpoint that is redefined first
	Closes    string      `json:"closes,omitempty"`        // the chain that a new one closes
	Disks     []diskState `json:"disks,omitempty"`
	Read      int64       `json:"read_bytes,omitempty"`   // about, to make it
	Stored    int64       `json:"stored_bytes,omitempty"` // about, when it is made
	Seconds   float64     `json:"seconds,omitempty"`      // about, to make it
	TakesIn   []string    `json:"takes_in,omitempty"`     // the points that are merged into it
	Steps     []string    `json:"steps,omitempty"`        // of a cleanup
}

type diskState struct {
	Target string `json:"target"`
	Size   int64  `json:"size"`                 // virtual, bytes
	Whole  bool   `json:"whole"`                // read whole
	Resync bool   `json:"resync,omitempty"`     // and what differs from the chain is stored
	Read   int64  `json:"read_bytes,omitempty"` // about
	Reason string `json:"reason,omitempty"`
}

// verb is what happens to the point.
func (c change) verb() string { return c.Change.Actions[0] }

// changes lists what a plan does, point by point. Every count of a plan that
// vbk prints is a count of these.
func changes(p plan.Plan) []change {
	var all []change
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			all = append(all, changesOf(i, a)...)
		}
	}
	return all
}

// changesOf lists what one action does.
func changesOf(i plan.Instance, a plan.Action) []change {
	s := subject{i}
	switch a.Kind {
	case plan.KindCleanup:
		c := s.entry("cleanup", "cleanup", verbUpdate, a.Reason)
		before, after := s.state(), s.state()
		before.Steps = cleanupSteps(*a.Cleanup)
		c.Change.Before, c.Change.After = &before, &after
		return []change{c}
	case plan.KindBackup:
		c := s.entry("point", "new", verbCreate, a.Reason)
		after := s.planned(*a.Backup)
		c.Change.After = &after
		return []change{c}
	case plan.KindPrune:
		var all []change
		for _, k := range s.points(a.Prune.Chain, nil) {
			all = append(all, s.gone(k, a.Reason, a.Prune.After))
		}
		return all
	case plan.KindMerge:
		return s.merged(*a.Merge, a.Reason)
	case plan.KindVerify:
		return s.read(*a.Verify, a.Reason)
	}
	return nil
}

// unchanged lists the existing points that stay as they are.
func unchanged(p plan.Plan) []change {
	var all []change
	for _, i := range p.Instances {
		touched := map[string]bool{}
		for _, a := range i.Actions {
			for _, c := range changesOf(i, a) {
				touched[c.Address] = true
			}
		}
		s := subject{i}
		for _, k := range i.Kept {
			c := s.entry("point", keptName(k), verbKeep, strings.Join(k.Rules, ", "))
			if before := s.existing(k); !touched[c.Address] {
				c.Change.Before, c.Change.After = &before, &before
				all = append(all, c)
			}
		}
	}
	return all
}

// subject is the instance that changes are about.
type subject struct{ plan.Instance }

func (s subject) entry(kind, point, verb, reason string) change {
	block, label, _ := strings.Cut(s.Want.Address, "[")
	return change{
		Address: s.Want.Address + "@" + point, Mode: "managed", Type: kind,
		Name: strings.TrimPrefix(block, "domain."), Index: strings.Trim(label, `"]`),
		ProviderName: "vbk", Reason: reason, Change: difference{Actions: []string{verb}},
	}
}

func (s subject) state() pointState {
	w := s.Want
	return pointState{Domain: w.Domain, UUID: w.UUID, Host: w.Host.Name, Store: w.Store.Address()}
}

func (s subject) planned(b plan.Backup) pointState {
	after := s.state()
	after.Chain, after.Kind, after.Closes = b.Chain, b.Kind, b.Closes
	after.Offline, after.Starts = b.Offline, b.StartPaused
	if b.Redefine {
		after.Redefines = b.Checkpoint
	}
	after.Read, after.Stored, after.Seconds = b.Estimate, b.Stores, time.Duration(b.Takes).Seconds()
	for _, d := range b.Disks {
		after.Disks = append(after.Disks, diskState{d.Target, d.Size, d.Base || d.Resync, d.Resync, d.Estimate, d.Reason})
	}
	return after
}

func (s subject) existing(k plan.Kept) pointState {
	p := s.state()
	p.Chain, p.Sequence, p.Start, p.HeldBy = k.Chain, &k.Sequence, &k.Start, k.Rules
	return p
}

// points are those of a chain, all of them or the given ones.
func (s subject) points(chain string, sequences []int) []plan.Kept {
	var some []plan.Kept
	for _, k := range s.Kept {
		if k.Chain == chain && (sequences == nil || slices.Contains(sequences, k.Sequence)) {
			some = append(some, k)
		}
	}
	return some
}

func (s subject) gone(k plan.Kept, reason string, waits bool) change {
	c := s.entry("point", keptName(k), verbDelete, reason)
	before := s.existing(k)
	before.HeldBy = nil // what held it until now
	c.Waits = waits
	c.Change.Before = &before
	return c
}

func (s subject) merged(m plan.Merge, reason string) []change {
	var all []change
	var names []string
	for _, k := range s.points(m.Chain, m.Gone) {
		all = append(all, s.gone(k, reason, m.After))
		names = append(names, keptName(k))
	}
	for _, k := range s.points(m.Chain, []int{m.Into}) {
		c := s.entry("point", keptName(k), verbUpdate, "takes in "+count(len(names), "older point"))
		before, after := s.existing(k), s.existing(k)
		after.TakesIn = names
		c.Change.Before, c.Change.After = &before, &after
		all = append(all, c)
	}
	return all
}

// read are the points of a verification; those into which others are merged are
// listed for that.
func (s subject) read(v plan.Verify, reason string) []change {
	var all []change
	for _, p := range v.Points {
		merged := slices.ContainsFunc(s.Actions, func(a plan.Action) bool {
			return a.Merge != nil && a.Merge.Chain == v.Chain && a.Merge.Into == p.Sequence
		})
		for _, k := range s.points(v.Chain, []int{p.Sequence}) {
			c := s.entry("point", keptName(k), verbRead, reason)
			if before := s.existing(k); !merged {
				c.Change.Before, c.Change.After = &before, &before
				all = append(all, c)
			}
		}
	}
	return all
}

func keptName(k plan.Kept) string { return fmt.Sprintf("%s.%d", k.Chain, k.Sequence) }

// sums of a plan, as text and JSON tell them.
type sums struct {
	Add     int   `json:"add"`
	Change  int   `json:"change"`
	Destroy int   `json:"destroy"`
	Read    int64 `json:"read_bytes"`   // about, by the backups
	Stored  int64 `json:"stored_bytes"` // about, by the backups
	Frees   int64 `json:"freed_bytes"`  // by deletions, at most
}

func sumsOf(p plan.Plan) sums {
	var s sums
	for _, c := range changes(p) {
		s.count(c)
	}
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			switch a.Kind {
			case plan.KindBackup:
				s.Read += a.Backup.Estimate
				s.Stored += a.Backup.Stores
			case plan.KindPrune:
				s.Frees += a.Prune.Stored
			case plan.KindMerge:
				s.Frees += a.Merge.Stored
			}
		}
	}
	return s
}

func (s *sums) count(c change) {
	switch c.verb() {
	case verbCreate:
		s.Add++
	case verbUpdate:
		s.Change++
	case verbDelete:
		s.Destroy++
	}
}
