package main

import (
	"time"

	"vbk/config"
	"vbk/store"
)

// listVersion of what list -json prints; docs/schema/list.json describes it.
const listVersion = "1.0"

// listDocument are points for programs: of the stores of a configuration, or of
// what lies at a path.
type listDocument struct {
	FormatVersion string         `json:"format_version"`
	Points        []listedPoint  `json:"points"`
	Problems      []listedDamage `json:"problems"`
}

// listedPoint is one point. The amounts are bytes. What a folder of another
// program does not tell is left out.
type listedPoint struct {
	Address    string            `json:"address"`        // as vbk restore takes it; with -i what -until takes
	Path       string            `json:"path,omitempty"` // with -i
	Domain     string            `json:"domain"`
	UUID       string            `json:"uuid"`
	Store      string            `json:"store,omitempty"`
	Folder     string            `json:"folder,omitempty"`
	Chain      string            `json:"chain,omitempty"`
	Sequence   *int              `json:"sequence,omitempty"`
	Parent     *int              `json:"parent,omitempty"` // sequence; -1 of one that stands alone
	Kind       string            `json:"kind"`
	Start      *time.Time        `json:"start,omitempty"`
	End        *time.Time        `json:"end,omitempty"`
	Checkpoint string            `json:"checkpoint,omitempty"`
	Disks      []listedDisk      `json:"disks"`
	Size       int64             `json:"size_bytes"` // virtual, of all disks
	Stored     int64             `json:"stored_bytes,omitempty"`
	Verified   *time.Time        `json:"verified,omitempty"` // when every byte of its own files was read
	Merged     int               `json:"merged,omitempty"`   // older points that it has taken in
	Reason     string            `json:"reason,omitempty"`
	Notes      []string          `json:"notes,omitempty"` // what could not be stored beside the disks, each a sentence
	HeldBy     string            `json:"held_by,omitempty"`
	Protected  *store.Protection `json:"protected,omitempty"`
	Sound      bool              `json:"sound"` // as far as names and sizes tell
}

type listedDisk struct {
	Target string `json:"target"`
	Size   int64  `json:"size_bytes,omitempty"` // virtual
	Sound  bool   `json:"sound"`
}

// listedDamage is something that is wrong beside the points.
type listedDamage struct {
	Object string `json:"object"`
	Detail string `json:"detail"`
}

// listOf are the points of the stores of a configuration.
func listOf(cfg *config.Config, all []located, problems []error, now time.Time) listDocument {
	d := listDocument{FormatVersion: listVersion, Points: []listedPoint{}, Problems: []listedDamage{}}
	for _, l := range all {
		held := heldBy(cfg, l, now)
		for _, c := range l.folder.Chains {
			for _, p := range c.Manifest.Points {
				entry := pointOf(found{l, c, p})
				entry.HeldBy = held(c.Name, p.Sequence)
				d.Points = append(d.Points, entry)
			}
			for _, p := range c.Problems {
				d.Problems = append(d.Problems, listedDamage{l.folder.Folder + "/" + c.Name + "/" + p.File, p.Detail})
			}
		}
	}
	for _, err := range problems {
		d.Problems = append(d.Problems, listedDamage{"", err.Error()})
	}
	return d
}

func pointOf(f found) listedPoint {
	p, sound := f.point, f.chain.Sound(f.point.Sequence)
	entry := listedPoint{
		Address: f.String(), Domain: f.folder.Name, UUID: f.folder.UUID, Store: f.store.Address(), Folder: f.folder.Folder,
		Chain: f.chain.Name, Sequence: &p.Sequence, Parent: &p.Parent, Kind: string(p.Kind),
		Start: optional(p.Start), End: optional(p.End), Checkpoint: p.Checkpoint, Disks: []listedDisk{},
		Stored: p.Stored(), Verified: optional(f.chain.ReadAt(p.Sequence)), Merged: p.Merged, Reason: p.Reason, Notes: p.Notes, Protected: p.Protected, Sound: sound,
	}
	for _, disk := range p.Disks {
		entry.Disks = append(entry.Disks, listedDisk{disk.Target, disk.Size, sound})
		entry.Size += disk.Size
	}
	return entry
}

// listOfShelves are the points at a path.
func listOfShelves(all []shelf) listDocument {
	d := listDocument{FormatVersion: listVersion, Points: []listedPoint{}, Problems: []listedDamage{}}
	for _, s := range all {
		if s.failed != nil {
			d.Problems = append(d.Problems, listedDamage{s.path, s.failed.Error()})
		}
		for _, p := range s.points {
			entry := listedPoint{Address: p.name, Path: s.path, Domain: s.domain, UUID: s.uuid, Kind: p.kind,
				Start: optional(p.start), Size: p.size, Disks: []listedDisk{}, Sound: len(p.broken) == 0}
			for _, target := range p.disks {
				entry.Disks = append(entry.Disks, listedDisk{Target: target, Sound: !p.damaged([]string{target})})
			}
			d.Points = append(d.Points, entry)
		}
		for _, err := range s.problems {
			d.Problems = append(d.Problems, listedDamage{s.path, err.Error()})
		}
	}
	return d
}
