package storetest

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"vbk/format"
	"vbk/store/local"
)

// ErrDied is what every operation returns after a death.
var ErrDied = errors.New("the process has died")

// Faults counts the effects on an FS (all that changes it or makes it durable)
// and lets the effect number At fail.
type Faults struct {
	FS   local.FS
	At   int   // from 1; 0: nothing fails
	Err  error // what the effect returns; ErrDied if Die is set
	Die  bool  // from then on nothing works, not even reading
	Half bool  // a failing write has written half
	Done bool  // the effect takes place and then fails
	Lost bool  // what a failing sync of a folder was to make durable never is
	Last bool  // every later effect fails as well; but on a full disk (ENOSPC) removing works

	mu    sync.Mutex
	count int
	fired bool
}

// Fired says whether the effect has been reached.
func (f *Faults) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Count is the number of effects so far.
func (f *Faults) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// dead is what a dead process gets.
func (f *Faults) dead() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Die && f.fired {
		return ErrDied
	}
	return nil
}

// hit counts an effect and says whether it is the one that fails.
func (f *Faults) hit() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Die && f.fired {
		return false, ErrDied
	}
	f.count++
	if f.count != f.At && !(f.Last && f.fired) {
		return false, nil
	}
	f.fired = true
	if f.Die {
		return true, ErrDied
	}
	return true, f.Err
}

// effect runs do unless this effect fails.
func (f *Faults) effect(do func() error) error {
	hit, err := f.hit()
	if err != nil && !(hit && f.Done) {
		return err
	}
	return errors.Join(do(), err)
}

// read runs a reading operation.
func read[T any](f *Faults, do func() (T, error)) (T, error) {
	if err := f.dead(); err != nil {
		var none T
		return none, err
	}
	return do()
}

func (f *Faults) wrap(h local.Handle, err error) (local.Handle, error) {
	if err != nil {
		return nil, err
	}
	return &faultyHandle{h, f}, nil
}

func (f *Faults) Open(name string) (local.Handle, error) {
	return f.wrap(read(f, func() (local.Handle, error) { return f.FS.Open(name) }))
}

func (f *Faults) Create(name string) (h local.Handle, err error) {
	err = f.effect(func() error { h, err = f.FS.Create(name); return err })
	return f.wrap(h, err)
}

func (f *Faults) Append(name string) (h local.Handle, err error) {
	err = f.effect(func() error { h, err = f.FS.Append(name); return err })
	return f.wrap(h, err)
}

func (f *Faults) Mkdir(name string) error {
	return f.effect(func() error { return f.FS.Mkdir(name) })
}

func (f *Faults) List(name string) ([]local.Entry, error) {
	return read(f, func() ([]local.Entry, error) { return f.FS.List(name) })
}

func (f *Faults) Stat(name string) (local.Entry, error) {
	return read(f, func() (local.Entry, error) { return f.FS.Stat(name) })
}

func (f *Faults) Link(old, new string) error {
	return f.effect(func() error { return f.FS.Link(old, new) })
}

func (f *Faults) LinkFrom(from local.FS, old, new string) error {
	return f.effect(func() error { return f.FS.LinkFrom(from, old, new) })
}

func (f *Faults) Touch(name string, at time.Time) error {
	return f.effect(func() error { return f.FS.Touch(name, at) })
}

func (f *Faults) Remove(name string) error {
	if f.Last && f.Fired() && errors.Is(f.Err, syscall.ENOSPC) {
		return f.FS.Remove(name)
	}
	return f.effect(func() error { return f.FS.Remove(name) })
}

func (f *Faults) Clones(name string) bool { return f.dead() == nil && f.FS.Clones(name) }

func (f *Faults) Punch(name string, ranges []format.Range) error {
	return f.effect(func() error { return f.FS.Punch(name, ranges) })
}

func (f *Faults) Free() (int64, error) { return read(f, f.FS.Free) }

func (f *Faults) Size() (int64, error) { return read(f, f.FS.Size) }

func (f *Faults) Writable() error {
	return errors.Join(f.dead(), f.FS.Writable())
}

// faultyHandle is an open file of a Faults. Closing always works: the kernel
// closes the files of the dead.
type faultyHandle struct {
	local.Handle
	f *Faults
}

func (h *faultyHandle) ReadAt(p []byte, offset int64) (int, error) {
	return read(h.f, func() (int, error) { return h.Handle.ReadAt(p, offset) })
}

func (h *faultyHandle) Write(p []byte) (int, error) { return h.write(p, h.Handle.Write) }

func (h *faultyHandle) WriteAt(p []byte, offset int64) (int, error) {
	return h.write(p, func(p []byte) (int, error) { return h.Handle.WriteAt(p, offset) })
}

func (h *faultyHandle) write(p []byte, do func([]byte) (int, error)) (int, error) {
	hit, err := h.f.hit()
	if err == nil || hit && h.f.Done {
		n, writeErr := do(p)
		return n, errors.Join(writeErr, err)
	}
	if hit && h.f.Half {
		n, writeErr := do(p[:len(p)/2])
		return n, errors.Join(writeErr, err)
	}
	return 0, err
}

func (h *faultyHandle) Size() (int64, error) { return read(h.f, h.Handle.Size) }

func (h *faultyHandle) Sync() error {
	hit, err := h.f.hit()
	if on, ok := h.Handle.(*handle); ok && hit && h.f.Lost {
		on.forget()
	}
	if err != nil && !(hit && h.f.Done) {
		return err
	}
	return errors.Join(h.Handle.Sync(), err)
}

func (h *faultyHandle) Truncate() error { return h.f.effect(h.Handle.Truncate) }

func (h *faultyHandle) CloneFrom(src local.Handle, offset, length int64) error {
	if s, ok := src.(*faultyHandle); ok {
		src = s.Handle
	}
	return h.f.effect(func() error { return h.Handle.CloneFrom(src, offset, length) })
}

func (h *faultyHandle) Lock(exclusive bool) error {
	if err := h.f.dead(); err != nil {
		return err
	}
	return h.Handle.Lock(exclusive)
}

func (h *faultyHandle) Is(name string) bool { return h.f.dead() == nil && h.Handle.Is(name) }
