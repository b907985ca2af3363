package executor

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"vbk/plan"
)

// While a job runs, QEMU saves what the guest overwrites in scratch files. When
// their file system is full it is the guest's write that fails, not the backup.
// So the backup gives way before: when less is free than the host block says, or
// than a fast guest fills in one interval, or on a small file system a tenth of it.
const (
	spaceLeast  = 64 << 20
	spaceWanted = 2 << 30
)

// statfs tells what users other than root may still write below a path.
func statfs(path string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", path, err)
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil
}

// checkSpace says why a job must not go on.
func (x *instance) checkSpace(dir string) error {
	measure := x.Space
	if measure == nil {
		measure = statfs
	}
	return scratchSpace(dir, x.want.Host.MinFree, measure)
}

// ScratchSpace says why no job can begin with scratch files below dir; minFree is
// that of the host block, in bytes.
func ScratchSpace(dir string, minFree int64) error { return scratchSpace(dir, minFree, statfs) }

func scratchSpace(dir string, minFree int64, measure func(string) (free, total int64, err error)) error {
	free, total, err := measure(dir)
	if err != nil {
		return fmt.Errorf("look at the space for scratch files: %w", err)
	}
	wanted := min(spaceWanted, total/10)
	if minFree > 0 {
		wanted = minFree
	}
	if limit := max(spaceLeast, wanted); free < limit {
		return &hintError{
			fmt.Errorf("the file system of %s has %s free, less than %s: the guest's writes would fail while a backup job runs", dir, plan.Bytes(free), plan.Bytes(limit)),
			"make room there, or name another scratch_dir in the host block",
		}
	}
	return nil
}

// room is what an attempt may write before it looks again at what is free in the
// store.
type room struct {
	mu   sync.Mutex
	left int64
}

// roomStep bounds how much is written, in bytes, before the free space is looked
// at again: others write, too.
const roomStep = 64 << 20

// reserve says why n bytes more must not be written into the store: less would
// be free then than its min_free.
func (a *attempt) reserve(n int64) error {
	limit := a.want.Store.MinFree
	if limit <= 0 {
		return nil
	}
	a.room.mu.Lock()
	defer a.room.mu.Unlock()
	if a.room.left < n {
		free, err := a.store.Free()
		if err != nil {
			return err
		}
		if free-limit < n {
			return &hintError{
				fmt.Errorf("%s has %s free, and min_free = %s is to stay", a.want.Store.Address(), plan.Bytes(free), plan.Bytes(limit)),
				"make room there, keep fewer points, or lower min_free of the store block",
			}
		}
		a.room.left = min(free-limit, roomStep)
	}
	a.room.left = max(0, a.room.left-n)
	return nil
}

// frugal is a file of an attempt, which leaves min_free bytes of the store free.
type frugal struct {
	NewFile
	a *attempt
}

func (w frugal) Write(p []byte) (int, error) {
	if err := w.a.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	return w.NewFile.Write(p)
}

func (w frugal) WriteAt(p []byte, offset int64) (int, error) {
	if err := w.a.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	return w.NewFile.WriteAt(p, offset)
}
