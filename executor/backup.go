package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// attempt is one try to make one point.
type attempt struct {
	*instance
	action plan.Action
	plan   *plan.Backup
	record store.Attempt
	chain  store.Manifest // to which the point will be added
	point  store.Point
	doubt  bool                     // the clock may have jumped
	known  map[string]*format.Image // the disks to be compared, by target, as the chain has them
	open   []io.Closer              // what they are read from
	files  []io.Closer              // written, not yet synced
	done   counter                  // bytes, over all disks
	frozen time.Time                // since when the guest is; zero: it is not
	heard  counter                  // signs of life of what reads and writes
	room   room                     // what may still be written into the store
}

// backup makes the planned point. If it fails, what it began is left to finish,
// which finds it by the record.
func (x *instance) backup(ctx context.Context, action plan.Action) (chain string, p store.Point, err error) {
	a := &attempt{instance: x, action: action, plan: action.Backup}
	defer a.close()
	if err := a.prepare(ctx); err != nil {
		return "", store.Point{}, err
	}
	read := a.job
	if a.plan.Offline {
		read = a.offline
	}
	if err := read(ctx); err != nil {
		return "", store.Point{}, err
	}
	a.point.Read = a.read.add(0)
	if err := a.commit(ctx); err != nil {
		return "", store.Point{}, err
	}
	return a.chain.Chain, a.point, nil
}

// prepare draws the names of the attempt and records them before anything of
// that name exists.
func (a *attempt) prepare(ctx context.Context) (err error) {
	if a.chain, err = a.chainToExtend(ctx); err != nil {
		return err
	}
	id, err := store.NewID(a.Random)
	if err != nil {
		return err
	}
	folder, err := store.NewID(a.Random)
	if err != nil {
		return err
	}
	a.point = store.Point{
		Sequence: a.chain.Next(), Attempt: id, Kind: a.plan.Kind, Parent: a.plan.Head, Reason: a.action.Reason,
		ClockDoubt: a.doubt, Digest: a.want.Digest(), Version: a.Version,
	}
	if a.tracks() {
		a.point.Checkpoint = store.CheckpointName(a.want.StoreID, a.chain.Chain, id, a.point.Sequence)
	}
	a.record = a.self()
	if a.attempt != nil {
		a.record.Started = a.attempt.Started
	}
	a.record.Chain, a.record.ID, a.record.Checkpoint = a.chain.Chain, id, a.point.Checkpoint
	a.record.RunFolder = filepath.Join(a.want.Host.ScratchDir, plan.RunFolderPrefix(a.want.StoreID)+folder)
	if err := a.folder.Record(a.record); err != nil {
		return err
	}
	a.attempt, a.outcome.Attempt = &a.record, id
	return nil
}

// tracks says whether the point has a checkpoint.
func (a *attempt) tracks() bool {
	return slices.ContainsFunc(a.plan.Disks, func(d plan.DiskBackup) bool { return !d.Untracked })
}

// chainToExtend is the manifest that the point will be added to. An increment
// is built only on a chain whose every file has the footer that the manifest
// names.
func (a *attempt) chainToExtend(ctx context.Context) (store.Manifest, error) {
	f, err := a.folder.Look(ctx)
	if err != nil {
		return store.Manifest{}, err
	}
	a.doubt = plan.ClockDoubt(&a.want, &f, a.Now())
	if a.plan.Chain == "" {
		return a.newChain(f)
	}
	for _, c := range f.Chains {
		if c.Name != a.plan.Chain {
			continue
		}
		err := checkFooters(a.store, a.name, c.Manifest)
		if err == nil {
			err = a.openKnown(c.Manifest)
		}
		if IsDamage(err) {
			return c.Manifest, a.closeChain(ctx, c.Manifest, err)
		}
		return c.Manifest, a.unread(err)
	}
	return store.Manifest{}, fmt.Errorf("chain %s is gone", a.plan.Chain)
}

// closeChain commits that nothing is added to a damaged chain any more, so that
// the next plan opens a new one. Its points stay as they are.
func (a *attempt) closeChain(ctx context.Context, m store.Manifest, damage error) error {
	m.Number++
	m.Closed, m.Written, m.Version = damage.Error(), a.Now().UTC(), a.Version
	if err := a.folder.Commit(ctx, m); err != nil {
		return errors.Join(damage, fmt.Errorf("close the chain: %w", err))
	}
	return &hintError{fmt.Errorf("chain %s is damaged, and closed now: %w", m.Chain, damage),
		"vbk apply again: it opens a new chain; vbk verify tells which points still restore"}
}

func (a *attempt) newChain(f store.Domain) (store.Manifest, error) {
	var key format.Key
	if _, err := io.ReadFull(a.Random, key[:]); err != nil {
		return store.Manifest{}, fmt.Errorf("draw hash key: %w", err)
	}
	name, err := store.ChainName(a.Now(), a.Random)
	if err != nil {
		return store.Manifest{}, err
	}
	m := store.Manifest{
		FormatVersion: store.FormatVersion, StoreID: a.want.StoreID, Chain: name, ChainNumber: f.NextChain(),
		UUID: a.want.UUID, HashKey: key.String(), Stream: a.plan.Stream,
		Owner: store.Owner{Configuration: a.want.Configuration, Address: a.want.Address, HostUUID: a.want.HostUUID},
	}
	return m, nil
}

// commit syncs everything and writes the manifest: then the point exists.
func (a *attempt) commit(ctx context.Context) error {
	for _, f := range a.files {
		if err := f.Close(); err != nil {
			return err
		}
	}
	a.files = nil
	retention, err := json.Marshal(a.want.Policy.Retention)
	if err != nil {
		return fmt.Errorf("encode retention: %w", err)
	}
	m := a.chain
	m.Number++
	m.Domain, m.Retention, m.Written, m.Version = a.want.Domain, retention, a.Now().UTC(), a.Version
	m.Points = append(m.Points[:len(m.Points):len(m.Points)], a.point)
	err = a.folder.Commit(ctx, m)
	switch {
	case errors.Is(err, store.ErrUncertain):
		return &hintError{err, "the next vbk apply finds out, and loses nothing either way"}
	case errors.Is(err, context.Canceled) && ctx.Err() != nil: // nothing was published
		return context.Cause(ctx)
	}
	return err
}

func (a *attempt) close() {
	for _, f := range append(a.files, a.open...) {
		_ = f.Close() // files of an attempt that has failed, which go; or only read
	}
}
