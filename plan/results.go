package plan

import (
	"slices"
	"time"

	"vbk/config"
)

// Results are what check blocks see of a plan. Where a host or store did not
// answer, or instances were left out, they are not complete.
func Results(c *config.Config, p Plan, have Inventory, now time.Time) config.Results {
	r := config.Results{Unclaimed: p.Unclaimed, Complete: have.complete(c) && len(p.LeftOut)+len(p.Failures) == 0}
	for _, s := range c.Stores {
		found := have.store(s.Address())
		r.Complete = r.Complete && found.Error == ""
		r.Stores = append(r.Stores, config.StoreResult{Name: s.Address(), Free: found.Free, Size: found.Size})
	}
	for _, i := range p.Instances {
		if i.Want.Release == "" {
			r.Instances = append(r.Instances, resultOf(i, now))
		}
	}
	r.Unclaimed = slices.Clone(r.Unclaimed)
	return r
}

func resultOf(i Instance, now time.Time) config.InstanceResult {
	r := config.InstanceResult{Address: i.Want.Address, Host: i.Want.Host.Name, Name: i.Want.Domain, RPO: i.Want.Policy.RPO, Error: i.Error}
	age, found := i.Age(now)
	if found {
		r.Age = (*config.Duration)(&age)
	}
	d, err := whenDue(i.Want, i.Newest, found, now)
	r.Due = d.due || err != nil
	return r
}
