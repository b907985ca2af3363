package local

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"vbk/store"
)

// UnfitError says what a file system lacks that points need.
type UnfitError struct {
	Lacks string // one of the constants
	Err   error
}

// What a file system may lack.
const (
	LacksWriting   = "writing"
	LacksSync      = "sync"       // of files or of folders
	LacksLocks     = "locks"      // flock(2)
	LacksLinks     = "hard links" // or it takes one for another
	LacksLongNames = "long names"
)

func (e *UnfitError) Error() string { return "try " + e.Lacks + ": " + e.Err.Error() }
func (e *UnfitError) Unwrap() error { return e.Err }

// tryNameLength is that of the names that must be possible: a folder's has 9 bytes
// more than the domain's.
const tryNameLength = 128

// Try does what points need of the file system, with files that it removes again.
// Errors: *UnfitError.
func (s *Store) Try() error {
	if err := tryFS(s.fsys); err != nil {
		return fmt.Errorf("store %s: %w", s.path, err)
	}
	return nil
}

// tryFS uses names that tell of an Init that was cut off.
func tryFS(fsys FS) (err error) {
	id, err := store.NewID(rand.Reader)
	if err != nil {
		return err
	}
	name := markName + "." + id + ".try"
	defer func() { err = errors.Join(err, removeTried(fsys, name)) }()
	h, err := fsys.Create(name)
	if err != nil {
		return &UnfitError{LacksWriting, err}
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if _, err := h.Write(make([]byte, 4096)); err != nil {
		return &UnfitError{LacksWriting, err}
	}
	if err := errors.Join(h.Sync(), syncFolder(fsys, ".")); err != nil {
		return &UnfitError{LacksSync, err}
	}
	if err := tryLock(fsys, h, name); err != nil {
		return &UnfitError{LacksLocks, err}
	}
	if err := tryLink(fsys, h, name); err != nil {
		return &UnfitError{LacksLinks, err}
	}
	long := longName(name)
	if err := fsys.Link(name, long); err != nil {
		return &UnfitError{LacksLongNames, fmt.Errorf("a name of %d bytes: %w", tryNameLength, err)}
	}
	return nil
}

func longName(name string) string { return name + strings.Repeat("x", tryNameLength-len(name)) }

var errTwoLocks = errors.New("two have the same lock: another vbk would not be kept out")

// tryLock wants a second handle to be kept out.
func tryLock(fsys FS, h Handle, name string) error {
	if err := h.Lock(true); err != nil {
		return err
	}
	second, err := fsys.Open(name)
	if err != nil {
		return err
	}
	err = second.Lock(true)
	switch {
	case err == nil:
		err = errTwoLocks
	case errors.Is(err, ErrBusy):
		err = nil
	}
	return errors.Join(err, second.Close())
}

var errOverwrites = errors.New("a link has taken the place of another: two runs could commit the same point")

// tryLink wants a second name for a file, and no name to be taken twice.
func tryLink(fsys FS, h Handle, name string) error {
	link := name + ".link"
	if err := fsys.Link(name, link); err != nil {
		return err
	}
	if !h.Is(link) {
		return errors.New("the link is another file")
	}
	switch err := fsys.Link(name, link); {
	case err == nil:
		return errOverwrites
	case errors.Is(err, fs.ErrExist):
		return nil
	default:
		return err
	}
}

// removeTried removes what there is of the names that tryFS uses.
func removeTried(fsys FS, name string) error {
	for _, n := range []string{longName(name), name + ".link", name} {
		if err := fsys.Remove(n); err != nil && !errors.Is(err, fs.ErrNotExist) && n == name {
			return err
		}
	}
	return nil
}
