package storetest

import (
	"sync"

	"vbk/store/local"
)

// Unreadable counts the operations that read an FS, and lets number At fail, as a
// disk or the way to it does: what is stored is as it was.
type Unreadable struct {
	local.FS
	At   int   // from 1; 0: none fails
	Err  error // what it returns
	Last bool  // all later ones fail as well

	mu    sync.Mutex
	count int
}

// Fired says whether the operation has been reached.
func (u *Unreadable) Fired() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.At > 0 && u.count >= u.At
}

func (u *Unreadable) read() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count++
	if u.At > 0 && (u.count == u.At || u.count > u.At && u.Last) {
		return u.Err
	}
	return nil
}

func (u *Unreadable) Open(name string) (local.Handle, error) {
	if err := u.read(); err != nil {
		return nil, err
	}
	h, err := u.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return &unreadableHandle{h, u}, nil
}

func (u *Unreadable) List(name string) ([]local.Entry, error) {
	if err := u.read(); err != nil {
		return nil, err
	}
	return u.FS.List(name)
}

func (u *Unreadable) Stat(name string) (local.Entry, error) {
	if err := u.read(); err != nil {
		return local.Entry{}, err
	}
	return u.FS.Stat(name)
}

type unreadableHandle struct {
	local.Handle
	u *Unreadable
}

func (h *unreadableHandle) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := h.u.read(); err != nil {
		return 0, err
	}
	return h.Handle.ReadAt(p, offset)
}

func (h *unreadableHandle) Size() (int64, error) {
	if err := h.u.read(); err != nil {
		return 0, err
	}
	return h.Handle.Size()
}
