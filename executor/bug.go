package executor

import (
	"fmt"
	"runtime/debug"
	"sync"
)

// BugError is a panic: a mistake in vbk. It ends the instance in which it
// happened, which is cleaned up like any other that failed; the others go on.
type BugError struct {
	Value any
	Stack []byte
}

func (e *BugError) Error() string { return fmt.Sprintf("this is a bug in vbk: %v", e.Value) }

// Hint is what to do next.
func (e *BugError) Hint() string {
	return fmt.Sprintf("nothing that was committed is affected; please report it with this:\n%s", e.Stack)
}

// guarded turns a panic of f into a BugError. Every goroutine of this package
// runs inside of it: a panic that leaves one would end the process, with jobs
// running and with an exit code that means something else.
func guarded(f func() error) func() error {
	return func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &BugError{Value: v, Stack: debug.Stack()}
			}
		}()
		return f()
	}
}

// sideBySide calls f with each of all, with at most limit of them at once. A panic
// in one is raised again here when the others have ended.
func sideBySide[T any](all []T, limit int, f func(T)) {
	var running sync.WaitGroup
	places := make(chan struct{}, max(1, limit))
	bugs := make([]error, len(all))
	for n, one := range all {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			bugs[n] = guarded(func() error {
				f(one)
				return nil
			})()
		})
	}
	running.Wait()
	for _, bug := range bugs {
		if bug != nil {
			panic(bug)
		}
	}
}
