package executor

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"vbk/plan"
)

// While a job runs, QEMU saves what the guest overwrites in scratch files. When
// their file system is full it is the guest's write that fails, not the backup.
// So the backup gives way before: when less is free than a fast guest fills in
// one interval, or on a small file system a tenth of it.
const (
	spaceLeast    = 64 << 20
	spaceWanted   = 2 << 30
	spaceInterval = time.Second
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
	free, total, err := measure(dir)
	if err != nil {
		return fmt.Errorf("look at the space for scratch files: %w", err)
	}
	if limit := max(spaceLeast, min(spaceWanted, total/10)); free < limit {
		return &hintError{
			fmt.Errorf("the file system of %s has %s free, less than %s: the guest's writes would fail while a backup job runs", dir, plan.Bytes(free), plan.Bytes(limit)),
			"make room there, or name another scratch_dir in the host block",
		}
	}
	return nil
}

// watchSpace returns a context that ends, with the reason as its cause, when
// the scratch files run out of space. stop ends the watch.
func (x *instance) watchSpace(ctx context.Context, dir string) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(guarded(func() error {
			tick := time.NewTicker(spaceInterval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				if err := x.checkSpace(dir); err != nil {
					return err
				}
			}
		})())
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}
