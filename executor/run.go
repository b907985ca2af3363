package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"vbk/plan"
	"vbk/store"
)

// Result counts what a run did.
type Result struct {
	Done, Skipped, Failed int // actions; a refused or failed instance counts as one Failed
}

// Run does what the plan says, and nothing else. Instances fail alone: the
// others go on. Cancelling ctx ends running jobs cleanly; what has not begun is
// not begun.
func Run(ctx context.Context, p plan.Plan, b Bindings) Result {
	r := &run{Bindings: b, hosts: map[string]chan struct{}{}}
	for _, i := range p.Instances {
		if r.hosts[i.Want.Host.Name] == nil {
			r.hosts[i.Want.Host.Name] = make(chan struct{}, max(1, i.Want.Host.MaxParallel))
		}
	}
	var group errgroup.Group
	group.SetLimit(max(1, b.Parallel))
	for _, same := range byDomain(p.Instances) {
		group.Go(func() error {
			for _, i := range same {
				r.bounded(ctx, i)
			}
			return nil
		})
	}
	_ = group.Wait() // failures are events, the goroutines return none
	return r.result
}

// byDomain groups instances, because libvirt runs one backup job a domain.
func byDomain(all []plan.Instance) [][]plan.Instance {
	index := map[string]int{}
	var groups [][]plan.Instance
	for _, i := range all {
		if len(i.Actions) == 0 && i.Error == "" {
			continue
		}
		n, ok := index[i.Want.UUID]
		if !ok {
			n = len(groups)
			index[i.Want.UUID] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

type run struct {
	Bindings
	hosts  map[string]chan struct{} // one token for each domain side by side
	mu     sync.Mutex
	result Result
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
	tokens := r.hosts[i.Want.Host.Name]
	select {
	case tokens <- struct{}{}:
		defer func() { <-tokens }()
	case <-ctx.Done():
		return
	}
	if ctx.Err() != nil {
		return
	}
	if i.Error != "" {
		r.emit(Event{Kind: Failed, Address: i.Want.Address, Err: errors.New(i.Error), Hint: i.Hint})
	}
	if len(i.Actions) == 0 {
		return
	}
	if err := r.instance(ctx, i); err != nil {
		r.emit(Event{Kind: Failed, Address: i.Want.Address, Err: err, Hint: hintOf(err)})
	}
}

// instance is one instance under its lock.
type instance struct {
	*run
	want   plan.Want
	host   Host
	store  Store
	folder Folder
	name   string // of the folder

	// attempt is the record of what is to be cleaned up: what an interrupted
	// run left, then what this one has begun; nil once that is done.
	attempt *store.Attempt
}

func (r *run) instance(ctx context.Context, i plan.Instance) (err error) {
	x := &instance{run: r, want: i.Want, host: r.Hosts[i.Want.Host.Name], store: r.Stores[i.Want.Store.Address()], name: i.Folder}
	if x.host == nil || x.store == nil {
		return fmt.Errorf("host %q or %s is not open", i.Want.Host.Name, i.Want.Store.Address())
	}
	if x.name == "" {
		x.name = store.FolderName(i.Want.Domain, i.Want.UUID)
	}
	if x.folder, err = x.lock(ctx); err != nil {
		return err
	}
	x.attempt = x.folder.Previous()
	defer func() {
		if cleanErr := x.finish(ctx); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
	}()
	return x.actions(ctx, i.Actions)
}

// lock waits for another vbk as long as it may.
func (x *instance) lock(ctx context.Context) (Folder, error) {
	deadline := time.After(x.LockTimeout)
	for {
		f, err := x.store.Lock(ctx, x.name, x.self())
		var locked *store.LockedError
		if err == nil || x.LockTimeout == 0 || !errors.As(err, &locked) {
			return f, err
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
	cleaned, err := x.cleanup(ctx)
	if err != nil {
		return err
	}
	for _, a := range planned {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if a.Kind == plan.KindCleanup {
			x.report(a, cleaned)
			continue
		}
		now, err := x.decide(ctx)
		if err != nil {
			return err
		}
		action, verdict, why := plan.Check(a, now)
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

func (x *instance) report(a plan.Action, cleaned bool) {
	if cleaned {
		x.emit(Event{Kind: Done, Address: x.want.Address, Action: &a})
		return
	}
	x.emit(Event{Kind: Skipped, Address: x.want.Address, Action: &a, Why: "nothing is left to clean up"})
}

func (x *instance) act(ctx context.Context, a plan.Action) error {
	x.emit(Event{Kind: Started, Address: x.want.Address, Action: &a})
	done := Event{Kind: Done, Address: x.want.Address, Action: &a}
	switch a.Kind {
	case plan.KindBackup:
		chain, point, err := x.backup(ctx, a)
		if err != nil {
			return err
		}
		done.Chain, done.Point = chain, &point
	case plan.KindPrune:
		if err := x.folder.Release(ctx, a.Prune.Chain); err != nil {
			return fmt.Errorf("prune chain %s: %w", a.Prune.Chain, err)
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
	d, err := x.host.Domain(ctx, x.want.UUID)
	if err != nil {
		return plan.Seen{}, fmt.Errorf("look at domain %s: %w", x.want.Domain, err)
	}
	f, err := x.folder.Look(ctx)
	if err != nil {
		return plan.Seen{}, fmt.Errorf("look at folder %s: %w", x.name, err)
	}
	f.Locked, f.Attempt = false, x.attempt // the lock is ours
	return plan.Seen{Domain: d, Folder: &f}, nil
}
