package plan

import (
	"fmt"
	"slices"
	"strings"

	"vbk/config"
	"vbk/virt"
)

// claim is a domain that blocks take, on the host that counts.
type claim struct {
	host    Host
	domain  virt.Domain
	blocks  []config.Domain // more than one is a conflict
	problem string          // why none can act: active on several hosts
}

// label is HOST/NAME.
func (c claim) label() string { return c.host.Name + "/" + c.domain.Name }

// claims says which blocks take which domain, which domains none takes, and of
// which nobody knows, because libvirt did not tell their tags.
func claims(blocks []config.Domain, have Inventory) (taken []claim, unclaimed []string, unclear []Failure) {
	for _, group := range byUUID(have.Hosts) {
		c := whichHost(group, have)
		c.blocks = claimants(blocks, c.host.Name, c.domain)
		if len(c.blocks) > 0 {
			taken = append(taken, c)
		} else if block, may := mayTake(blocks, c); may {
			unclear = append(unclear, Failure{Object: "host." + c.host.Name,
				Error: fmt.Sprintf("libvirt does not tell the tags of %s, by which %s may take it", c.domain.Name, block),
				Hint:  "see virsh domstats " + c.domain.Name})
		} else {
			unclaimed = append(unclaimed, c.label())
		}
	}
	slices.Sort(unclaimed)
	return taken, unclaimed, unclear
}

// undescribed says whether no more is known of a domain than name and UUID.
func undescribed(d virt.Domain) bool {
	return d.Error != "" || d.State == virt.Unknown && d.Job != nil && d.Job.Operation == virt.NoAnswer
}

// mayTake names a block that would take an undescribed domain if its tags were
// the right ones.
func mayTake(blocks []config.Domain, c claim) (address string, may bool) {
	for _, b := range blocks {
		whatever := b
		whatever.Tags = map[string]string{}
		if undescribed(c.domain) && b.Tags != nil && whatever.Selects(c.host.Name, c.domain.Name, c.domain.UUID, nil) {
			return b.Address(), true
		}
	}
	return "", false
}

func claimants(blocks []config.Domain, host string, d virt.Domain) []config.Domain {
	var found, fallback []config.Domain
	for _, b := range blocks {
		switch {
		case b.Claims(host, d.Name, d.UUID, d.Tags):
			found = append(found, b)
		case b.Selects(host, d.Name, d.UUID, d.Tags):
			fallback = append(fallback, b)
		}
	}
	if len(found) == 0 {
		return fallback
	}
	return found
}

// byUUID groups the domains of all hosts, in the order of their first label.
func byUUID(hosts []Host) [][]claim {
	groups := map[string][]claim{}
	var order []string
	for _, h := range hosts {
		for _, d := range h.Domains {
			if groups[d.UUID] == nil {
				order = append(order, d.UUID)
			}
			groups[d.UUID] = append(groups[d.UUID], claim{host: h, domain: d})
		}
	}
	sorted := make([][]claim, 0, len(order))
	for _, uuid := range order {
		sorted = append(sorted, groups[uuid])
	}
	return sorted
}

// whichHost picks the host of a domain that is defined on several: the one
// where it is active, or else the one where its newest chain began.
func whichHost(group []claim, have Inventory) claim {
	var active []claim
	for _, c := range group {
		if c.domain.State.Active() {
			active = append(active, c)
		}
	}
	if len(active) == 0 && len(group) > 1 {
		home := have.home(group[0].domain.UUID)
		n := slices.IndexFunc(group, func(c claim) bool { return c.host.UUID == home })
		return group[max(n, 0)]
	}
	if len(active) == 0 {
		return group[0]
	}
	if len(active) > 1 {
		var names []string
		for _, c := range active {
			names = append(names, c.label())
		}
		active[0].problem = fmt.Sprintf("UUID %s is active on several hosts: %s", active[0].domain.UUID, strings.Join(names, ", "))
	}
	return active[0]
}
