package executor

import (
	"context"
	"time"

	"vbk/plan"
	"vbk/store"
)

// recordTime bounds how long a run waits to record how it went.
const recordTime = 30 * time.Second

// recordFailure notes in the store that the attempt at an instance's point failed, so
// that who looks in the morning need not find the log of the night. It outlives ctx.
// That it could not be noted, on a store that is full, is told and no more: why the
// attempt failed was told, too.
func (r *run) recordFailure(ctx context.Context, i plan.Instance, f store.Failure, failed error) {
	if !wanted(i) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	f.Ended, f.Error = r.Now().UTC(), store.OneLine(failed)
	of := store.Outcomes{UUID: i.Want.UUID, Domain: i.Want.Domain, Version: r.Version}
	if err := r.Stores[i.Want.Store.Address()].RecordFailure(ctx, folderOf(i), of, f); err != nil {
		r.emit(Event{Kind: Warned, Address: i.Want.Address, Err: err})
	}
}

// refused notes that a point was not even tried. That another run is at work is for
// that one to note.
func (r *run) refused(ctx context.Context, i plan.Instance, why error) {
	if r.Stores[i.Want.Store.Address()] != nil && i.Want.Release == "" && !i.Locked {
		r.recordFailure(ctx, i, store.Failure{Began: r.Now().UTC()}, why)
	}
}
