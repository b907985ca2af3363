package local

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"vbk/format"
)

// FS is the file system that a Store lives on. Names are relative to the
// store, slash-separated, "." is the store itself. No operation follows a
// symbolic link, in any part of a name. Errors satisfy errors.Is with
// fs.ErrNotExist and fs.ErrExist.
type FS interface {
	// Open opens a file or a folder for reading, locking and syncing.
	Open(name string) (Handle, error)
	// Create makes a file that must not exist, mode 0600.
	Create(name string) (Handle, error)
	// Append opens a file for reading and appending; it is made if absent.
	Append(name string) (Handle, error)
	// Mkdir makes a folder that must not exist, mode 0700.
	Mkdir(name string) error
	// List returns what a folder holds, sorted by name.
	List(name string) ([]Entry, error)
	Stat(name string) (Entry, error)
	// Link gives a file a second name, which must not exist.
	Link(old, new string) error
	// LinkFrom gives a file of another FS of the same kind a second name here. It
	// is no error if it has this name already; ErrOtherFileSystem if the two lie
	// on different ones.
	LinkFrom(from FS, old, new string) error
	// Touch sets the modification time of a file.
	Touch(name string, at time.Time) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// Clones says whether a new file beside this one can share ranges with it
	// (reflink). It leaves nothing.
	Clones(name string) bool
	// Punch makes ranges of a file NUL and frees their space; its size stays. What
	// is not synced may come back. A file with a second name, by which somebody
	// may keep it as it is, stays so. errors.ErrUnsupported: the file system cannot.
	Punch(name string, ranges []format.Range) error
	// Free is the number of bytes that may still be written.
	Free() (int64, error)
	// Size is the number of bytes of the whole file system.
	Size() (int64, error)
	// Writable says why nothing can be written; it writes nothing.
	Writable() error
}

// Handle is an open file or folder of an FS.
type Handle interface {
	io.ReaderAt
	io.Writer   // at the end
	io.WriterAt // of a file made by Create, from any number of goroutines; what is jumped over is a hole
	Size() (int64, error)
	Sync() error
	Truncate() error // to nothing
	// CloneFrom appends a range of another file of the FS without moving its bytes.
	CloneFrom(src Handle, offset, length int64) error
	// Lock takes flock(2) without waiting; ErrBusy if another handle has it.
	// A shared lock that is held already is exchanged, not atomically.
	Lock(exclusive bool) error
	// Is says whether name is still this very file.
	Is(name string) bool
	Close() error
}

// Entry is one name in a folder.
type Entry struct {
	Name string
	Mode fs.FileMode
	Size int64     // bytes; of files
	Time time.Time // of the last change; of files
}

// ErrBusy is what Handle.Lock returns when another handle holds the lock.
var ErrBusy = errors.New("lock is held")

// ErrOtherFileSystem is what FS.LinkFrom returns where files would have to be
// copied.
var ErrOtherFileSystem = errors.New("it lies on another file system")

// syncFolder makes the names in a folder durable.
func syncFolder(fsys FS, name string) error {
	h, err := fsys.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(h.Sync(), h.Close())
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys FS, name string, limit int64) ([]byte, error) {
	h, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := readHandle(h, limit)
	return data, errors.Join(err, h.Close())
}

func readHandle(h Handle, limit int64) ([]byte, error) {
	size, err := h.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, errors.New("file is too large")
	}
	data := make([]byte, size)
	if n, err := h.ReadAt(data, 0); int64(n) < size {
		return nil, err
	}
	return data, nil
}
