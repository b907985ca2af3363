package formattest

import (
	"fmt"
)

// Restore returns the disk that a stack of files shows: their names in a folder,
// oldest first.
func Restore(folder map[string][]byte, layers []string) ([]byte, error) {
	var disk []byte
	var below *header
	for _, name := range layers {
		f, err := open(folder[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := f.header.follows(below); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if f.header.Base {
			disk = nil
		}
		// What a smaller disk cuts stays cut, and what is new is zero.
		disk = disk[:min(int64(len(disk)), f.header.Size)]
		disk = append(disk, make([]byte, f.header.Size-int64(len(disk)))...)
		if err := f.paint(disk, folder); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		below = &f.header
	}
	return disk, nil
}

func (h header) follows(below *header) error {
	switch {
	case below == nil && !h.Base:
		return fmt.Errorf("the stack starts with no base")
	case below == nil:
	case !h.sameDisk(*below):
		return fmt.Errorf("it is another disk's than the file below")
	case h.Base && h.Covers[0] <= below.Covers[1], !h.Base && h.Covers[0] != below.Covers[1]+1:
		return fmt.Errorf("it covers %v, the file below %v", h.Covers, below.Covers)
	}
	return nil
}

func (h header) sameDisk(o header) bool {
	return h.StoreID == o.StoreID && h.Chain == o.Chain && h.UUID == o.UUID && h.Disk == o.Disk
}

// paint lays the entries over the disk, in the order of the index: by generation.
func (f *file) paint(disk []byte, folder map[string][]byte) error {
	holders := []*file{f}
	for _, l := range f.header.Files {
		other, err := outer(folder[l.Name])
		if err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		if !f.header.sameDisk(other.header) || f.header.HashKey != other.header.HashKey || int64(len(other.bytes)) != l.Size || other.footerHash != l.FooterHash {
			return fmt.Errorf("%s is another file", l.Name)
		}
		holders = append(holders, other)
	}
	for _, e := range f.entries {
		to := disk[e.offset:min(e.offset+e.length, int64(len(disk)))]
		if e.zero {
			clear(to)
			continue
		}
		data, err := e.decode(holders[e.slot])
		if err != nil {
			return err
		}
		copy(to, data)
	}
	return nil
}
