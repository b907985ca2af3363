package virtnbdbackup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"vbk/format"
)

// Folder is what Open found in one of virtnbdbackup's folders.
type Folder struct {
	Domain   string // name by the configuration of the newest point that has one
	UUID     string
	Points   []Point   // parents first, then by date
	Problems []Problem // whatever is wrong, each once

	fsys    fs.FS
	files   []*file // those of the domain's disks, by name
	configs map[string]config
}

// Kind of a point.
type Kind string

// A full and a copy stand alone; nothing builds on a copy or a difference. What
// was made with the domain off is a difference too.
const (
	Full       Kind = "full"
	Increment  Kind = "inc"
	Difference Kind = "diff"
	Copy       Kind = "copy"
)

// Point is the state of the disks at one instant.
type Point struct {
	Name    string // the checkpoint's; "copy"; "diff." and the seconds in the names of its files; "offline." and the checkpoint it builds on
	Kind    Kind
	Parent  string    // name of the point it builds on; "" if on none
	Date    time.Time // by the clock on the wall of the host, as if that were UTC; zero if not recorded
	Created time.Time // instant of the checkpoint, UTC; zero if not recorded
	Config  string    // name of the file with the domain's XML; "" if there is none
	Disks   []Disk    // by target

	parents []string // of all files
}

// Disk is a disk at a point.
type Disk struct {
	Target  string
	Size    int64    // virtual, bytes; 0 if it is not known
	Problem *Problem // why it does not restore; nil if it does, as far as names and headers tell
	Image   ImageOptions

	newest *file // nil if there is none
}

// Files names the files that make the disk, oldest first; none if there is a
// Problem.
func (d Disk) Files() []string {
	if d.Problem != nil {
		return nil
	}
	return d.newest.layers()
}

// Problem is something that is wrong with a folder.
type Problem struct {
	Files  []string
	Detail string
	Points []string // that do not restore, or not completely
	Unread bool     // the files could not be read: nothing is known of what they hold
}

func newProblem(err error, files ...string) Problem {
	return Problem{Files: files, Detail: err.Error(), Unread: format.IsUnread(err)}
}

// String names the files and what is wrong with them.
func (p Problem) String() string { return strings.Join(p.Files, ", ") + ": " + p.Detail }

// Sound says whether all disks of the point restore, as far as names and headers
// tell.
func (p Point) Sound() bool {
	return !slices.ContainsFunc(p.Disks, func(d Disk) bool { return d.Problem != nil })
}

// ErrNoFolder is what Open says of a folder without a file of virtnbdbackup.
var ErrNoFolder = errors.New("no *.data file of virtnbdbackup")

// Open reads the names in a folder and the headers of its files. What is wrong
// with them is in Problems; an error is a folder that cannot be read, or is none
// of virtnbdbackup's. The files of fsys must be io.ReaderAts, as those of
// os.DirFS are.
func Open(fsys fs.FS) (*Folder, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f := &Folder{fsys: fsys, configs: map[string]config{}}
	entries = slices.DeleteFunc(entries, f.isStrange)
	for _, e := range entries {
		if id, ok := configID(e.Name()); ok {
			if f.configs[id], err = readConfig(fsys, e.Name()); err != nil {
				f.Problems = append(f.Problems, newProblem(fmt.Errorf("is no domain's XML: %w", err), e.Name()))
				delete(f.configs, id)
			}
		}
	}
	for _, e := range entries {
		f.take(e.Name())
	}
	if len(f.files) == 0 && len(f.Problems) == 0 {
		return nil, fmt.Errorf("open folder: %w", ErrNoFolder)
	}
	newLinker(f.files).resolve()
	f.gather()
	f.name()
	f.conclude()
	return f, nil
}

// isStrange finds names that do not print: nobody's, and no good in a message.
func (f *Folder) isStrange(e fs.DirEntry) bool {
	strange := strings.ContainsFunc(e.Name(), func(r rune) bool { return !strconv.IsPrint(r) })
	if strange && strings.HasSuffix(e.Name(), ".data") {
		f.problem("is not named as virtnbdbackup names its files", strconv.Quote(e.Name()))
	}
	return strange
}

// take adds a file, if it is one of the domain's disks.
func (f *Folder) take(name string) {
	if strings.HasSuffix(name, ".data.partial") {
		f.problem("is left by a run that failed", name)
	}
	if !strings.HasSuffix(name, ".data") {
		return
	}
	x, ok := parseName(name)
	if !ok {
		f.problem("is not named as virtnbdbackup names its files", name)
		return
	}
	if len(f.configs) > 0 && !f.configured(x.target) {
		f.problem("the domain has no disk "+x.target, name)
		return
	}
	if err := f.readHeader(x); err != nil {
		p := newProblem(err, name)
		x.problem = &p
	}
	f.files = append(f.files, x)
}

func (f *Folder) problem(detail string, files ...string) {
	f.Problems = append(f.Problems, Problem{Files: files, Detail: detail})
}

func (f *Folder) configured(target string) bool {
	for _, c := range f.configs {
		if _, ok := c.drivers[target]; ok {
			return true
		}
	}
	return false
}

// name takes the domain's name from the newest point that has a configuration.
func (f *Folder) name() {
	for _, p := range slices.Backward(f.Points) {
		if id, ok := configID(p.Config); ok {
			f.Domain, f.UUID = f.configs[id].name, f.configs[id].uuid
			return
		}
	}
}

// conclude lists the problems of the disks, each with the points it costs.
func (f *Folder) conclude() {
	at := map[string]int{}
	add := func(p *Problem, points ...string) {
		if p == nil {
			return
		}
		key := strings.Join(p.Files, "/")
		i, ok := at[key]
		if !ok {
			i = len(f.Problems)
			at[key] = i
			f.Problems = append(f.Problems, Problem{Files: p.Files, Detail: p.Detail, Unread: p.Unread})
		}
		for _, name := range points {
			if !slices.Contains(f.Problems[i].Points, name) {
				f.Problems[i].Points = append(f.Problems[i].Points, name)
			}
		}
	}
	for _, x := range f.files { // also of those that are part of no point
		add(x.problem)
	}
	for _, p := range f.Points {
		for _, d := range p.Disks {
			add(d.Problem, p.Name)
		}
	}
	slices.SortStableFunc(f.Problems, func(a, b Problem) int { return cmp.Compare(a.Files[0], b.Files[0]) })
}

// Point returns the point with this name.
func (f *Folder) Point(name string) (Point, bool) {
	for _, p := range f.Points {
		if p.Name == name {
			return p, true
		}
	}
	return Point{}, false
}

// Image is a disk at a point. Close releases its files.
type Image struct {
	*format.Image
	files []fs.File
	names []string // of the files
}

// Close closes the files.
func (i *Image) Close() error {
	var all []error
	for _, f := range i.files {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}

// UnsoundError is a disk of a point that does not restore.
type UnsoundError struct {
	Point, Disk string
	Problem     Problem
	Sound       []string // the points at which the disk does restore, as far as names and headers tell
}

func (e *UnsoundError) Error() string {
	sound := "no point of it restores"
	if len(e.Sound) > 0 {
		sound = "these points of it restore: " + strings.Join(e.Sound, ", ")
	}
	return fmt.Sprintf("%s at %s does not restore: %v; %s", e.Disk, e.Point, e.Problem, sound)
}

// OpenDisk opens a disk at a point. A disk with a Problem, and one in whose files
// something is wrong that only now shows, is an UnsoundError.
func (f *Folder) OpenDisk(point, target string) (_ *Image, err error) {
	p, ok := f.Point(point)
	if !ok {
		return nil, fmt.Errorf("the folder has no point %s", point)
	}
	at := slices.IndexFunc(p.Disks, func(d Disk) bool { return d.Target == target })
	if at < 0 {
		return nil, fmt.Errorf("%s has no disk %s", point, target)
	}
	d := p.Disks[at]
	if d.Problem != nil {
		return nil, &UnsoundError{point, target, *d.Problem, f.without(target, d.Problem.Files)}
	}
	image := &Image{}
	defer func() {
		if err != nil {
			_ = image.Close()
		}
	}()
	var layers []format.Layer
	files := d.Files()
	for _, name := range files {
		file, s, err := f.open(name)
		if file != nil {
			image.files, image.names = append(image.files, file), append(image.names, name)
		}
		if err != nil {
			return nil, &UnsoundError{point, target, newProblem(err, name), f.without(target, []string{name})}
		}
		layers = append(layers, s)
	}
	if image.Image, err = format.NewImage(layers...); err != nil {
		return nil, &UnsoundError{point, target, newProblem(err, files...), f.without(target, files)}
	}
	return image, nil
}

// without names the points at which a disk is sound and needs none of the files.
func (f *Folder) without(target string, files []string) []string {
	var names []string
	for _, p := range f.Points {
		for _, d := range p.Disks {
			if d.Target == target && d.Problem == nil && !slices.ContainsFunc(d.Files(), func(s string) bool { return slices.Contains(files, s) }) {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// open opens a file of a disk as the stream it is. The file is open if it is not
// nil, also on an error.
func (f *Folder) open(name string) (fs.File, *format.Stream, error) {
	x := f.files[slices.IndexFunc(f.files, func(x *file) bool { return x.name == name })]
	opened, r, size, err := openFile(f.fsys, name)
	if err != nil {
		return opened, nil, err
	}
	var s *format.Stream
	if x.raw {
		s, err = format.NewRaw(r, size, x.header)
	} else {
		s, err = format.OpenStream(r, size)
	}
	if err == nil && s.Header() != x.header {
		err = errors.New("has changed since the folder was opened")
	}
	return opened, s, err
}

// openFile opens a regular file for reading anywhere. It is open if it is not
// nil, also on an error.
func openFile(fsys fs.FS, name string) (fs.File, io.ReaderAt, int64, error) {
	info, err := fs.Stat(fsys, name) // first: to open a pipe would wait for its other end
	if err != nil {
		return nil, nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, 0, errors.New("is no regular file")
	}
	opened, err := fsys.Open(name)
	if err != nil {
		return nil, nil, 0, err
	}
	r, ok := opened.(io.ReaderAt)
	if !ok {
		return opened, nil, 0, errors.New("cannot be read at an offset")
	}
	return opened, r, info.Size(), nil
}
