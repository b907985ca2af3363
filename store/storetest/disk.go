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
	"time"

	"vbk/format"
	"vbk/store/local"
)

// Disk is an FS in memory. What is written is visible at once and durable
// after a sync: of a file for its bytes, of a folder for the names in it.
type Disk struct {
	Reflink bool // files can share ranges

	mu   sync.Mutex
	root *node
}

// node is a file or a folder, as it looks now and as it is on the platter.
type node struct {
	folder       bool
	names, saved map[string]*node // of a folder
	forgotten    map[string]*node // names in a folder that no sync makes durable any more
	data, synced []byte           // of a file
	time         time.Time        // of a file, as Touch set it
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
	return &Disk{Reflink: d.Reflink, root: d.root.crash(fate, map[*node]*node{})}
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
		c.data, c.time = n.torn(fate), n.time
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
	return local.Entry{Name: name, Mode: 0o600, Size: int64(len(n.data)), Time: n.time}
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

// LinkFrom links a file of another Disk, which then has its content in common.
func (d *Disk) LinkFrom(from local.FS, old, new string) error {
	other, ok := from.(*Disk)
	if !ok {
		return &fs.PathError{Op: "link", Path: old, Err: local.ErrOtherFileSystem}
	}
	n, err := other.node(old)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if there, err := d.find(new); err == nil && there == n {
		return nil
	}
	return d.add(new, n)
}

func (d *Disk) node(name string) (*node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(name)
}

// Touch is as durable as a journal makes it: at once.
func (d *Disk) Touch(name string, at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err == nil {
		n.time = at
	}
	return err
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

// Clones says what Reflink says.
func (d *Disk) Clones(name string) bool {
	_, err := d.Stat(name)
	return err == nil && d.Reflink
}

// countLinks is how many names a file has.
func (n *node) countLinks(file *node) (links int) {
	for _, child := range n.names {
		if child == file {
			links++
		}
		links += child.countLinks(file)
	}
	return links
}

// Punch reaches the platter at once.
func (d *Disk) Punch(name string, ranges []format.Range) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find(name)
	if err != nil {
		return err
	}
	if d.root.countLinks(n) > 1 {
		return nil
	}
	for _, r := range ranges {
		clear(n.data[r.Offset : r.Offset+r.Length])
	}
	n.synced = slices.Clone(n.data)
	return nil
}

// Free is as much as there can be.
func (d *Disk) Free() (int64, error) { return math.MaxInt64, nil }

// Size is as much as Free.
func (d *Disk) Size() (int64, error) { return math.MaxInt64, nil }

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

func (h *handle) WriteAt(p []byte, offset int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if hole := offset + int64(len(p)) - int64(len(h.n.data)); hole > 0 {
		h.n.data = append(h.n.data, make([]byte, hole)...)
	}
	return copy(h.n.data[offset:], p), nil
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
		if h.n.forgotten[name] != n {
			h.n.saved[name] = n
		}
	}
	return nil
}

// forget is what Linux makes of a sync that failed: it reports that once, and
// takes what was to be written for clean. A later sync succeeds and writes nothing
// of it.
func (h *handle) forget() {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.n.forgotten = map[string]*node{}
	for name, n := range h.n.names {
		if h.n.saved[name] != n {
			h.n.forgotten[name] = n
		}
	}
}

func (h *handle) Truncate() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	h.n.data = nil
	return nil
}

func (h *handle) CloneFrom(src local.Handle, offset, length int64) error {
	if !h.d.Reflink {
		return errors.ErrUnsupported
	}
	b := make([]byte, length)
	if _, err := src.ReadAt(b, offset); err != nil {
		return err
	}
	_, err := h.Write(b)
	return err
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
