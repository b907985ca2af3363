package plan

import (
	"context"
	"errors"
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
	Free() (int64, error)
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
// changes nothing anywhere.
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

func surveyHost(ctx context.Context, h config.Host, open Openers) Host {
	found := Host{Name: h.Name}
	err := func() error {
		hv, err := open.Host(ctx, h)
		if err != nil {
			return err
		}
		if found.UUID, err = hv.UUID(ctx); err != nil {
			return err
		}
		found.Domains, err = hv.Domains(ctx)
		return err
	}()
	if err != nil {
		return Host{Name: h.Name, Error: err.Error(), Hint: hintOf(err)}
	}
	return found
}

func surveyStore(ctx context.Context, s config.Store, open Openers) Store {
	found := Store{Address: s.Address()}
	err := func() error {
		repository, err := open.Store(s)
		if err != nil {
			return err
		}
		found.ID = repository.ID()
		if found.Free, err = repository.Free(); err != nil {
			return err
		}
		found.Domains, err = repository.Domains(ctx)
		return err
	}()
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
