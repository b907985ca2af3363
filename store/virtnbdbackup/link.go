package virtnbdbackup

import (
	"slices"
	"strings"
)

// place is where a file stands: what it ends with, or what it builds on.
type place struct{ target, checkpoint string }

// linker finds for each file the one that it builds on.
type linker struct {
	files    []*file
	at       map[place][]*file // by the checkpoint they end with
	children map[place][]*file // by the checkpoint they build on, differences excepted
	offline  map[place]*file   // those that go by the name of the checkpoint they build on
	broken   map[string]*file  // by disk: a full of which nobody knows the checkpoint
}

func newLinker(files []*file) *linker {
	l := &linker{files: files, at: map[place][]*file{}, children: map[place][]*file{},
		offline: map[place]*file{}, broken: map[string]*file{}}
	for _, x := range files {
		switch name := x.checkpoint(); {
		case x.offline():
			l.offline[place{x.target, name}] = x
		case !x.chained():
		case name != "":
			l.at[place{x.target, name}] = append(l.at[place{x.target, name}], x)
		case x.problem != nil:
			l.broken[x.target] = x
		}
		if x.chained() && x.header.Incremental {
			on := place{x.target, x.header.Parent}
			l.children[on] = append(l.children[on], x)
		}
	}
	return l
}

func (l *linker) resolve() {
	for _, x := range l.files {
		l.link(x)
	}
}

// link finds the file that x builds on, and what is wrong with either. A parent
// is linked first.
func (l *linker) link(x *file) {
	if x.state == linked {
		return
	}
	x.state = linking
	defer func() { x.state = linked }()
	same := l.at[place{x.target, x.checkpoint()}]
	h := x.header
	on := place{x.target, h.Parent}
	siblings := l.children[on]
	switch {
	case x.problem != nil:
	case x.chained() && len(same) > 1:
		blame(same, "end with the same checkpoint "+x.checkpoint())
	case !h.Incremental:
	case len(l.at[on]) == 0:
		l.missing(x)
	case x.chained() && len(siblings) > 1:
		blame(siblings, "build on the same checkpoint "+h.Parent)
	default:
		x.parent = l.at[on][0]
		l.inherit(x)
	}
}

// inherit links the parent of x first, and takes over its problem.
func (l *linker) inherit(x *file) {
	if x.parent.state == linking {
		ring := []*file{x}
		for y := x.parent; y != x; y = y.parent {
			ring = append(ring, y)
		}
		blame(ring, "build on each other")
		return
	}
	l.link(x.parent)
	if x.problem == nil {
		x.problem = x.parent.problem
	}
	if x.problem == nil && x.uuid != "" && x.parent.uuid != "" && x.uuid != x.parent.uuid {
		blame([]*file{x}, "is of domain "+x.uuid+", but "+x.parent.name+", on which it builds, of "+x.parent.uuid)
	}
}

// missing blames what x builds on for not being there.
func (l *linker) missing(x *file) {
	if over := l.offline[place{x.target, x.header.Parent}]; over != nil {
		if over.problem == nil {
			blame([]*file{over}, "was made with the domain off, and has overwritten the file that led to "+x.header.Parent)
		}
		x.problem = over.problem
		return
	}
	if b := l.broken[x.target]; b != nil {
		x.problem = b.problem
		return
	}
	name := x.target + ".inc." + x.header.Parent + ".data"
	if !slices.ContainsFunc(l.files, func(y *file) bool { return y.target == x.target && y.kind == Full }) {
		name = x.target + ".full.data"
	}
	x.problem = &Problem{Files: []string{name}, Detail: "is missing, and " + x.name + " builds on it"}
}

// blame gives several files the same problem.
func blame(files []*file, detail string) {
	p := &Problem{Detail: detail}
	for _, x := range files {
		p.Files = append(p.Files, x.name)
		if x.problem == nil {
			x.problem = p
		}
	}
	slices.SortFunc(p.Files, strings.Compare)
}
