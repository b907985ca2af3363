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
	Images Images // of domains that are shut off; nil: QEMUImages
	Now    func() time.Time
	Random io.Reader
	Self   store.Attempt                                    // host, boot id and pid of this process
	Events func(Event)                                      // called from several goroutines at once
	Space  func(path string) (free, total int64, err error) // bytes of the file system of path; nil: statfs(2)

	// Trace is told what a run does besides its events, with pairs of a name and a
	// value, for a log; nil: nobody is. Called from several goroutines at once.
	Trace func(what string, about ...any)

	// Guard starts what thaws a guest if this process ends before release is called;
	// nil: nothing does, before the next run.
	Guard func(uri, uuid string) (release func() error, err error)

	Dir         string // where hooks run; "": where this process does
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
	Freeze(ctx context.Context, uuid string, mountPoints []string) error
	Thaw(ctx context.Context, uuid string) error
	AbortZombie(ctx context.Context, uuid string, targets []string) error
	EndLeftover(ctx context.Context, uuid, folder string) (ended bool, err error)
	DeleteCheckpoint(ctx context.Context, uuid, name string) error
	RedefineCheckpoint(ctx context.Context, uuid, doc string) error
	ForgetCheckpoint(ctx context.Context, uuid, name string) error
	StartPaused(ctx context.Context, uuid string) (id int, err error)
	EndPaused(ctx context.Context, uuid string, id int) error
	DefineSecret(ctx context.Context, uuid, description string, value []byte) error
	ForgetSecret(ctx context.Context, uuid string) error
}

// Store is a place for restore points.
type Store interface {
	Lock(ctx context.Context, folder string, a store.Attempt) (Folder, error)
	OpenChain(folder, chain string) (Chain, error)
	Free() (int64, error) // bytes that may still be written

	// VerifyPoint reads every byte of the files that a point has for itself, and
	// returns what is wrong with them; read is told what it reads.
	VerifyPoint(ctx context.Context, folder, chain string, sequence int, read func(bytes int64)) (store.Verified, error)
	// RecordVerified notes beside the manifest what was found.
	RecordVerified(ctx context.Context, folder, chain, version string, some []store.Verified) error
	// RecordFailure notes beside the chains how an attempt went of which there is no point.
	RecordFailure(ctx context.Context, folder string, of store.Outcomes, f store.Failure) error
}

// Folder is the locked folder of a domain.
type Folder interface {
	Previous() *store.Attempt // the record an interrupted run left, nil if none
	Record(a store.Attempt) error
	Look(ctx context.Context) (store.Domain, error)
	Create(chain, name string) (NewFile, error) // Close syncs
	Write(chain, name string, data []byte) (store.File, error)
	Commit(ctx context.Context, m store.Manifest) error
	Release(ctx context.Context, chain string) error
	RemoveLeftovers(ctx context.Context, paths []string) error
	CanShare(chain, name string) bool             // new files can share ranges with this one
	Trim(ctx context.Context, chain string) error // what the newest manifest does not name goes
	Unlock() error                                // the record goes
	Abandon() error                               // the record stays for the next run
}

// NewFile is a file while it is written: by Write, or by WriteAt, one goroutine at
// a time; what WriteAt jumps over is a hole.
type NewFile interface {
	io.WriteCloser
	io.WriterAt
	Share(name string, offset, length int64) error // appends a range of a file of the chain
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
