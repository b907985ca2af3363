package store

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotMarked: the directory is no store; vbk init makes it one.
	ErrNotMarked = errors.New("not a vbk store (no vbk.json)")
	// ErrOtherVersion: another version of vbk has made the store.
	ErrOtherVersion = errors.New("made by another version of vbk")
	// ErrInUse: a reader holds the chain, its files stay until later.
	ErrInUse = errors.New("in use by a reader")
	// ErrUncertain: the commit failed so late that the point may or may not
	// exist after a power failure. Its files are durable; keep the
	// checkpoints of both points and look again.
	ErrUncertain = errors.New("outcome unknown")
)

// LockedError says that a living process works in a domain's folder.
type LockedError struct {
	Folder string
	Holder Attempt // zero if its record cannot be read
}

func (e *LockedError) Error() string {
	if e.Holder.Host == "" {
		return fmt.Sprintf("folder %s is locked by another vbk", e.Folder)
	}
	return fmt.Sprintf("folder %s is locked by vbk on %s, pid %d, since %s",
		e.Folder, e.Holder.Host, e.Holder.PID, e.Holder.Since.UTC().Format(time.RFC3339))
}
