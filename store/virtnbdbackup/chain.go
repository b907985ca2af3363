package virtnbdbackup

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"vbk/format"
)

// Chain is a run of points that build on one another and on nothing else.
type Chain struct {
	Points []ChainPoint // parents first
}

// ChainPoint is a sound point with its place in its chain and its files.
type ChainPoint struct {
	Point
	Sequence int      // in the chain, from 0
	On       int      // sequence of the point it builds on; -1: on none
	Leaf     bool     // nothing may be built on it
	Files    []File   // of the disks, in their order
	XML      string   // name of the checkpoint's XML below the folder; "" if there is none
	Others   []string // names of other files that were written with it: sums, the domain's XML, NVRAM
	Zeroless bool     // an increment of it may be of virtnbdbackup 2.21 or later, which leaves out what the guest zeroed
}

// File is the file of a disk at a point.
type File struct {
	Name      string
	Base, Raw bool
	Format    string // of the disk's image; "" in the oldest files
	FileSize  int64  // bytes
	Data      int64  // bytes of the guest in data frames
	Stored    int64  // bytes of their payload
	TailHash  uint64 // format.TailHash
}

// Chains parts the points into chains, and names what is part of none: points
// that are not sound, and points whose disks build on different points. It opens
// every file and reads its frames, not their payload. The error is the context's.
func (f *Folder) Chains(ctx context.Context) (chains []Chain, left []Problem, err error) {
	s := sorter{folder: f, at: map[string]spot{}, taken: map[string]bool{}}
	for _, p := range f.Points {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if why := s.put(p); why != "" {
			left = append(left, Problem{Files: p.fileNames(), Detail: why, Points: []string{p.Name}})
		}
	}
	return s.chains, left, nil
}

// spot is where a point stands.
type spot struct{ chain, sequence int }

// sorter puts points into chains.
type sorter struct {
	folder *Folder
	chains []Chain
	at     map[string]spot // of each point
	taken  map[string]bool // names of files
}

// put adds a point to the chain that it belongs to, or says why it belongs to
// none.
func (s *sorter) put(p Point) (why string) {
	on, why := s.on(p)
	if why != "" {
		return why
	}
	c := ChainPoint{Point: p, On: -1, Leaf: p.Kind == Difference}
	for _, d := range p.Disks {
		x, err := s.folder.inspect(d.newest)
		if err != nil {
			return fmt.Sprintf("%s: %v", d.newest.name, err)
		}
		c.Files = append(c.Files, x)
		c.Zeroless = c.Zeroless || s.folder.zeroless(d.newest)
	}
	at := spot{chain: len(s.chains)}
	if on != "" {
		parent := s.at[on]
		at = spot{parent.chain, len(s.chains[parent.chain].Points)}
		c.On = parent.sequence
	} else {
		s.chains = append(s.chains, Chain{})
	}
	c.Sequence = at.sequence
	c.XML, c.Others = s.folder.checkpointXML(p), s.others(p)
	s.chains[at.chain].Points = append(s.chains[at.chain].Points, c)
	s.at[p.Name] = at
	return ""
}

// on is the point that p builds on, "" if it stands alone.
func (s *sorter) on(p Point) (on, why string) {
	for _, d := range p.Disks {
		if d.Problem != nil {
			return "", d.Problem.String()
		}
		if d.newest.parent == nil {
			continue
		}
		parent := d.newest.header.Parent
		if on != "" && parent != on {
			return "", fmt.Sprintf("its disks build on different points, %s and %s", on, parent)
		}
		on = parent
	}
	at, ok := s.at[on]
	switch {
	case on != "" && !ok:
		return "", fmt.Sprintf("builds on %s, which is of no chain", on)
	case on != "" && !s.holds(at, p):
		return "", fmt.Sprintf("has a disk that %s has not", on)
	case p.Date.IsZero() && p.Created.IsZero():
		return "", "does not say when it was made"
	}
	return on, ""
}

// holds says whether the point at a place has all disks that p needs of it.
func (s *sorter) holds(at spot, p Point) bool {
	parent := s.chains[at.chain].Points[at.sequence]
	return !slices.ContainsFunc(p.Disks, func(d Disk) bool {
		return d.newest.parent != nil && !slices.ContainsFunc(parent.Disks, func(x Disk) bool { return x.newest == d.newest.parent })
	})
}

// inspect opens a file and reads all of its frames.
func (f *Folder) inspect(x *file) (File, error) {
	opened, stream, err := f.open(x.name)
	if opened != nil {
		defer opened.Close()
	}
	if err != nil {
		return File{}, err
	}
	about, err := opened.Stat()
	if err != nil {
		return File{}, err
	}
	tail, err := format.TailHash(opened.(io.ReaderAt), about.Size()) // open has made sure that it is one
	if err != nil {
		return File{}, err
	}
	info := File{Name: x.name, Base: !x.header.Incremental, Raw: x.raw, Format: x.header.Format,
		FileSize: about.Size(), Data: x.header.Data, TailHash: tail}
	for _, e := range stream.Entries() {
		info.Stored += int64(e.Stored)
	}
	return info, nil
}

// zeroless says whether an increment below x, or x, has a sum beside it, which
// virtnbdbackup writes since 1.9.40.
func (f *Folder) zeroless(x *file) bool {
	for ; x != nil; x = x.parent {
		if _, err := fs.Stat(f.fsys, x.name+".chksum"); err == nil && x.header.Incremental {
			return true
		}
	}
	return false
}

func (f *Folder) checkpointXML(p Point) string {
	name := "checkpoints/" + p.Name + ".xml"
	if info, err := fs.Stat(f.fsys, name); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return name
}

// others names what else in the folder was written with a point and with no
// earlier one: sums, the domain's XML, and all that ends in its checkpoint, such
// as the NVRAM.
func (s *sorter) others(p Point) (names []string) {
	ids := []string{}
	if id, ok := configID(p.Config); ok {
		ids = append(ids, id)
	}
	own := map[string]bool{}
	for _, d := range p.Disks {
		own[d.newest.name+".chksum"] = true
		switch x := d.newest; {
		case x.kind == Copy:
			ids = append(ids, "copy")
		case x.kind == Difference:
			ids = append(ids, x.id)
		case !x.offline():
			ids = append(ids, x.checkpoint())
		}
	}
	entries, err := fs.ReadDir(s.folder.fsys, ".")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		name := e.Name()
		belongs := own[name] || !strings.HasSuffix(name, ".data") && slices.ContainsFunc(ids, func(id string) bool {
			return strings.HasSuffix(name, "."+id) || strings.HasSuffix(name, "."+id+".qcow.json") || name == "vmconfig."+id+".xml"
		})
		if belongs && e.Type().IsRegular() && !s.taken[name] {
			s.taken[name] = true
			names = append(names, name)
		}
	}
	return names
}

func (p Point) fileNames() (names []string) {
	for _, d := range p.Disks {
		if d.newest != nil {
			names = append(names, d.newest.name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	return names
}

// ReadFile reads a small file of the folder, such as a point's Config.
func (f *Folder) ReadFile(name string) ([]byte, error) { return readSmall(f.fsys, name) }
