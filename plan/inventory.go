package plan

import (
	"slices"
	"strings"
	"time"

	"vbk/config"
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
	Free    int64          `json:"free"`           // bytes
	Size    int64          `json:"size,omitempty"` // bytes of its file system, 0 if unknown
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

// shelf finds the folders of a store.
type shelf struct {
	byUUID, byAttempt map[string][]*store.Domain
	byName            map[string]*store.Domain
	unreadable        []*store.Domain
}

func shelvesOf(v Inventory) map[string]shelf {
	all := map[string]shelf{}
	for _, s := range v.Stores {
		f := shelf{map[string][]*store.Domain{}, map[string][]*store.Domain{}, map[string]*store.Domain{}, nil}
		for i := range s.Domains {
			d := &s.Domains[i]
			if d.Error != "" {
				f.unreadable = append(f.unreadable, d)
			}
			if d.Attempt != nil {
				f.byAttempt[d.Attempt.Domain] = append(f.byAttempt[d.Attempt.Domain], d)
			}
			f.byUUID[d.UUID] = append(f.byUUID[d.UUID], d)
			f.byName[d.Folder] = d
		}
		all[s.Address] = f
	}
	return all
}

// folders finds a domain's folder by the UUID in its manifests. More than one
// is not for a program to choose from. If there is none it is the folder that
// the first point would go to, or where a run was cut off before it (the domain
// may have been renamed since); whether that is another domain's is for Decide
// to see.
//
// A folder that cannot be read, and may be the domain's by the digits in its
// name, is the answer whatever else there is: what it holds is unknown.
func (s shelf) folders(domain, uuid string) []*store.Domain {
	for _, d := range s.unreadable {
		if mayBe(d, uuid) {
			return []*store.Domain{d}
		}
	}
	if born := s.byUUID[uuid]; len(born) > 0 {
		return born
	}
	if d := s.byName[store.FolderName(domain, uuid)]; d != nil {
		return []*store.Domain{d}
	}
	begun := s.byAttempt[uuid]
	return begun[:min(1, len(begun))]
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

// complete says whether every host of the configuration answered, so that a
// domain that is in no list is really gone.
func (v Inventory) complete(want *config.Config) bool {
	answered := map[string]bool{}
	for _, h := range v.Hosts {
		answered[h.Name] = h.Error == ""
	}
	return !slices.ContainsFunc(want.Hosts, func(h config.Host) bool { return !answered[h.Name] })
}
