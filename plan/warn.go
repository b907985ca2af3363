package plan

import (
	"fmt"
	"maps"
	"slices"

	"vbk/store"
)

// strangerWarnings names the stores of vbk that a claimed domain has checkpoints
// of and that the survey did not see. Where this store has no point of the
// domain they may be its own, hidden below what was mounted over it: a full would
// then begin a second history.
func strangerWarnings(w Want, c claim, have Inventory, folders []*store.Domain) []string {
	here := have.store(w.Policy.Store)
	if here.Error != "" { // the instance fails, and the id is unknown
		return nil
	}
	strangers := map[string]bool{}
	for _, cp := range c.domain.Checkpoints {
		if id, _, _, _, ok := store.ParseCheckpoint(cp.Name); ok && !have.sees(id) {
			strangers[id] = true
		}
	}
	begun := holdsPoint(folders)
	var all []string
	for _, id := range slices.Sorted(maps.Keys(strangers)) {
		if begun {
			all = append(all, fmt.Sprintf("%s has checkpoint(s) that belong to vbk store %s, not visible here: left alone", c.label(), id))
			continue
		}
		all = append(all, fmt.Sprintf("%s has checkpoint(s) of vbk store %s, which is not visible here: if %s was mounted over or replaced, do not apply",
			c.label(), id, here.Address))
	}
	return all
}

// sees says whether a store with this id was surveyed.
func (v Inventory) sees(id string) bool {
	return slices.ContainsFunc(v.Stores, func(s Store) bool { return s.ID == id })
}

// holdsPoint says whether one of the folders holds a point, or may hold one.
func holdsPoint(folders []*store.Domain) bool {
	return slices.ContainsFunc(folders, func(d *store.Domain) bool {
		return d.Error != "" || slices.ContainsFunc(d.Chains, func(c store.Chain) bool { return len(c.Manifest.Points) > 0 })
	})
}

// folderWarnings names the folders that cannot be read and that no instance
// fails for.
func folderWarnings(have Inventory, instances []Instance) []string {
	var all []string
	for _, s := range have.Stores {
		for _, d := range s.Domains {
			if d.Error == "" {
				continue
			}
			told := slices.ContainsFunc(instances, func(i Instance) bool {
				return i.Want.Policy.Store == s.Address && i.Folder == d.Folder
			})
			if !told {
				all = append(all, fmt.Sprintf("%s: folder %s cannot be read: %s", s.Address, d.Folder, d.Error))
			}
		}
	}
	return all
}
