package plan

import (
	"strings"
	"time"

	"vbk/store"
	"vbk/virt"
)

// Inventory is what exists at one moment: hosts and stores as a survey saw
// them. A host or store that could not be surveyed carries its error, and
// nothing is planned on its basis.
type Inventory struct {
	Taken  time.Time `json:"taken"`
	Hosts  []Host    `json:"hosts"`  // in the order of the configuration
	Stores []Store   `json:"stores"` // in the order of the configuration
}

// Host is a surveyed libvirt host.
type Host struct {
	Name    string        `json:"name"`
	UUID    string        `json:"uuid,omitempty"`
	Domains []virt.Domain `json:"domains,omitempty"`
	Error   string        `json:"error,omitempty"`
	Hint    string        `json:"hint,omitempty"`
}

// Store is a surveyed store.
type Store struct {
	Address string         `json:"address"`
	ID      string         `json:"id,omitempty"`
	Free    int64          `json:"free"` // bytes
	Domains []store.Domain `json:"domains,omitempty"`
	Error   string         `json:"error,omitempty"`
	Hint    string         `json:"hint,omitempty"`
}

// store finds a surveyed store; an inventory without it answers with an error
// inside, never with an empty store.
func (v Inventory) store(address string) Store {
	for _, s := range v.Stores {
		if s.Address == address {
			return s
		}
	}
	return Store{Address: address, Error: "was not surveyed"}
}

// folders finds a domain's folder by the UUID in its manifests. More than one
// is not for a program to choose from. If there is none it is the folder that
// the first point would go to, or where a run was cut off before it; whether
// that is another domain's is for Decide to see.
//
// A folder that cannot be read, and may be the domain's by the digits in its
// name, is the answer whatever else there is: what it holds is unknown.
func (s Store) folders(domain, uuid string) []*store.Domain {
	var born, unborn []*store.Domain
	for i := range s.Domains {
		d := &s.Domains[i]
		switch {
		case d.Error != "" && mayBe(d, uuid):
			return []*store.Domain{d}
		case d.UUID == uuid:
			born = append(born, d)
		case d.Folder == store.FolderName(domain, uuid):
			unborn = append([]*store.Domain{d}, unborn...)
		case d.Attempt != nil && d.Attempt.Domain == uuid:
			unborn = append(unborn, d) // the domain was renamed since
		}
	}
	if len(born) == 0 && len(unborn) > 0 {
		return unborn[:1]
	}
	return born
}

// mayBe says whether a folder that cannot be read is a domain's: by its UUID if
// that is known, or else by what a folder's name keeps when the domain is
// renamed.
func mayBe(d *store.Domain, uuid string) bool {
	if d.UUID != "" {
		return d.UUID == uuid
	}
	return strings.HasSuffix(d.Folder, store.FolderName("", uuid)[1:])
}

// home is the UUID of the host where the newest chain of a domain began, on
// any store; "" if there is none.
func (v Inventory) home(uuid string) string {
	var newest store.Chain
	for _, s := range v.Stores {
		for _, d := range s.Domains {
			for _, c := range d.Chains {
				if c.Manifest.UUID == uuid && c.Name > newest.Name {
					newest = c
				}
			}
		}
	}
	return newest.Manifest.Owner.HostUUID
}

// complete says whether every host answered, so that a domain that is in no
// list is really gone.
func (v Inventory) complete() bool {
	for _, h := range v.Hosts {
		if h.Error != "" {
			return false
		}
	}
	return true
}
