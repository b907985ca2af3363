package executor

import (
	"context"
	"fmt"
	"time"

	"vbk/plan"
)

// The time between two looks: at a job, in whose scratch files all may go that the
// guest writes meanwhile, and at images.
const (
	jobInterval   = 100 * time.Millisecond
	imageInterval = time.Second
)

// watch returns a context that ends when one of the checks, which are made at
// each interval, fails; the failure is its cause. stop ends the watch.
func watch(ctx context.Context, interval time.Duration, checks ...func() error) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel(guarded(func() error {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				for _, check := range checks {
					if err := check(); err != nil {
						return err
					}
				}
			}
		})())
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// stallTime is how long a job may go on while nothing is read and nothing is
// written. It is longer than disks and networks take to report an error.
const stallTime = 10 * time.Minute

// stalled returns the check for that.
func (a *attempt) stalled() func() error {
	last, since := a.heard.add(0), time.Now()
	return func() error {
		if n := a.heard.add(0); n != last {
			last, since = n, time.Now()
		}
		if silent := time.Since(since); silent >= stallTime {
			return &hintError{
				fmt.Errorf("nothing was read or written for %s: the guest must not go on paying for the backup job", plan.Age(silent)),
				"see whether the storage of the domain's disks and the store answer; the next vbk apply tries again",
			}
		}
		return nil
	}
}

// alive notes a sign of life of what reads and writes.
func (a *attempt) alive() { a.heard.add(1) }

// heard is a source whose answers are counted.
type heard struct {
	Source
	signs *counter
}

func (s heard) Extents(ctx context.Context, offset, length int64) ([]Extent, error) {
	defer s.signs.add(1)
	return s.Source.Extents(ctx, offset, length)
}

func (s heard) Read(ctx context.Context, pieces []Piece) error {
	defer s.signs.add(1)
	return s.Source.Read(ctx, pieces)
}
