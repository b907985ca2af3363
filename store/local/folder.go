package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"vbk/store"
)

const lockName = "lock"

// Folder is the folder of a domain under its exclusive lock. Create and the
// files it returns may be used by several goroutines, the rest by one.
type Folder struct {
	s        *Store
	name     string
	lock     Handle // nil once released
	wrote    tail   // the end of the lock file
	previous *store.Attempt
	mu       sync.Mutex
	files    map[string]error // "chain/name" -> nil once it is durable
}

// errOpen is in Folder.files while a file is still open.
var errOpen = errors.New("file is not closed")

// Lock takes the exclusive lock of a domain's folder, which is made if absent,
// and records rec in it. Errors: *store.LockedError if a living process has
// it.
func (s *Store) Lock(ctx context.Context, folder string, rec store.Attempt) (*Folder, error) {
	h, err := s.openLock(folder)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	f := &Folder{s: s, name: folder, lock: h, files: map[string]error{}}
	err = f.take(ctx, rec)
	var locked *store.LockedError
	switch {
	case errors.As(err, &locked): // it says what is locked
		return nil, errors.Join(err, h.Close())
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", folder, errors.Join(err, h.Close()))
	}
	return f, nil
}

func (s *Store) openLock(folder string) (Handle, error) {
	if !store.IsFolderName(folder) {
		return nil, errors.New("not the name of a domain's folder")
	}
	if err := s.fsys.Mkdir(folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := syncFolder(s.fsys, "."); err != nil {
		return nil, err
	}
	h, err := s.fsys.Append(path.Join(folder, lockName))
	if err != nil {
		return nil, err
	}
	if err := syncFolder(s.fsys, folder); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (f *Folder) take(ctx context.Context, rec store.Attempt) error {
	if err := f.exclude(ctx); err != nil {
		return err
	}
	if err := f.held(); err != nil {
		return err
	}
	last, err := readLog(f.lock)
	if err != nil {
		return err
	}
	f.previous = last.pending()
	if f.previous != nil {
		if err := f.settle(ctx); err != nil {
			return err
		}
	}
	return f.write(record{&rec, f.previous})
}

// write makes r the record that counts, and remembers it as ours.
func (f *Folder) write(r record) error {
	err := appendLog(f.lock, r)
	var lookErr error
	f.wrote, lookErr = tailOf(f.lock)
	return errors.Join(err, lookErr)
}

// exclude gets the exclusive lock. A survey holds the lock shared for an
// instant to see whether it is free: that is no reason to fail.
func (f *Folder) exclude(ctx context.Context) error {
	for try := 0; ; try++ {
		err := f.lock.Lock(true)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if err := f.lock.Lock(false); errors.Is(err, ErrBusy) || try == 1000 {
			last, _ := readLog(f.lock)
			return &store.LockedError{Folder: f.name, Holder: last.holder()}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// settle makes durable what a dead run had only made visible, because what
// follows relies on it: each chain gets its newest manifest again under the next
// number. A fsync alone would prove nothing where one had failed before, because
// Linux reports that once; a file that is new is written anew. It also keeps the
// dead run, should it wake up, from the number that it was about to take.
func (f *Folder) settle(ctx context.Context) error {
	chains, err := f.s.chainNames(f.name)
	if err != nil {
		return err
	}
	for _, name := range chains {
		if err := f.settleChain(ctx, name); err != nil {
			return fmt.Errorf("take over chain %s: %w", name, err)
		}
	}
	return syncFolder(f.s.fsys, f.name)
}

func (f *Folder) settleChain(ctx context.Context, name string) error {
	v, err := f.s.view(f.name, name)
	if err != nil {
		return err
	}
	if v.stuck || v.manifest.Number == 0 {
		return syncFolder(f.s.fsys, v.dir)
	}
	m := v.manifest
	m.Number++
	return f.supersede(ctx, v, m)
}

// held says why the lock cannot be relied on any more.
func (f *Folder) held() error {
	if f.lock == nil {
		return errors.New("the lock has been released")
	}
	if !f.lock.Is(path.Join(f.name, lockName)) {
		return errors.New("the lock file has been replaced")
	}
	if f.wrote.line == nil {
		return nil
	}
	// A lock can be lost without a sign, on a network file system by a host that
	// was suspended or cut off. Whoever has it then has written, or cleared the file.
	now, err := tailOf(f.lock)
	if err != nil {
		return err
	}
	if !now.equal(f.wrote) {
		return errors.New("another vbk has had the lock meanwhile: this one stood still for too long")
	}
	return nil
}

// Name is the name of the folder.
func (f *Folder) Name() string { return f.name }

// Previous is the record of a run that was interrupted here, nil if there is
// none; its Host is empty if it cannot be read. Deal with its traces before
// calling Record: until then the record stays, whatever happens to this run.
func (f *Folder) Previous() *store.Attempt { return f.previous }

// Record replaces the attempt record durably, that of an interrupted run too.
func (f *Folder) Record(rec store.Attempt) error {
	if err := f.held(); err != nil {
		return fmt.Errorf("record attempt in %s: %w", f.name, err)
	}
	if err := f.write(record{Attempt: &rec}); err != nil {
		return fmt.Errorf("record attempt in %s: %w", f.name, err)
	}
	f.previous = nil
	return nil
}

// Look surveys the folder under the lock.
func (f *Folder) Look(ctx context.Context) (store.Domain, error) {
	if err := f.held(); err != nil {
		return store.Domain{}, fmt.Errorf("look at %s: %w", f.name, err)
	}
	return f.s.Domain(ctx, f.name)
}

// Unlock clears the record and releases the lock. The record of an
// interrupted run that Record has not replaced stays.
func (f *Folder) Unlock() error {
	if f.lock == nil {
		return nil
	}
	err := f.held()
	if err == nil && f.previous == nil {
		if err = f.lock.Truncate(); err == nil {
			err = f.lock.Sync()
		}
	}
	if err = errors.Join(err, f.Abandon()); err != nil {
		return fmt.Errorf("unlock %s: %w", f.name, err)
	}
	return nil
}

// Abandon releases the lock and leaves the record, as a crash does: the next
// run deals with what this one has begun.
func (f *Folder) Abandon() error {
	if f.lock == nil {
		return nil
	}
	h := f.lock
	f.lock = nil
	return h.Close()
}
