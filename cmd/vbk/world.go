package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/nbd"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
	"vbk/virt"
	"vbk/virt/libvirt"
)

// hypervisor is an opened host.
type hypervisor interface {
	plan.Hypervisor
	executor.Host
	machines
	Abilities(ctx context.Context) (virt.Abilities, error)
	Close() error
}

// openLibvirt opens a real host, whose calls go into the log.
func (env *environment) openLibvirt(ctx context.Context, uri string, readOnly bool) (hypervisor, error) {
	host, err := libvirt.Connect(ctx, uri, readOnly)
	if err != nil {
		return nil, mendConnection(err)
	}
	host.Trace = env.logs().call(uri)
	return host, nil
}

func dialNBD(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
	return nbd.Dial(ctx, socket, export, nbd.Options{Bitmap: bitmap})
}

// world holds the hosts and stores that a command has opened.
type world struct {
	env      *environment
	readOnly bool
	mu       sync.Mutex
	hosts    map[string]hypervisor
	stores   map[string]*local.Store
}

func (env *environment) newWorld(readOnly bool) *world {
	return &world{env: env, readOnly: readOnly, hosts: map[string]hypervisor{}, stores: map[string]*local.Store{}}
}

// openers open hosts and stores for a survey and keep them for the run.
func (w *world) openers() plan.Openers {
	return plan.Openers{
		Host: func(ctx context.Context, h config.Host) (plan.Hypervisor, error) {
			began := w.env.now()
			opened, err := w.env.openHost(ctx, h.URI, w.readOnly)
			w.env.logs().opened("host", h.Name, h.URI, began, w.env.now(), err)
			if err != nil {
				return nil, err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.hosts[h.Name] = opened
			return opened, nil
		},
		Store: func(s config.Store) (plan.Repository, error) {
			began := w.env.now()
			opened, err := w.openStore(s)
			w.env.logs().opened("store", s.Address(), s.Path, began, w.env.now(), err)
			return opened, err
		},
	}
}

func (w *world) openStore(s config.Store) (*local.Store, error) {
	if s.Kind != "local" {
		return nil, errors.New(s.Pending[0])
	}
	opened, err := local.Open(s.Path)
	if errors.Is(err, store.ErrNotMarked) || errors.Is(err, os.ErrNotExist) {
		return nil, hint(err, "is its file system mounted? vbk init makes %s a new, empty store", s.Path)
	}
	if err == nil && !w.readOnly {
		err = opened.Writable()
	}
	if err != nil {
		return nil, mended(err, s.Path)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stores[s.Address()] = opened
	return opened, nil
}

// bindings are what the executor acts with.
func (w *world) bindings(parallel int, events func(executor.Event)) executor.Bindings {
	hostname, _ := os.Hostname() // only for messages
	bootID, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	b := executor.Bindings{
		Hosts: map[string]executor.Host{}, Stores: map[string]executor.Store{},
		Dial: w.env.dial, Now: w.env.now, Random: w.env.random, Events: w.env.logs().events(events), Trace: w.env.logs().trace,
		Self: store.Attempt{Host: hostname, BootID: strings.TrimSpace(string(bootID)), PID: os.Getpid()},
		Dir:  w.env.dir, Guard: w.env.guards(guardFrozen), Version: version, Parallel: parallel,
	}
	w.mu.Lock() // a host that was given up may still be opening
	defer w.mu.Unlock()
	for name, h := range w.hosts {
		b.Hosts[name] = h
	}
	for address, s := range w.stores {
		b.Stores[address] = bind.Store{Store: s}
	}
	return b
}

func (w *world) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.hosts {
		_ = h.Close() // nothing is pending on a connection after a command
	}
}

// load reads the configuration and prints what is wrong with it.
func (env *environment) load() (*config.Config, error) { return env.loadFrom(env.dir) }

// loadFrom is load for another directory.
func (env *environment) loadFrom(dir string) (*config.Config, error) {
	return env.loadWith(dir, env.inputs())
}

func (env *environment) loadWith(dir string, in config.Inputs) (*config.Config, error) {
	cfg, files, diags := config.Load(dir, in)
	env.files = files
	for _, d := range diags {
		env.tellDiagnostic(diagnosticOf(d, files))
	}
	if cfg != nil {
		env.logs().hide(secretsOf(cfg))
	}
	if len(diags) > 0 {
		if err := config.WriteDiagnostics(env.stderr, files, diags, env.diagnosticWidth(), env.errColor); err != nil {
			return nil, fmt.Errorf("print diagnostics: %w", err)
		}
	}
	if diags.HasErrors() {
		return nil, exit(exitUsage)
	}
	return cfg, nil
}
