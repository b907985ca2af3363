package executor

import (
	"errors"

	"vbk/format"
)

// StaleError says that a planned action is no longer right, and that nobody has
// reviewed what would be.
type StaleError struct{ Why string }

func (e *StaleError) Error() string { return "the plan is stale: " + e.Why }

// Hint is what to do next.
func (e *StaleError) Hint() string { return "run vbk plan again and review it" }

// hintError is an error with what to do next.
type hintError struct {
	error
	hint string
}

// Hint is what to do next.
func (e *hintError) Hint() string { return e.hint }

// Unwrap gives the cause.
func (e *hintError) Unwrap() error { return e.error }

func hintOf(err error) string {
	var bug *BugError
	if errors.As(err, &bug) { // whatever else went wrong, this is to be reported
		return bug.Hint()
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// DamageError says that what a chain holds is not what was written.
type DamageError struct{ error }

// Unwrap gives the cause.
func (e *DamageError) Unwrap() error { return e.error }

// damaged says what an error of reading a chain means: damage, unless the store
// could not be read, of which nobody knows what it holds.
func damaged(err error) error {
	if format.IsUnread(err) {
		return err
	}
	return &DamageError{err}
}

// IsDamage says whether an error is damage of a chain.
func IsDamage(err error) bool {
	var d *DamageError
	return errors.As(err, &d)
}
