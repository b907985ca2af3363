package plan

import (
	"vbk/config"
)

// BlockPlays are the simulations of domain blocks: each of one machine that has
// no points yet.
func BlockPlays(c *config.Config, o SimulateOptions) []Play {
	var all []Play
	for _, b := range c.Domains {
		w := Want{Address: b.Address(), Configuration: c.Name, Block: b.Address(), Domain: b.Name, Policy: b.Policy, TimeZone: c.TimeZone.String(), place: c.TimeZone}
		for _, s := range c.Stores {
			if s.Address() == b.Policy.Store {
				w.Store = s
			}
		}
		all = append(all, Play{w, Seen{}, o})
	}
	return all
}

// InstancePlays are the simulations of the instances of an inventory, each from
// what it has, whether or not something keeps it from being backed up today.
// Where o has no Full it is measured, and with auto so are the changes.
func InstancePlays(c *config.Config, have Inventory, o SimulateOptions, auto bool) []Play {
	v := newView(Side{Make(c, have, Options{}, have.Taken), have})
	var all []Play
	for n := range v.Plan.Instances {
		i := &v.Plan.Instances[n]
		if i.Want.Release != "" {
			continue
		}
		p := v.play(i, 0)
		measured := p.Options
		p.Options = o
		if o.Full == 0 {
			p.Options.Full = measured.Full
		}
		if auto {
			p.Options.Change = measured.Change
		}
		all = append(all, p)
	}
	return all
}

// Named says whether an address of the command line means this instance.
func (w Want) Named(address string) bool {
	return names([]string{address}, w)
}
