package virtnbdbackup

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gather makes points of files.
func (f *Folder) gather() {
	points := map[string][]*file{}
	var diffs, raw []*file
	for _, x := range f.files {
		switch name := x.checkpoint(); {
		case x.offline() && x.parent != nil:
			points["offline."+name] = append(points["offline."+name], x)
		case x.kind == Difference:
			diffs = append(diffs, x)
		case x.kind == Copy && x.raw && f.configs["copy"].drivers == nil:
			raw = append(raw, x)
		case x.kind == Copy:
			points["copy"] = append(points["copy"], x)
		case name != "":
			points[name] = append(points[name], x)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(points)) {
		f.Points = append(f.Points, f.point(name, points[name]))
	}
	for _, group := range runs(diffs) {
		f.Points = append(f.Points, f.point("diff."+group[0].id, group))
	}
	f.order()
	f.complete()
	f.addRaw(raw)
}

func (f *Folder) point(name string, files []*file) Point {
	p := Point{Name: name, Kind: files[0].kind}
	for _, x := range files {
		if d := x.header.Date; !d.IsZero() && (p.Date.IsZero() || d.Before(p.Date)) {
			p.Date = d
		}
		if on := x.header.Parent; on != "" && on != name {
			p.Parent = cmp.Or(p.Parent, on)
			p.parents = append(p.parents, on)
		}
		if !p.has(x.target) { // two would have the same problem
			p.Disks = append(p.Disks, f.disk(x))
		}
	}
	slices.SortFunc(p.Disks, func(a, b Disk) int { return cmp.Compare(a.Target, b.Target) })
	switch x := files[0]; {
	case p.Kind == Copy:
		p.Parent = ""
	case p.Kind == Difference:
	case x.offline():
		p.Kind = Difference
	default:
		p.Created = created(f.fsys, name)
		p.Kind = Full
		if p.Parent != "" || x.header.Checkpoint == "" {
			p.Kind = Increment
		}
	}
	if id := f.configOf(name, files[0]); id != "" {
		p.Config = "vmconfig." + id + ".xml"
	}
	return p
}

func (f *Folder) disk(x *file) Disk {
	return Disk{Target: x.target, Size: x.header.Size, Problem: x.problem, Image: f.options(x), newest: x}
}

// sameRun bounds how far apart the names of the files of one run are, in seconds:
// each has the second in which it was begun.
const sameRun = 60

// runs groups the files of differences by the run that made them: each disk
// once, begun at about the same time.
func runs(diffs []*file) [][]*file {
	slices.SortFunc(diffs, func(a, b *file) int {
		return cmp.Or(cmp.Compare(seconds(a.id), seconds(b.id)), cmp.Compare(a.name, b.name))
	})
	var groups [][]*file
	for _, x := range diffs {
		if n := len(groups); n > 0 && continues(groups[n-1], x) {
			groups[n-1] = append(groups[n-1], x)
		} else {
			groups = append(groups, []*file{x})
		}
	}
	return groups
}

func continues(group []*file, x *file) bool {
	return seconds(x.id)-seconds(group[len(group)-1].id) <= sameRun &&
		!slices.ContainsFunc(group, func(y *file) bool { return y.target == x.target })
}

func seconds(id string) int64 {
	n, _ := strconv.ParseInt(id, 10, 63) // what is too large is the largest
	return n
}

// configOf is the ID of the configuration of a point, "" if there is none. That
// of a difference has a second of its own.
func (f *Folder) configOf(point string, x *file) string {
	if x.kind != Difference {
		id := strings.TrimPrefix(point, "offline.")
		if _, ok := f.configs[id]; ok {
			return id
		}
		return ""
	}
	best, distance := "", int64(sameRun+1)
	for _, id := range slices.Sorted(maps.Keys(f.configs)) {
		if strings.Trim(id, "0123456789") != "" || id == "" {
			continue
		}
		if d := max(seconds(id)-seconds(x.id), seconds(x.id)-seconds(id)); d < distance {
			best, distance = id, d
		}
	}
	return best
}

// order sorts the points: parents first, then by date.
func (f *Folder) order() {
	type key struct {
		date  time.Time
		depth int
	}
	keys := map[string]key{}
	index := map[string]Point{}
	for _, p := range f.Points {
		index[p.Name] = p
	}
	var find func(p Point) key
	find = func(p Point) key {
		if k, ok := keys[p.Name]; ok {
			return k
		}
		k := key{date: p.Date}
		keys[p.Name] = k // for those that build on each other
		for _, name := range p.parents {
			if parent, ok := index[name]; ok {
				above := find(parent)
				k.depth = max(k.depth, above.depth+1)
				if above.date.After(k.date) {
					k.date = above.date
				}
			}
		}
		keys[p.Name] = k
		return k
	}
	for _, p := range f.Points {
		find(p)
	}
	slices.SortStableFunc(f.Points, func(a, b Point) int {
		x, y := keys[a.Name], keys[b.Name]
		return cmp.Or(x.date.Compare(y.date), cmp.Compare(x.depth, y.depth), cmp.Compare(a.Name, b.Name))
	})
}

// complete adds to each point the disks that it should have: those of which
// there are files, and which its configuration lists or, if it has none, its
// parent has.
func (f *Folder) complete() {
	known := map[string]*file{}
	for _, x := range f.files {
		if x.chained() && (known[x.target] == nil || x.kind == Full) {
			known[x.target] = x
		}
	}
	index := map[string]int{}
	for i, p := range f.Points {
		index[p.Name] = i
	}
	for i := range f.Points {
		p := &f.Points[i]
		if p.Kind == Copy {
			continue
		}
		for _, target := range slices.Sorted(maps.Keys(known)) {
			if f.expects(*p, target, index) && !p.has(target) {
				p.Disks = append(p.Disks, Disk{Target: target, Problem: absent(*p, known[target])})
			}
		}
		slices.SortFunc(p.Disks, func(a, b Disk) int { return cmp.Compare(a.Target, b.Target) })
	}
}

func (p Point) has(target string) bool {
	return slices.ContainsFunc(p.Disks, func(d Disk) bool { return d.Target == target })
}

func (f *Folder) expects(p Point, target string, index map[string]int) bool {
	if id, ok := configID(p.Config); ok {
		_, ok = f.configs[id].drivers[target]
		return ok
	}
	i, ok := index[p.Parent]
	return ok && f.Points[i].has(target)
}

// absent is the problem of a point without a file of a disk, of which there is
// another file x, the full if there is one.
func absent(p Point, x *file) *Problem {
	name := x.target + ".inc." + p.Name + ".data"
	switch {
	case p.Kind == Difference && strings.HasPrefix(p.Name, "offline."):
		name = x.target + ".inc." + p.Parent + ".data"
	case p.Kind == Difference:
		name = x.target + "." + p.Name + ".data"
	case p.Kind == Full && x.kind == Full && x.problem != nil && x.checkpoint() == "":
		return x.problem
	case p.Kind == Full:
		name = x.target + ".full.data"
	}
	return &Problem{Files: []string{name}, Detail: "is missing"}
}

// addRaw puts raw images of raw disks where they were made: with the first full,
// or, if there is none, with the copies.
func (f *Folder) addRaw(files []*file) {
	if len(files) == 0 {
		return
	}
	i := slices.IndexFunc(f.Points, func(p Point) bool { return p.Kind == Full })
	if i < 0 {
		i = slices.IndexFunc(f.Points, func(p Point) bool { return p.Kind == Copy })
	}
	if i < 0 {
		f.Points = append([]Point{f.point("copy", files)}, f.Points...)
		return
	}
	p := &f.Points[i]
	for _, x := range files {
		p.Disks = append(p.Disks, f.disk(x))
	}
	slices.SortFunc(p.Disks, func(a, b Disk) int { return cmp.Compare(a.Target, b.Target) })
}
