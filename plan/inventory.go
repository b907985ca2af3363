package plan

import (
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

// folder finds a domain's folder by its UUID, or the one that a run which was
// cut off before the first point would have made; nil if there is none.
func (s Store) folder(domain, uuid string) *store.Domain {
	var unborn *store.Domain
	for i := range s.Domains {
		d := &s.Domains[i]
		if d.UUID == uuid {
			return d
		}
		if len(d.Chains) == 0 && d.Folder == store.FolderName(domain, uuid) {
			unborn = d
		}
	}
	return unborn
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
