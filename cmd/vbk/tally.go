package main

import (
	"fmt"
	"strings"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

// tally reads the status of machines from an inventory.
type tally struct {
	cfg  *config.Config
	have plan.Inventory
	now  time.Time
}

// claimed is a machine that the survey has seen.
func (t tally) claimed(i plan.Instance) machineStatus {
	m := machineStatus{Address: i.Want.Address, Domain: i.Want.Domain, Host: i.Want.Host.Name, Store: i.Want.Store.Address(),
		RPO: seconds(i.Want.Policy.RPO), policy: &i.Want.Policy, Error: i.Error, Due: optional(i.Due), DueNow: i.Backup() != nil, Idle: i.Idle}
	f, known := t.folder(i)
	t.count(&m, f)
	if old, ok := i.Age(t.now); ok && m.Age != nil { // a machine that is shut off may be as it was at its point
		*m.Age = min(*m.Age, int64(old/time.Second))
	}
	if m.State = m.state(); !known {
		m.State = stateUnknown
	}
	return m
}

// folder is what a store has of a machine, nothing before its first point; not
// known where it cannot be read.
func (t tally) folder(i plan.Instance) (f store.Domain, known bool) {
	for _, s := range t.have.Stores {
		if s.Address != i.Want.Store.Address() {
			continue
		}
		known = s.Error == ""
		for _, d := range s.Domains {
			if d.Folder == i.Folder || i.Folder == "" && d.UUID == i.Want.UUID {
				return d, known && d.Error == ""
			}
		}
	}
	return store.Domain{}, known
}

// count adds what a folder holds.
func (t tally) count(m *machineStatus, f store.Domain) {
	m.folder = f
	for n, c := range f.Chains {
		for _, p := range c.Manifest.Points {
			m.Points++
			m.Stored += p.Stored()
			if at := c.ReadAt(p.Sequence); !at.IsZero() && (m.Verified == nil || at.After(*m.Verified)) {
				m.Verified = &at
			}
			if since := c.LastRead(p).UTC(); m.UnreadSince == nil || since.Before(*m.UnreadSince) {
				m.UnreadSince = &since
			}
			switch {
			case !c.Sound(p.Sequence):
				m.Damaged++
			case p.Start.After(t.now.Add(futureTolerance)):
			case m.Newest == nil || p.Start.After(m.Newest.Start):
				m.Newest = &newestPoint{fmt.Sprintf("%s@%s.%d", f.Name, c.Name, p.Sequence), p.Start.UTC(), string(p.Kind)}
				age := int64(t.now.Sub(p.Start) / time.Second)
				m.Age = &age
			}
		}
		if n == len(f.Chains)-1 {
			m.ChainLength = len(c.Manifest.Points)
		}
	}
	if a := f.Attempt; a != nil && !f.Locked {
		m.LastError = fmt.Sprintf("a run of pid %d on %s since %s was cut off", a.PID, a.Host, a.Since.UTC().Format(time.RFC3339))
	}
	m.Running = f.Locked
	m.LastAttempt = attemptIn(f)
	m.LastDrill, m.LastBooted = drillsIn(f)
}

// unseen are machines with points whose host did not answer: what the stores
// tell of them stands.
func (t tally) unseen(p plan.Plan) []machineStatus {
	accounted := map[[2]string]bool{}
	for _, i := range p.Instances {
		accounted[[2]string{i.Want.Store.Address(), i.Folder}] = true
	}
	for _, d := range p.Departed {
		accounted[[2]string{d.Store, d.Folder}] = true
	}
	var all []machineStatus
	for _, s := range t.have.Stores {
		for _, f := range s.Domains {
			if !accounted[[2]string{s.Address, f.Folder}] {
				if m, ours := t.unseenFolder(s.Address, f); ours {
					all = append(all, m)
				}
			}
		}
	}
	return all
}

func (t tally) unseenFolder(address string, f store.Domain) (m machineStatus, ours bool) {
	var owner store.Owner
	for _, c := range f.Chains {
		if c.Manifest.Owner.Address != "" {
			owner = c.Manifest.Owner
		}
	}
	_, label, _ := strings.Cut(owner.Address, `["`)
	host, _, _ := strings.Cut(label, "/")
	policy := policyOf(t.cfg, located{store: t.store(address), folder: f})
	if owner.Configuration != t.cfg.Name || policy == nil || !t.silent(host) {
		return m, false
	}
	m = machineStatus{Address: owner.Address, Domain: f.Name, Host: host, Store: address, RPO: seconds(policy.RPO), policy: policy, Unseen: true}
	t.count(&m, f)
	m.State = m.state()
	return m, true
}

// silent says whether a host did not answer.
func (t tally) silent(name string) bool {
	for _, h := range t.have.Hosts {
		if h.Name == name {
			return h.Error != ""
		}
	}
	return false
}

func (t tally) store(address string) config.Store {
	for _, s := range t.cfg.Stores {
		if s.Address() == address {
			return s
		}
	}
	return config.Store{}
}

// futureTolerance is how far a point may be ahead of our clock and still count.
const futureTolerance = 10 * time.Minute

// state is the worst that is known of a machine.
func (m machineStatus) state() string {
	switch {
	case m.Newest == nil && m.Points > 0:
		return stateDamaged
	case m.Idle != "" && m.Due == nil:
		return stateIdle
	case m.Newest == nil:
		return stateMissing
	case m.RPO > 0 && *m.Age > m.RPO:
		return stateLate
	case m.Damaged > 0:
		return stateDamaged
	case m.Error != "" && !m.Running, m.attemptFailed():
		return stateFailing
	}
	return stateOK
}
