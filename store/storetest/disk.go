package storetest

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
	"sync"

	"vbk/store/local"
)

// Disk is an FS in memory. What is written is visible at once and durable
// after a sync: of a file for its bytes, of a folder for the names in it.
type Disk struct {
	mu   sync.Mutex
	root *node
}

// node is a file or a folder, as it looks now and as it is on the platter.
type node struct {
	folder       bool
	names, saved map[string]*node // of a folder
	data, synced []byte           // of a file
	holders      map[*handle]bool // flock: true for an exclusive one
}

func newNode(folder bool) *node {
	return &node{folder: folder, names: map[string]*node{}, saved: map[string]*node{}, holders: map[*handle]bool{}}
}

// NewDisk returns an empty disk.
func NewDisk() *Disk { return &Disk{root: newNode(true)} }

// Fate decides what a power failure leaves of a change that was not synced:
// it returns a number from 0, all is lost, to n, all is there.
type Fate func(n int) int

// Lose loses all that was not synced.
func Lose(int) int { return 0 }

// Keep keeps everything, as when only the process dies.
func Keep(n int) int { return n }

// Crash returns the disk after a power failure. Each name that was not synced
// is there or not as fate says; each file has what was synced and a part of
// what was not. No lock is held on it. The old disk stays as it was.
func (d *Disk) Crash(fate Fate) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Disk{root: d.root.crash(fate, map[*node]*node{})}
}

// KillProcess lets go of all locks, as the death of every process does; what
// was not synced stays visible and is still not durable.
func (d *Disk) KillProcess() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.root.unlock()
	return d
}

func (n *node) unlock() {
	clear(n.holders)
	for _, child := range n.names {
		child.unlock()
	}
}

func (n *node) crash(fate Fate, done map[*node]*node) *node {
	if c, ok := done[n]; ok {
		return c
	}
	c := newNode(n.folder)
	done[n] = c
	if !n.folder {
		c.data = n.torn(fate)
		c.synced = slices.Clone(c.data)
		return c
	}
	for _, name := range n.sortedNames() {
		now, saved := n.names[name], n.saved[name]
		survivor := saved
		if now != saved && fate(1) == 1 {
			survivor = now
		}
		if survivor != nil {
			c.names[name] = survivor.crash(fate, done)
			c.saved[name] = c.names[name]
		}
	}
	return c
}

// torn is what a crash leaves of a file.
func (n *node) torn(fate Fate) []byte {
	if slices.Equal(n.data, n.synced) {
		return slices.Clone(n.data)
	}
	if len(n.data) < len(n.synced) { // truncated
		if fate(1) == 1 {
			return slices.Clone(n.data)
		}
		return slices.Clone(n.synced)
	}
	extra := fate(len(n.data) - len(n.synced))
	return slices.Clone(n.data[:len(n.synced)+extra])
}

func (n *node) sortedNames() []string {
	var names []string
	for name := range n.names {
		names = append(names, name)
	}
	for name := range n.saved {
		if _, ok := n.names[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Flip inverts one bit of a file, as rot does.
func (d *Disk) Flip(name string, offset int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	n.data[offset] ^= 1
	return nil
}

func (d *Disk) find(name string) (*node, error) {
	n := d.root
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		next, ok := n.names[part]
		if !ok {
			return nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
		}
		n = next
	}
	return n, nil
}

// add puts a node under a new name.
func (d *Disk) add(name string, n *node) error {
	dir, err := d.find(path.Dir(name))
	if err != nil {
		return err
	}
	if _, ok := dir.names[path.Base(name)]; ok {
		return &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	dir.names[path.Base(name)] = n
	return nil
}

func (d *Disk) Open(name string) (local.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	return &handle{d: d, n: n}, nil
}

func (d *Disk) Create(name string) (local.Handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := newNode(false)
	return &handle{d: d, n: n}, d.add(name, n)
}

func (d *Disk) Append(name string) (local.Handle, error) {
	h, err := d.Create(name)
	if errors.Is(err, fs.ErrExist) {
		return d.Open(name)
	}
	return h, err
}

func (d *Disk) Mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.add(name, newNode(true))
}

func (d *Disk) List(name string) ([]local.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return nil, err
	}
	var entries []local.Entry
	for _, name := range n.sortedNames() {
		if child, ok := n.names[name]; ok {
			entries = append(entries, child.entry(name))
		}
	}
	return entries, nil
}

func (n *node) entry(name string) local.Entry {
	if n.folder {
		return local.Entry{Name: name, Mode: fs.ModeDir | 0o700}
	}
	return local.Entry{Name: name, Mode: 0o600, Size: int64(len(n.data))}
}

func (d *Disk) Stat(name string) (local.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return local.Entry{}, err
	}
	return n.entry(path.Base(name)), nil
}

func (d *Disk) Link(old, new string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(old)
	if err != nil {
		return err
	}
	return d.add(new, n)
}

func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	if len(n.names) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("folder is not empty")}
	}
	dir, err := d.find(path.Dir(name))
	if err != nil {
		return err
	}
	delete(dir.names, path.Base(name))
	return nil
}

// Free is as much as there can be.
func (d *Disk) Free() (int64, error) { return math.MaxInt64, nil }

// Writable is always so.
func (d *Disk) Writable() error { return nil }

// handle is an open node.
type handle struct {
	d *Disk
	n *node
}

func (h *handle) ReadAt(p []byte, offset int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.n.folder || offset < 0 {
		return 0, fs.ErrInvalid
	}
	n := copy(p, h.n.data[min(offset, int64(len(h.n.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) Write(p []byte) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.n.data = append(h.n.data, p...)
	return len(p), nil
}

func (h *handle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.n.data)), nil
}

func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.n.synced = slices.Clone(h.n.data)
	clear(h.n.saved)
	for name, n := range h.n.names {
		h.n.saved[name] = n
	}
	return nil
}

func (h *handle) Truncate() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.n.data = nil
	return nil
}

func (h *handle) Lock(exclusive bool) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	for other, theirs := range h.n.holders {
		if other != h && (exclusive || theirs) {
			delete(h.n.holders, h) // as flock(2) does in an exchange
			return local.ErrBusy
		}
	}
	h.n.holders[h] = exclusive
	return nil
}

func (h *handle) Is(name string) bool {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	n, err := h.d.find(name)
	return err == nil && n == h.n
}

func (h *handle) Close() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	delete(h.n.holders, h)
	return nil
}
