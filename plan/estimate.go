package plan

import (
	"fmt"
	"math"
	"time"

	"vbk/config"
	"vbk/store"
)

// forecast says how much a backup will store, and how long it will take: what
// was read before, of the same kind, tells the ratio and the rate. A resync is
// taken for a full, which it is at most. Without such points the ratio is 1 and
// the time 0, which is unknown.
func forecast(f *store.Domain, b *Backup) (stores int64, takes config.Duration) {
	var data, stored, timed float64
	var took time.Duration
	if f != nil {
		for k := range f.Chains {
			c := &f.Chains[k]
			for n := range c.Manifest.Points {
				p := &c.Manifest.Points[n]
				if p.Kind == store.Resync || (p.Kind == store.Full) != (b.Kind != store.Increment) || p.Merged > 0 {
					continue
				}
				read := dataOf(p)
				data, stored = data+read, stored+float64(p.Stored())
				if p.End.After(p.Start) {
					timed, took = timed+read, took+p.End.Sub(p.Start)
				}
			}
		}
	}
	stores = b.Estimate
	if data > 0 && stored >= 0 && stored < data {
		stores = int64(float64(b.Estimate) * (stored / data))
	}
	if timed > 0 && took > 0 {
		seconds := math.Ceil(float64(b.Estimate) / timed * took.Seconds())
		takes = config.Duration(min(max(seconds, 0), 1e9)) * config.Duration(time.Second)
	}
	return stores, takes
}

// dataOf is how many bytes of the guest a point's files hold.
func dataOf(p *store.Point) (n float64) {
	for k := range p.Disks {
		n += float64(p.Disks[k].Data)
	}
	return n
}

// spaceOf sums up what a plan does to each store of the configuration.
func spaceOf(want *config.Config, have Inventory, instances []Instance) (all []Space) {
	for _, s := range want.Stores {
		found := have.store(s.Address())
		if found.Error != "" {
			continue
		}
		sum, used := Space{Store: s.Address(), Free: found.Free, MinFree: s.MinFree}, false
		for _, i := range instances {
			if i.Want.Policy.Store != s.Address() {
				continue
			}
			for _, a := range i.Actions {
				used = used || a.Kind != KindCleanup && a.Kind != KindVerify
				sum.add(a)
			}
		}
		if used {
			all = append(all, sum)
		}
	}
	return all
}

func (s *Space) add(a Action) {
	switch {
	case a.Backup != nil:
		s.Stores += a.Backup.Stores
	case a.Prune != nil && !a.Prune.After:
		s.Before += a.Prune.Stored
	case a.Prune != nil:
		s.After += a.Prune.Stored
	case a.Merge != nil:
		s.After += a.Merge.Stored
	}
}

// warnings compares what the planned backups may need with what is free, and
// with what deletions free before them.
func (s Space) warnings() []string {
	if s.Stores == 0 || s.Stores <= s.Free+s.Before-s.MinFree {
		return nil
	}
	return []string{fmt.Sprintf("%s has %s free and min_free = %s; the planned backups may need up to %s",
		s.Store, Bytes(s.Free), Bytes(s.MinFree), Bytes(s.Stores))}
}
