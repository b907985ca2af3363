package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"vbk/executor"
	"vbk/store/virtnbdbackup"
)

// virtnbdbackupShelf shows a folder of virtnbdbackup.
func virtnbdbackupShelf(folder *virtnbdbackup.Folder, fsys fs.FS, path string) shelf {
	s := shelf{domain: folder.Domain, uuid: folder.UUID, path: path}
	for _, p := range folder.Points {
		s.points = append(s.points, foreignPoint{folder, fsys, p, map[string]bool{}}.shelved(path))
	}
	for _, p := range folder.Problems {
		s.problems = append(s.problems, errors.New(p.String()))
	}
	s.choose = func(until string) ([]shelved, bool, error) { return choosePrefix(s.points, until) }
	s.check = func(ctx context.Context, readData bool, _ func(bytes int64), report func(finding)) error {
		return folder.Check(ctx, readData, func(p virtnbdbackup.Problem) {
			text := p.String()
			if len(p.Points) > 0 && !p.Unread {
				text += " (these points do not restore, or not completely: " + strings.Join(p.Points, ", ") + ")"
			}
			report(finding{text, len(p.Points) > 0, p.Unread})
		})
	}
	return s
}

// foreignPoint is a point in a folder of virtnbdbackup.
type foreignPoint struct {
	folder *virtnbdbackup.Folder
	fsys   fs.FS
	virtnbdbackup.Point
	compared map[string]bool // disks whose files are what was written, by their sums
}

func (p foreignPoint) shelved(path string) shelved {
	s := shelved{name: p.Name, parent: p.Parent, when: p.when(), start: p.Created, kind: p.kind()}
	for _, d := range p.Disks {
		s.disks = append(s.disks, d.Target)
		s.size += d.Size
		if d.Problem != nil {
			s.broken = append(s.broken, d.Target)
		}
	}
	s.open = func() (opened, error) {
		exact := fmt.Sprintf("%s/%s/%s", p.folder.UUID, p.Name, p.when()) // names of checkpoints come again with each full
		return opened{RestorePoint: p, Closer: p, name: p.Name, when: p.when(), warning: p.unsummed(), next: otherwise(path), exact: exact}, nil
	}
	return s
}

// unsummed warns of files that have no sum beside them, as those of old versions
// and raw images.
func (p foreignPoint) unsummed() string {
	var missing []string
	for _, d := range p.Disks {
		for _, name := range d.Files() {
			if _, err := fs.Stat(p.fsys, name+".chksum"); err != nil {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "a wrong byte would not be noticed, as no .chksum lies beside " + strings.Join(missing, ", ")
}

func (p foreignPoint) when() string {
	switch {
	case !p.Created.IsZero():
		return shortTime(p.Created) + " UTC"
	case !p.Date.IsZero():
		return shortTime(p.Date) + " by its host's clock"
	}
	return "at an unknown time"
}

func (p foreignPoint) kind() string {
	switch p.Kind {
	case virtnbdbackup.Increment:
		return "incremental"
	case virtnbdbackup.Difference:
		return "difference"
	}
	return string(p.Kind)
}

// Targets lists the disks.
func (p foreignPoint) Targets() []string {
	var all []string
	for _, d := range p.Disks {
		all = append(all, d.Target)
	}
	return all
}

// OpenDisk opens a disk whose files are what was written, as far as there are
// sums beside them.
func (p foreignPoint) OpenDisk(ctx context.Context, target string) (*executor.DiskImage, error) {
	if !p.compared[target] {
		if err := p.folder.CheckSums(ctx, p.Name, target); err != nil {
			return nil, err
		}
		p.compared[target] = true
	}
	image, err := p.folder.OpenDisk(p.Name, target)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.Disks, func(d virtnbdbackup.Disk) bool { return d.Target == target }) // OpenDisk has found it
	return &executor.DiskImage{Image: image.Image, Closer: image, Options: executor.ImageOptions(p.Disks[at])}, nil
}

// XML reads the configuration of the domain that lies beside the files.
func (p foreignPoint) XML() ([]byte, error) {
	if p.Config == "" {
		return nil, nil
	}
	return fs.ReadFile(p.fsys, p.Config)
}

// Extra finds nothing: what virtnbdbackup saves besides has no fixed names.
func (foreignPoint) Extra(string) ([]byte, error) { return nil, nil }

// Close has nothing to do: each disk is closed for itself.
func (foreignPoint) Close() error { return nil }

// choosePrefix finds the point with a name, or the only one whose name begins so.
// A prefix does not end within a number: virtnbdbackup.1 is not virtnbdbackup.10.
func choosePrefix(all []shelved, until string) (some []shelved, exact bool, err error) {
	if until == "" || until == "latest" {
		return all, false, nil
	}
	var names []string
	for _, p := range all {
		rest, ok := strings.CutPrefix(p.name, until)
		if ok && rest == "" {
			return []shelved{p}, true, nil
		}
		if ok && !(endsInDigit(until) && startsWithDigit(rest)) {
			some, names = append(some, p), append(names, p.name)
		}
	}
	if len(some) == 1 {
		return some, true, nil
	}
	if len(some) > 1 {
		return nil, false, fmt.Errorf("%q may be %s", until, strings.Join(names, ", "))
	}
	return nil, false, fmt.Errorf("no point is named %s", until)
}

func endsInDigit(s string) bool     { return strings.TrimRight(s, "0123456789") != s }
func startsWithDigit(s string) bool { return strings.TrimLeft(s, "0123456789") != s }
