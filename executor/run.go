package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// Result counts what a run did.
type Result struct {
	Done, Skipped, Failed int // actions; a refused or failed instance counts as one Failed
}

// Run does what the plan says, and nothing else. Instances fail alone: the
// others go on. Cancelling ctx ends running jobs cleanly; what has not begun is
// not begun.
func Run(ctx context.Context, p plan.Plan, b Bindings) Result {
	r := &run{Bindings: b, tokens: make(chan struct{}, max(1, b.Parallel))}
	hosts := groups(p.Instances, func(i plan.Instance) string { return i.Want.Host.Name })
	sideBySide(hosts, len(hosts), func(host []plan.Instance) { r.host(ctx, host) })
	return r.result
}

// groups puts instances together that have the same key; everything stays in
// its order.
func groups(all []plan.Instance, key func(plan.Instance) string) [][]plan.Instance {
	index := map[string]int{}
	var groups [][]plan.Instance
	for _, i := range all {
		n, ok := index[key(i)]
		if !ok {
			n = len(groups)
			index[key(i)] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

type run struct {
	Bindings
	tokens chan struct{} // one for each instance side by side
	limits limits
	mu     sync.Mutex
	result Result
}

// host does the instances of one host, those of one domain one after the
// other: libvirt runs one job a domain.
func (r *run) host(ctx context.Context, all []plan.Instance) {
	domains := groups(all, func(i plan.Instance) string { return i.Want.UUID })
	sideBySide(domains, max(1, all[0].Want.Host.MaxParallel), func(domain []plan.Instance) {
		for _, i := range domain {
			r.bounded(ctx, i)
		}
	})
}

func (r *run) trace(what string, about ...any) {
	if r.Trace != nil {
		r.Trace(what, about...)
	}
}

func (r *run) emit(e Event) {
	r.mu.Lock()
	switch e.Kind {
	case Done:
		r.result.Done++
	case Skipped:
		r.result.Skipped++
	case Failed:
		r.result.Failed++
	}
	r.mu.Unlock()
	r.Events(e)
}

func (r *run) bounded(ctx context.Context, i plan.Instance) {
	select {
	case r.tokens <- struct{}{}:
		defer func() { <-r.tokens }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return
	}
	var failure error
	if i.Error != "" {
		failure = errors.New(i.Error)
		r.refused(ctx, i, failure)
		r.emit(Event{Kind: Failed, Address: i.Want.Address, Err: failure, Hint: i.Hint})
	}
	if len(i.Actions) > 0 {
		if err := guarded(func() error { return r.instance(ctx, i) })(); err != nil {
			failure = err
			r.emit(Event{Kind: Failed, Address: i.Want.Address, Err: err, Hint: hintOf(err)})
		}
	}
	if failure != nil && wanted(i) {
		r.failed(ctx, i, failure)
	}
}

// wanted says whether a point was to be made, or would have been.
func wanted(i plan.Instance) bool { return i.Backup() != nil || i.Error != "" }

// instance is one instance under its lock.
type instance struct {
	*run
	want   plan.Want
	host   Host // nil where all chains are to be released: the domain is gone, or nobody's
	store  Store
	folder Folder
	name   string // of the folder

	// attempt is the record of what is to be cleaned up: what an interrupted
	// run left, then what this one has begun; nil once that is done.
	attempt *store.Attempt

	// zombies says that a begin of ours failed or was cut off: block jobs that
	// no backup job owns are its.
	zombies bool

	// unknown says that something of ours may still come into being: cleaning up
	// waits for the next run.
	unknown bool

	outcome store.Failure // what is recorded if this run fails
	looked  bool          // the folder was, once
	read    counter       // bytes of the guest
}

func (r *run) instance(ctx context.Context, i plan.Instance) (err error) {
	x := &instance{run: r, want: i.Want, store: r.Stores[i.Want.Store.Address()], name: folderOf(i), outcome: store.Failure{Began: r.Now().UTC()}}
	if i.Want.Release == "" {
		x.host = r.Hosts[i.Want.Host.Name]
	}
	if x.host == nil && i.Want.Release == "" || x.store == nil {
		return fmt.Errorf("host %q or %s is not open", i.Want.Host.Name, i.Want.Store.Address())
	}
	if x.folder, err = x.lock(ctx); err != nil {
		if another := new(store.LockedError); !errors.As(err, &another) && ctx.Err() == nil {
			x.recordFailure(ctx, i, x.outcome, err)
		}
		return interrupted(ctx, err)
	}
	if x.host != nil { // without it a record stays as it is: what it names cannot be seen
		x.attempt = x.folder.Previous()
	}
	x.zombies = x.attempt != nil && x.attempt.RunFolder != ""
	err = guarded(func() error { return x.actions(ctx, i.Actions) })()
	left, cleanErr := x.tidyUp(ctx, err)
	if !left {
		err = interrupted(ctx, err)
	}
	if err = errors.Join(err, cleanErr); err != nil {
		x.outcome.Read = x.read.add(0)
		x.recordFailure(ctx, i, x.outcome, err)
	}
	if left {
		return errors.Join(err, x.folder.Abandon())
	}
	return errors.Join(err, x.folder.Unlock())
}

// interrupted is who interrupted instead of what was being done, where all of that is
// undone. An error beside it stays, and so does a commit whose outcome is unknown.
func interrupted(ctx context.Context, err error) error {
	if !errors.Is(err, context.Canceled) || ctx.Err() == nil || errors.Is(err, store.ErrUncertain) || strings.Contains(err.Error(), "\n") {
		return err
	}
	return context.Cause(ctx)
}

func folderOf(i plan.Instance) string {
	if i.Folder != "" {
		return i.Folder
	}
	return store.FolderName(i.Want.Domain, i.Want.UUID)
}

// lock waits for another vbk as long as it may.
func (x *instance) lock(ctx context.Context) (Folder, error) {
	deadline := time.After(x.LockTimeout)
	for {
		f, err := x.store.Lock(ctx, x.name, x.self())
		var locked *store.LockedError
		if !errors.As(err, &locked) {
			return f, err
		}
		err = &hintError{err, "wait for it, or run vbk apply -lock-timeout 10m"}
		if x.LockTimeout == 0 {
			return nil, err
		}
		select {
		case <-time.After(time.Second):
		case <-deadline:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// self is the record of a run that has not begun anything.
func (x *instance) self() store.Attempt {
	record := x.Self
	record.Since, record.Domain = x.Now().UTC(), x.want.UUID
	return record
}

// actions does one after the other; the first failure ends the instance.
func (x *instance) actions(ctx context.Context, planned []plan.Action) error {
	cleaned, left, err := x.cleanup(ctx)
	if err != nil {
		return err
	}
	for _, a := range planned {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if a.Kind == plan.KindCleanup {
			x.report(a, cleaned, left)
			continue
		}
		now, err := x.decide(ctx)
		if err != nil {
			return err
		}
		action, verdict, why := plan.Check(a, now)
		if verdict == plan.Holds && action.Backup != nil && action.Backup.Redefine {
			if action, verdict, why, err = x.redefine(ctx, action); err != nil {
				return err
			}
		}
		if verdict == plan.Holds && action.Backup != nil && action.Backup.StartPaused {
			if action, verdict, why, err = x.startPaused(ctx, action); err != nil {
				return err
			}
		}
		switch verdict {
		case plan.Satisfied:
			x.emit(Event{Kind: Skipped, Address: x.want.Address, Action: &a, Why: why})
		case plan.Stale:
			return &StaleError{Why: why}
		case plan.Holds:
			if err := x.act(ctx, action); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *instance) report(a plan.Action, cleaned bool, left string) {
	if cleaned {
		x.emit(Event{Kind: Done, Address: x.want.Address, Action: &a, Why: left})
		return
	}
	x.emit(Event{Kind: Skipped, Address: x.want.Address, Action: &a, Why: "nothing is left to clean up"})
}

func (x *instance) act(ctx context.Context, a plan.Action) error {
	x.emit(Event{Kind: Started, Address: x.want.Address, Action: &a})
	done := Event{Kind: Done, Address: x.want.Address, Action: &a}
	switch a.Kind {
	case plan.KindBackup:
		if err := x.ready(ctx, a); err != nil {
			return err
		}
		chain, point, err := x.backup(ctx, a)
		if err != nil {
			return err
		}
		done.Chain, done.Point = chain, &point
		x.want.Full = false // it asked for one
		x.emit(done)
		return x.hook(ctx, x.want, hookPost, pointVars(x.want.Domain, chain, point))
	case plan.KindPrune:
		err := x.folder.Release(ctx, a.Prune.Chain)
		if errors.Is(err, store.ErrInUse) {
			done.Why = filesInUse
		} else if err != nil {
			return fmt.Errorf("prune chain %s: %w", a.Prune.Chain, err)
		}
	case plan.KindMerge:
		err := x.merge(ctx, a.Merge)
		if errors.Is(err, store.ErrInUse) {
			done.Why = filesInUse
		} else if err != nil {
			return fmt.Errorf("merge into point %s.%d: %w", a.Merge.Chain, a.Merge.Into, err)
		}
	case plan.KindVerify:
		if err := x.verify(ctx, a.Verify); err != nil {
			return err
		}
	}
	x.emit(done)
	return nil
}

// decide looks at domain and folder, and decides again.
func (x *instance) decide(ctx context.Context) (plan.Instance, error) {
	seen, err := x.look(ctx)
	if err != nil {
		return plan.Instance{}, err
	}
	return plan.Decide(x.want, seen, x.Now()), nil
}

func (x *instance) look(ctx context.Context) (plan.Seen, error) {
	if x.host == nil {
		return x.lookAtFolder(ctx, virt.Domain{})
	}
	d, err := x.domain(ctx)
	if err != nil {
		return plan.Seen{}, err
	}
	return x.lookAtFolder(ctx, d)
}

func (x *instance) lookAtFolder(ctx context.Context, d virt.Domain) (plan.Seen, error) {
	f, err := x.folder.Look(ctx)
	if err != nil {
		return plan.Seen{}, fmt.Errorf("look at folder %s: %w", x.name, err)
	}
	f.Locked, f.Attempt = false, x.attempt // the lock is ours
	if !x.looked {
		x.outcome.After(f)
		x.looked = true
	}
	return plan.Seen{Domain: d, Folder: &f}, nil
}

// hostTime bounds what is asked of a hypervisor at a time: a QEMU that hangs
// must not hold a run for ever. libvirt itself waits half a minute for a lock.
const hostTime = 2 * time.Minute

func (x *instance) domain(ctx context.Context) (virt.Domain, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	d, err := x.host.Domain(ctx, x.want.UUID)
	if err != nil {
		return virt.Domain{}, fmt.Errorf("look at domain %s: %w", x.want.Domain, err)
	}
	return d, nil
}
