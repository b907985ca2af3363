package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vbk/format"
	"vbk/store"
)

var (
	// ErrNoManifest is what OpenPath says of a directory that is no part of a
	// store.
	ErrNoManifest = errors.New("no mark (vbk.json) and no manifest (chain.NNNNNN.json) of vbk")
	// ErrBadManifests is what OpenPath says of a folder without a manifest that
	// can be read.
	ErrBadManifests = errors.New("no manifest can be read")
)

// OpenPath opens a directory to read what lies there, wherever it was copied
// to: a store, the folder of a domain, or that of a chain. A folder is seen as a
// store that holds nothing else, with the id that its newest manifest names.
//
// Nothing can be written to what it opens. A check does not look at modes, which
// are those of whoever made the copy. Where the file system has no locks, a
// Reader goes on without, see Reader.Unlocked.
func OpenPath(dir string) (*Store, error) {
	at, err := absolute(dir)
	if err != nil {
		return nil, err
	}
	fsys, err := openOS(at)
	if err != nil {
		return nil, err
	}
	s, err := OpenPathOn(fsys, at)
	if err != nil {
		return nil, errors.Join(err, fsys.root.Close())
	}
	return s, nil
}

// OpenPathOn is OpenPath on any file system; at is its absolute path.
func OpenPathOn(fsys FS, at string) (*Store, error) {
	s, err := OpenOn(fsys, at)
	if errors.Is(err, store.ErrNotMarked) {
		s, err = openAlone(fsys, at)
	}
	if err != nil {
		return nil, err
	}
	s.fsys, s.byPath = readOnly{s.fsys}, true
	return s, nil
}

// openAlone opens the folder of a domain or a chain without its store.
func openAlone(fsys FS, at string) (*Store, error) {
	m, isChain, err := aloneManifest(fsys)
	if err != nil {
		return nil, fmt.Errorf("open folder %s: %w", at, err)
	}
	prefix := filepath.Base(at)
	if isChain {
		prefix = filepath.Base(filepath.Dir(at))
	}
	if !store.IsFolderName(prefix) { // it was renamed
		prefix = store.FolderName(m.Domain, m.UUID)
	}
	if isChain {
		prefix = path.Join(prefix, m.Chain)
	}
	return &Store{fsys: alone{fsys, prefix}, path: at, mark: store.Mark{FormatVersion: store.FormatVersion, ID: m.StoreID}}, nil
}

// aloneManifest finds a manifest in a folder that is a chain's, or of the newest
// of its chains that has one.
func aloneManifest(fsys FS) (m store.Manifest, isChain bool, err error) {
	if m, err = newestManifest(fsys, "."); !errors.Is(err, ErrNoManifest) {
		return m, true, err
	}
	entries, err := fsys.List(".")
	if err != nil {
		return m, false, err
	}
	none := ErrNoManifest
	for _, e := range slices.Backward(entries) { // names of chains begin with their time
		if !e.Mode.IsDir() || !store.IsChainName(e.Name) {
			continue
		}
		m, err := newestManifest(fsys, e.Name)
		if err == nil {
			return m, false, nil
		}
		if errors.Is(none, ErrNoManifest) {
			none = err
		}
	}
	return m, false, none
}

// newestManifest is the newest manifest in a folder that can be read.
func newestManifest(fsys FS, dir string) (store.Manifest, error) {
	entries, err := fsys.List(dir)
	if err != nil {
		return store.Manifest{}, err
	}
	bad := ErrNoManifest
	for _, e := range slices.Backward(entries) {
		number, ok := store.ParseManifestName(e.Name)
		if !ok {
			continue
		}
		m, err := readManifest(fsys, dir, number)
		if err == nil {
			return m, nil
		}
		if errors.Is(bad, ErrNoManifest) {
			bad = fmt.Errorf("%w: %s: %w", ErrBadManifests, path.Join(dir, e.Name), err)
		}
	}
	return store.Manifest{}, bad
}

// alone shows a folder as if it lay in a store: at prefix, with nothing beside.
type alone struct {
	FS
	prefix string
}

// inside is the name below the folder.
func (a alone) inside(op, name string) (string, error) {
	if name == a.prefix {
		return ".", nil
	}
	if rest, ok := strings.CutPrefix(name, a.prefix+"/"); ok {
		return rest, nil
	}
	return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// above is the one name in a folder that the prefix leads through.
func (a alone) above(name string) (Entry, bool) {
	rest := a.prefix
	if name != "." {
		var ok bool
		if rest, ok = strings.CutPrefix(a.prefix, name+"/"); !ok {
			return Entry{}, false
		}
	}
	child, _, _ := strings.Cut(rest, "/")
	return Entry{Name: child, Mode: fs.ModeDir | 0o700}, true
}

func (a alone) Open(name string) (Handle, error) {
	rest, err := a.inside("open", name)
	if err != nil {
		return nil, err
	}
	return a.FS.Open(rest)
}

func (a alone) List(name string) ([]Entry, error) {
	if e, ok := a.above(name); ok {
		return []Entry{e}, nil
	}
	rest, err := a.inside("list", name)
	if err != nil {
		return nil, err
	}
	return a.FS.List(rest)
}

func (a alone) Stat(name string) (Entry, error) {
	if _, ok := a.above(name); ok {
		return Entry{Name: path.Base(name), Mode: fs.ModeDir | 0o700}, nil
	}
	rest, err := a.inside("stat", name)
	if err != nil {
		return Entry{}, err
	}
	e, err := a.FS.Stat(rest)
	e.Name = path.Base(name)
	return e, err
}

// readOnly is a file system to which nothing is written.
type readOnly struct{ FS }

func (readOnly) Create(name string) (Handle, error)   { return nil, refuse("create", name) }
func (readOnly) Append(name string) (Handle, error)   { return nil, refuse("append", name) }
func (readOnly) Mkdir(name string) error              { return refuse("mkdir", name) }
func (readOnly) Link(_, name string) error            { return refuse("link", name) }
func (readOnly) LinkFrom(_ FS, _, name string) error  { return refuse("link", name) }
func (readOnly) Touch(name string, _ time.Time) error { return refuse("touch", name) }
func (readOnly) Remove(name string) error             { return refuse("remove", name) }
func (readOnly) Clones(string) bool                   { return false }
func (readOnly) Writable() error                      { return refuse("write", ".") }

func (readOnly) Punch(name string, _ []format.Range) error { return refuse("punch", name) }

func refuse(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: errors.New("opened for reading only")}
}
