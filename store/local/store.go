package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbk/store"
)

const markName = "vbk.json"

// Store is an opened store. It may be used by several goroutines.
type Store struct {
	fsys   FS
	path   string
	mark   store.Mark
	byPath bool // opened by OpenPath

	read func(bytes int64) // told what Check reads of files of disks; nil: nobody is
}

// Telling is the store, whose Check tells how many bytes of files of disks it has
// read, from several goroutines.
func (s *Store) Telling(read func(bytes int64)) *Store {
	telling := *s
	telling.read = read
	return &telling
}

// Init marks a directory as a store and opens it. The directory is made, mode
// 0700, if its parent exists; a directory that holds anything but a store is
// refused, and so is one whose file system lacks what points need (*UnfitError);
// a store is opened as it is.
func Init(dir string, now time.Time, random io.Reader) (*Store, error) {
	path, err := absolute(dir)
	if err != nil {
		return nil, fmt.Errorf("init store: %w", err)
	}
	if err := makeDirectory(path); err != nil {
		return nil, fmt.Errorf("init store: %w", err)
	}
	fsys, err := openOS(path)
	if err != nil {
		return nil, fmt.Errorf("init store: %w", err)
	}
	return InitOn(fsys, path, now, random)
}

// makeDirectory makes path and its name durable; an existing one is fine.
func makeDirectory(path string) error {
	if err := os.Mkdir(path, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	parent, err := openOS(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(parent, "."), parent.root.Close())
}

func absolute(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory is named")
	}
	return filepath.Abs(dir)
}

// InitOn is Init on an existing folder of any file system; path is for
// messages.
func InitOn(fsys FS, path string, now time.Time, random io.Reader) (*Store, error) {
	s, err := OpenOn(fsys, path)
	if !errors.Is(err, store.ErrNotMarked) {
		return s, err
	}
	entries, err := fsys.List(".")
	if err != nil {
		return nil, fmt.Errorf("init store %s: %w", path, err)
	}
	for _, e := range entries {
		if e.Name == markName { // another Init has been quicker
			return OpenOn(fsys, path)
		}
		unfinished := strings.HasPrefix(e.Name, markName+".") // an Init that was cut off
		if !unfinished && e.Name != "lost+found" {
			return nil, fmt.Errorf("init store %s: the directory is not empty, it holds %q", path, e.Name)
		}
	}
	if err := tryFS(fsys); err != nil {
		return nil, fmt.Errorf("init store %s: %w", path, err)
	}
	if err := writeMark(fsys, now, random); err != nil {
		return nil, fmt.Errorf("init store %s: %w", path, err)
	}
	return OpenOn(fsys, path)
}

func writeMark(fsys FS, now time.Time, random io.Reader) error {
	id, err := store.NewID(random)
	if err != nil {
		return err
	}
	data, err := store.Mark{FormatVersion: store.FormatVersion, ID: id, Created: now.UTC()}.Encode()
	if err != nil {
		return err
	}
	temporary := markName + "." + id
	if err := createFile(fsys, temporary, data); err != nil {
		return err
	}
	if err := fsys.Link(temporary, markName); err != nil && !errors.Is(err, fs.ErrExist) { // another Init was first
		_ = fsys.Remove(temporary) // the next one would not mind it
		return err
	}
	return errors.Join(syncFolder(fsys, "."), fsys.Remove(temporary))
}

// createFile writes a new file and makes its content durable, not its name.
func createFile(fsys FS, name string, data []byte) error {
	h, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err := h.Write(data); err != nil {
		return errors.Join(err, h.Close())
	}
	return errors.Join(h.Sync(), h.Close())
}

// Open opens a marked directory. Errors: store.ErrNotMarked, an unknown format
// version, a directory or mark that cannot be read.
func Open(dir string) (*Store, error) {
	path, err := absolute(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	fsys, err := openOS(path)
	if err != nil {
		return nil, err // it says that path cannot be opened
	}
	return OpenOn(fsys, path)
}

// OpenOn is Open on any file system; path is for messages.
func OpenOn(fsys FS, path string) (*Store, error) {
	data, err := readFile(fsys, markName, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open store %s: %w", path, store.ErrNotMarked)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	mark, err := store.DecodeMark(bytes.TrimSpace(data))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return &Store{fsys: fsys, path: path, mark: mark}, nil
}

// ID is the store's id, 8 hex digits.
func (s *Store) ID() string { return s.mark.ID }

// Mark is the content of vbk.json.
func (s *Store) Mark() store.Mark { return s.mark }

// Path is the absolute path of the directory.
func (s *Store) Path() string { return s.path }

// Free is the number of bytes that this user may still write.
func (s *Store) Free() (int64, error) {
	n, err := s.fsys.Free()
	if err != nil {
		return 0, fmt.Errorf("free space of store %s: %w", s.path, err)
	}
	return n, nil
}

// Size is the number of bytes of the file system that the store is on.
func (s *Store) Size() (int64, error) {
	n, err := s.fsys.Size()
	if err != nil {
		return 0, fmt.Errorf("size of store %s: %w", s.path, err)
	}
	return n, nil
}

// Writable says why nothing can be written to the store, nil if something
// can. It writes nothing.
func (s *Store) Writable() error {
	if err := s.fsys.Writable(); err != nil {
		return fmt.Errorf("write to store %s: %w", s.path, err)
	}
	return nil
}
