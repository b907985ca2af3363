package virtnbdbackup

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"vbk/format"
)

// file is a file of a disk.
type file struct {
	name   string
	target string
	kind   Kind   // by its name; an "inc" may hold a full
	id     string // checkpoint of an increment, seconds of a difference
	header format.StreamHeader
	raw    bool
	uuid   string // of the domain, by the configuration stored with it

	parent  *file // that it builds on, once resolved
	problem *Problem
	state   state
}

// state of a file while those that build on one another are linked.
type state int

const (
	unlinked state = iota
	linking
	linked
)

// checkpoint is the one that the file ends with, by its header or, if that
// cannot be read, by its name; "" if neither says.
func (x *file) checkpoint() string {
	if x.header.Checkpoint != "" {
		return x.header.Checkpoint
	}
	if x.kind == Increment {
		return x.id
	}
	return ""
}

// offline says whether the file was made while the domain was off. It has no
// checkpoint of its own, but goes by the name of the last one, on which it builds.
func (x *file) offline() bool { return x.header.Incremental && x.header.Parent == x.header.Checkpoint }

// chained says whether others may build on the file.
func (x *file) chained() bool { return (x.kind == Full || x.kind == Increment) && !x.offline() }

// layers names the files that make the disk, oldest first.
func (x *file) layers() []string {
	var names []string
	for ; x != nil; x = x.parent {
		names = append(names, x.name)
	}
	slices.Reverse(names)
	return names
}

var names = regexp.MustCompile(`^([^.]+)\.(?:(full)(?:\.(vbk-.+))?|(copy)|(inc)\.(.+)|(diff)\.([0-9]+))\.data$`)

// parseName splits T.full.data, T.copy.data, T.inc.CHECKPOINT.data, T.diff.SECONDS.data,
// and T.full.CHECKPOINT.data, which vbk writes.
func parseName(name string) (*file, bool) {
	m := names.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	return &file{name: name, target: m[1], kind: Kind(m[2] + m[4] + m[5] + m[7]), id: m[3] + m[6] + m[8]}, true
}

// readHeader reads what a file says of itself and compares it with its name.
func (f *Folder) readHeader(x *file) error {
	opened, r, size, err := openFile(f.fsys, x.name)
	if opened != nil {
		defer opened.Close()
	}
	if err != nil {
		return err
	}
	h, err := format.ReadStreamHeader(r, size)
	if errors.Is(err, format.ErrNoStream) && (x.kind == Full || x.kind == Copy) {
		return f.rawHeader(x, size)
	}
	if err != nil {
		return err
	}
	alone := x.kind == Full || x.kind == Copy
	switch {
	case h.Disk != x.target:
		return fmt.Errorf("is of disk %q, by its header", h.Disk)
	case alone && h.Incremental:
		return fmt.Errorf("holds an increment, by its header, on %s", h.Parent)
	case x.kind == Difference && !h.Incremental:
		return errors.New("holds a full, by its header")
	case (x.kind == Increment || x.kind == Full && x.id != "") && h.Checkpoint != x.id:
		return fmt.Errorf("is of checkpoint %q, by its header", h.Checkpoint)
	case reserved(h.Checkpoint):
		return fmt.Errorf("names checkpoint %q in its header, which is none", h.Checkpoint)
	}
	x.header, x.uuid = h, f.configs[f.configOf(h.Checkpoint, x)].uuid
	return nil
}

// reserved says whether a point that is no checkpoint's may have this name.
func reserved(name string) bool {
	return name == "" || name == "copy" || strings.HasPrefix(name, "diff.") || strings.HasPrefix(name, "offline.")
}

// firstCheckpoint is what virtnbdbackup calls the checkpoint of every full.
const firstCheckpoint = "virtnbdbackup.0"

// rawHeader makes up a header for a file that has none, if something else says
// that it is a raw image: the record of the disk's size beside it, or a
// configuration in which the disk is raw. A stream with a broken start must not
// be taken for the disk itself.
func (f *Folder) rawHeader(x *file, size int64) error {
	id, checkpoint := "copy", ""
	if x.kind == Full {
		id, checkpoint = firstCheckpoint, firstCheckpoint
	}
	about, ok := readImageInfo(f.fsys, x.target+"."+id+".qcow.json")
	known := ok && about.Size == size
	for _, c := range f.configs {
		known = known || c.drivers[x.target] == "raw"
	}
	if _, err := fs.Stat(f.fsys, x.name+".chksum"); err == nil || !known {
		return errors.New("is neither a stream nor known to be a raw image of the disk")
	}
	x.raw = true
	x.header = format.StreamHeader{Disk: x.target, Format: "raw", Checkpoint: checkpoint, Size: size, Data: size}
	return nil
}
