package executor

import (
	"vbk/plan"
	"vbk/store"
)

// Event tells what happens during a run. Views turn events into text, bars or
// JSON.
type Event struct {
	Kind    EventKind
	Address string       // of the instance
	Action  *plan.Action // of Started, Done, Skipped and Failed; nil if it concerns the whole instance
	Why     string       // of Skipped, and of Done where something is left to be done
	Err     error        // of Failed and Warned
	Hint    string       // of Failed
	Chain   string       // of Done, where a point was made
	Point   *store.Point // of Done, where a point was made

	Disk  string // of Progress
	Done  int64  // bytes of all disks of the point, of Progress
	Total int64  // bytes of them, an estimate, of Progress

	DiskDone, DiskTotal int64 // the same of this disk alone
	DiskRead            bool  // it is complete
}

// EventKind tells events apart.
type EventKind string

// The kinds of events. Each Started is followed by exactly one of Done,
// Skipped and Failed.
const (
	Started  EventKind = "started"
	Progress EventKind = "progress"
	Done     EventKind = "done"
	Skipped  EventKind = "skipped"
	Failed   EventKind = "failed"
	Warned   EventKind = "warned" // at any time: of a hook
)
