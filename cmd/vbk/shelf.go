package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/format"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/virtnbdbackup"
)

// shelf is the points of a domain in one folder, by whichever program they were
// written. It is what -i PATH finds, without a configuration.
type shelf struct {
	domain, uuid string
	path         string    // what -i takes
	points       []shelved // oldest first
	stored       int64     // bytes of the points' files, 0 if that is not known
	problems     []error
	failed       error // why the folder cannot be read at all; then there is nothing else

	// choose finds the points that -until may mean; the newest that restores is
	// meant, unless it names one: that is exact.
	choose func(until string) (some []shelved, exact bool, err error)
	// check reports everything that is wrong, and tells the bytes that it has read.
	check func(ctx context.Context, readData bool, read func(bytes int64), report func(finding)) error
}

// finding is something that is wrong, or that could not be found out.
type finding struct {
	text   string
	costs  bool // points
	unread bool // the file could not be read: nothing is known of it
}

// shelved is a point on a shelf.
type shelved struct {
	name   string // what -until takes
	parent string // name of the point that it builds on; "" if on none
	when   string
	start  time.Time // zero if only the clock on the host's wall is known
	kind   string
	disks  []string
	size   int64    // virtual, of all disks, bytes
	broken []string // disks that are known not to restore
	open   func() (opened, error)
}

// opened is a point that is open to be restored.
type opened struct {
	executor.RestorePoint
	io.Closer
	name, when string
	id         string    // what -until takes
	start      time.Time // zero if only the clock on the host's wall is known
	warning    string    // "" if there is none
	next       string    // what to do if it is damaged
	unsound    bool      // something beside it is known to be wrong
	exact      string    // names the point and no other, in the words of executor.Serving
	path       []string  // flags of a command that opens it without a configuration

	drilled func(context.Context, store.Drill) error // notes in the store how a drill went; nil with -i
}

// otherwise is what to do about a damaged point that -i found.
func otherwise(path string) string {
	return fmt.Sprintf("vbk list -i %s shows other points, for -until; -disk restores the disks that are whole", path)
}

// failed says what a failure to read the point means: it is the point's if a
// reader found something in it to be wrong, or something beside it is known to be.
func (o opened) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case isDamage(err), o.unsound && !format.IsUnread(err) && hintOf(err) == "": // one with a hint is of something else
		return failWith(exitUnsound, hint(err, "%s", o.next))
	}
	return failWith(exitFailed, err)
}

// isDamage says whether an error is damage of what is stored.
func isDamage(err error) bool {
	var unsound *virtnbdbackup.UnsoundError
	return executor.IsDamage(err) || errors.As(err, &unsound) && !unsound.Problem.Unread
}

// pathFlag is the flag -i.
func pathFlag() cli.Flag {
	return &cli.StringFlag{Name: "i", Usage: "take what lies at `PATH`; no configuration is read"}
}

const pathHelp = "-i PATH needs no configuration: PATH is a store, the folder of a domain or of a chain, in its store\nor copied out of it, or a folder of virtnbdbackup."

// fromPath is the value of -i; false if it is not given. Then there are no
// arguments: what they would be is in noun.
func fromPath(c *cli.Context, noun string) (path string, given bool, err error) {
	path = c.String("i")
	switch {
	case !c.IsSet("i"):
		return "", false, nil
	case c.NArg() > 0:
		return "", false, fmt.Errorf("vbk %s takes %s or -i PATH, not both: got %q and -i %s", c.Command.Name, noun, c.Args().First(), path)
	}
	return path, true, nil
}

// shelves opens what lies at a path.
func (env *environment) shelves(ctx context.Context, path string) ([]shelf, error) {
	at := env.path(path)
	if info, err := os.Stat(at); err != nil {
		return nil, fmt.Errorf("flag -i: %w", err)
	} else if !info.IsDir() {
		return nil, hint(fmt.Errorf("flag -i: %s is no directory", path), "vbk dump %s tells what is in a single file", path)
	}
	repo, err := local.OpenPath(at)
	switch {
	case errors.Is(err, local.ErrNoManifest):
	case errors.Is(err, local.ErrBadManifests):
		return nil, failWith(exitUnsound, fmt.Errorf("flag -i: %w", err))
	case err != nil:
		return nil, mended(fmt.Errorf("flag -i: %w", err), at)
	default:
		return vbkShelves(ctx, repo, path, env.now())
	}
	folder, err := virtnbdbackup.Open(os.DirFS(at))
	if errors.Is(err, virtnbdbackup.ErrNoFolder) {
		err := fmt.Errorf("flag -i: %s is neither a store (vbk.json), nor the folder of a domain (CHAIN/chain.NNNNNN.json) or of a chain (chain.NNNNNN.json), nor one of virtnbdbackup (*.data)", path)
		if below, _ := filepath.Glob(filepath.Join(at, "*", "vbk.json")); len(below) > 0 { // the pattern is well formed, or nothing is found
			return nil, hint(err, "a store lies in %s: -i %s", filepath.Dir(below[0]), filepath.Dir(below[0]))
		}
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("flag -i: %w", err)
	}
	return []shelf{virtnbdbackupShelf(folder, os.DirFS(at), path)}, nil
}

// shelf opens what lies at a path, which must be of one domain.
func (env *environment) shelf(ctx context.Context, path string) (shelf, error) {
	all, err := env.shelves(ctx, path)
	if err != nil {
		return shelf{}, err
	}
	all, unread := readable(all)
	all = slices.DeleteFunc(all, func(s shelf) bool { return len(s.points)+len(s.problems) == 0 })
	if len(all) == 0 && len(unread) > 0 {
		return shelf{}, failWith(exitFailed, errors.Join(unread...))
	}
	for _, err := range unread {
		env.complain(fmt.Errorf("warning: %w", err))
	}
	if len(all) == 0 {
		return shelf{}, fmt.Errorf("flag -i: %s has no points", path)
	}
	if len(all) > 1 {
		return shelf{}, hint(fmt.Errorf("flag -i: %s has %d domains, and one can be restored at a time", path, len(all)), "name the folder of one, such as -i %s", all[0].path)
	}
	return all[0], nil
}

// readable parts the shelves from why others cannot be read.
func readable(all []shelf) (some []shelf, unread []error) {
	for _, s := range all {
		if s.failed != nil {
			unread = append(unread, s.failed)
		} else {
			some = append(some, s)
		}
	}
	return some, unread
}

// open opens the point that -until means: the newest that restores, as far as its
// files can be opened, or the one that is named.
func (env *environment) open(ctx context.Context, s shelf, until string, disks []string) (opened, error) {
	next := fmt.Sprintf("vbk verify -read-data -i %s tells what is lost", s.path)
	points := fmt.Sprintf("vbk list -i %s shows the points", s.path)
	some, exact, err := s.choose(until)
	if err != nil {
		return opened{}, hint(fmt.Errorf("flag -until: %w", err), "%s", points)
	}
	if exact {
		o, err := some[0].open()
		o.id, o.path = some[0].name, env.again(s, some[0])
		return o, o.failed(err)
	}
	for i, p := range slices.Backward(some) {
		if p.damaged(disks) {
			continue
		}
		o, err := p.open()
		if err == nil {
			err = o.try(ctx, disks)
		}
		if err != nil && !isDamage(err) {
			return opened{}, failWith(exitFailed, err)
		}
		if err != nil {
			env.complain(fmt.Errorf("warning: %s: %w", p.name, err))
			continue
		}
		if newer := len(some) - 1 - i; newer > 0 {
			env.complain(hint(fmt.Errorf("warning: %s is older than what was asked for: %s, damaged", o.name, count(newer, "newer point")), "%s", next))
		}
		o.id, o.path = p.name, env.again(s, p)
		return o, nil
	}
	switch {
	case len(s.points) == 0 && len(s.problems) > 0:
		return opened{}, failWith(exitUnsound, hint(fmt.Errorf("no point in %s can be read: %w", s.path, s.problems[0]), "%s", hintOf(s.problems[0])))
	case len(some) == 0:
		return opened{}, hint(fmt.Errorf("no such point in %s", s.path), "%s", points)
	}
	return opened{}, failWith(exitUnsound, hint(fmt.Errorf("no point in %s restores", s.path), "%s", next))
}

// again are the flags that open a point of a shelf once more, from anywhere.
func (env *environment) again(s shelf, p shelved) []string {
	at := env.path(s.path)
	if whole, err := filepath.Abs(at); err == nil {
		at = whole
	}
	return []string{"-i", at, "-until", p.name}
}

// damaged says whether one of these disks, or of all if none is named, is known
// not to restore.
func (p shelved) damaged(disks []string) bool {
	return slices.ContainsFunc(p.broken, func(target string) bool { return len(disks) == 0 || slices.Contains(disks, target) })
}

// state is what is known of a point without reading its files.
func (p shelved) state() string {
	switch {
	case len(p.broken) == 0:
		return "sound"
	case len(p.broken) == len(p.disks):
		return "damaged"
	}
	return "damaged: " + strings.Join(p.broken, ",")
}

// try opens the disks, or all if none is named, and closes them. A point that was
// opened is closed if that fails.
func (o opened) try(ctx context.Context, disks []string) error {
	for _, target := range o.Targets() {
		if len(disks) > 0 && !slices.Contains(disks, target) {
			continue
		}
		image, err := o.OpenDisk(ctx, target)
		if err == nil {
			err = image.Close()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("disk %s: %w", target, err), o.Close())
		}
	}
	return nil
}
