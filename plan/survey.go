package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// Hypervisor is what a survey needs of a host. A read-only connection serves.
type Hypervisor interface {
	UUID(ctx context.Context) (string, error)
	Domains(ctx context.Context) ([]virt.Domain, error)
}

// Repository is what a survey needs of a store.
type Repository interface {
	ID() string
	Free() (int64, error) // bytes
	Size() (int64, error) // bytes
	Domains(ctx context.Context) ([]store.Domain, error)
}

// Openers open what a configuration names. An error stays with its host or
// store; the others are surveyed all the same.
type Openers struct {
	Host  func(context.Context, config.Host) (Hypervisor, error)
	Store func(config.Store) (Repository, error)
}

// Hinter is an error that knows what to do about it.
type Hinter interface{ Hint() string }

// Survey looks at every host and store of a configuration, all at once. It
// changes nothing anywhere. A store that has not answered after a minute, a
// host after five, or either when ctx ends, is an error like any other.
func Survey(ctx context.Context, want *config.Config, open Openers, now time.Time) Inventory {
	v := Inventory{Taken: now, Hosts: make([]Host, len(want.Hosts)), Stores: make([]Store, len(want.Stores))}
	var all sideBySide
	for i, h := range want.Hosts {
		all.do(func() { v.Hosts[i] = surveyHost(ctx, h, open) })
	}
	for i, s := range want.Stores {
		all.do(func() { v.Stores[i] = surveyStore(ctx, s, open) })
	}
	all.wait()
	return v
}

// sideBySide runs functions at once. A panic in one is raised again by wait:
// left in its goroutine it would end the process with Go's exit code 2, which
// for a plan means that there are changes.
type sideBySide struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	bug any
}

func (s *sideBySide) do(f func()) {
	s.wg.Go(func() {
		defer func() {
			if bug := recover(); bug != nil {
				s.mu.Lock()
				s.bug = bug
				s.mu.Unlock()
			}
		}()
		f()
	})
}

func (s *sideBySide) wait() {
	s.wg.Wait()
	if s.bug != nil {
		panic(s.bug)
	}
}

// How long a survey waits for an answer. A mount whose server is gone blocks
// whoever touches it, and no signal ends that.
const (
	hostPatience  = 5 * time.Minute
	storePatience = time.Minute
)

type answer[T any] struct {
	value T
	err   error
	bug   any
}

// askWithin waits for ask until ctx ends or patience does. Its goroutine stays
// where it hangs, so ask shares nothing with the caller; what it opened is then
// not closed.
func askWithin[T any](ctx context.Context, patience time.Duration, who string, ask func(context.Context) (T, error)) (T, error) {
	late := fmt.Errorf("%s did not answer within %.0fs", who, patience.Seconds())
	ctx, cancel := context.WithTimeoutCause(ctx, patience, late)
	defer cancel()
	answers := make(chan answer[T], 1)
	go func() {
		var a answer[T]
		defer func() {
			a.bug = recover()
			answers <- a
		}()
		a.value, a.err = ask(ctx)
	}()
	var none T
	select {
	case a := <-answers:
		if a.bug != nil {
			panic(a.bug)
		}
		if a.err != nil && errors.Is(a.err, ctx.Err()) { // ask heeds ctx
			return none, context.Cause(ctx)
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// pendingHint is what to do about what the language has and this version does not
// act on.
const pendingHint = "vbk validate shows where it stands in the configuration: take it out"

func surveyHost(ctx context.Context, h config.Host, open Openers) Host {
	if len(h.Pending) > 0 {
		return Host{Name: h.Name, Error: strings.Join(h.Pending, "; "), Hint: pendingHint}
	}
	found, err := askWithin(ctx, hostPatience, "host", func(bounded context.Context) (Host, error) {
		found := Host{Name: h.Name}
		hv, err := open.Host(ctx, h) // the connection outlives the survey
		if err != nil {
			return found, err
		}
		if found.UUID, err = hv.UUID(bounded); err != nil {
			return found, err
		}
		found.Domains, err = hv.Domains(bounded)
		return found, err
	})
	if err != nil {
		return Host{Name: h.Name, Error: err.Error(), Hint: hintOf(err)}
	}
	return found
}

func surveyStore(ctx context.Context, s config.Store, open Openers) Store {
	if len(s.Pending) > 0 {
		return Store{Address: s.Address(), Error: strings.Join(s.Pending, "; "), Hint: pendingHint}
	}
	found, err := askWithin(ctx, storePatience, "store", func(ctx context.Context) (Store, error) {
		found := Store{Address: s.Address()}
		repository, err := open.Store(s)
		if err != nil {
			return found, err
		}
		found.ID = repository.ID()
		if found.Free, err = repository.Free(); err != nil {
			return found, err
		}
		if found.Size, err = repository.Size(); err != nil {
			return found, err
		}
		found.Domains, err = repository.Domains(ctx)
		return found, err
	})
	if err != nil {
		return Store{Address: s.Address(), Error: err.Error(), Hint: hintOf(err)}
	}
	return found
}

func hintOf(err error) string {
	var h Hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
