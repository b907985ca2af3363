package executor

import (
	"context"
	"io"
	"time"

	"vbk/store"
	"vbk/virt"
)

// Bindings are what a run acts with. cmd binds them; the executor never reads
// the configuration.
type Bindings struct {
	Hosts  map[string]Host  // by name
	Stores map[string]Store // by address
	Dial   func(ctx context.Context, socket, export, bitmap string) (Export, error)
	Now    func() time.Time
	Random io.Reader
	Self   store.Attempt                                    // host, boot id and pid of this process
	Events func(Event)                                      // called from several goroutines at once
	Space  func(path string) (free, total int64, err error) // bytes of the file system of path; nil: statfs(2)

	Version     string
	Parallel    int           // instances side by side in all; each host bounds its own
	LockTimeout time.Duration // how long to wait for another vbk
}

// Host is a hypervisor. virt/libvirt and virt/virttest have one.
type Host interface {
	Domain(ctx context.Context, uuid string) (virt.Domain, error)
	DomainXML(ctx context.Context, uuid string) (string, error)
	CheckpointXML(ctx context.Context, uuid, name string) (string, error)
	BeginBackup(ctx context.Context, uuid string, b virt.Backup) error
	EndBackup(ctx context.Context, uuid, socket string) error
	AbortZombie(ctx context.Context, uuid string, targets []string) error
	DeleteCheckpoint(ctx context.Context, uuid, name string) error
}

// Store is a place for restore points.
type Store interface {
	Lock(ctx context.Context, folder string, a store.Attempt) (Folder, error)
	OpenChain(folder, chain string) (Chain, error)
}

// Folder is the locked folder of a domain.
type Folder interface {
	Previous() *store.Attempt // the record an interrupted run left, nil if none
	Record(a store.Attempt) error
	Look(ctx context.Context) (store.Domain, error)
	Create(chain, name string) (io.WriteCloser, error) // Close syncs
	Write(chain, name string, data []byte) (store.File, error)
	Commit(ctx context.Context, m store.Manifest) error
	Release(ctx context.Context, chain string) error
	RemoveLeftovers(ctx context.Context, paths []string) error
	Unlock() error  // the record goes
	Abandon() error // the record stays for the next run
}

// Chain is a chain opened for reading; it is not deleted before it is closed.
type Chain interface {
	Manifest() store.Manifest
	Open(name string) (ChainFile, error)
	ReadFile(name string) ([]byte, error) // a small file, bounded, its size and hash compared
	Close() error
}

// ChainFile is a file of a chain.
type ChainFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
