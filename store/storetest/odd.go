//go:build linux

package storetest

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Odd says how a file system differs from what one expects. An error of 0 is none.
type Odd struct {
	Lock     syscall.Errno // of flock(2), as NFS without its lock service has it
	Link     syscall.Errno // of hard links
	Create   syscall.Errno // of new files and folders
	Write    syscall.Errno
	Sync     syscall.Errno // of files
	SyncDir  syscall.Errno // of folders
	LongName int           // bytes of the longest name; 0: 255
	FoldCase bool          // names that differ in case alone are the same
	Skew     time.Duration // of its clock against ours

	NoSockets bool
}

// NewOdd mounts an empty one for a test, through FUSE. It is for programs that the
// test runs: this process serves it, and would wait for itself there. What is on it
// is in under as well. Where nothing can be mounted the test is skipped with
// the reason; with VBK_REQUIRE_PEERS=1 it fails.
func NewOdd(t testing.TB, odd Odd) (dir, under string) {
	t.Helper()
	under, dir = t.TempDir(), t.TempDir()
	root := &fs.LoopbackRoot{Path: under}
	top := &oddNode{LoopbackNode: fs.LoopbackNode{RootData: root}, odd: odd}
	root.RootNode = top
	none := time.Duration(0)
	server, err := fs.Mount(dir, top, &fs.Options{EntryTimeout: &none, AttrTimeout: &none, NegativeTimeout: &none,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, AllowOther: true, EnableLocks: odd.Lock != 0, Name: "odd", FsName: "odd", Options: []string{"default_permissions"}}})
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: mount by FUSE: %v", err)
		}
		t.Skipf("mount by FUSE: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH); server.Wait() })
	return dir, under
}

// oddNode is a file or folder of an odd file system.
type oddNode struct {
	fs.LoopbackNode
	odd Odd
}

// WrapChild makes what is in it odd as well.
func (n *oddNode) WrapChild(context.Context, fs.InodeEmbedder) fs.InodeEmbedder {
	return &oddNode{LoopbackNode: fs.LoopbackNode{RootData: n.RootData}, odd: n.odd}
}

// name says why a new one cannot be.
func (n *oddNode) name(name string) syscall.Errno {
	if n.odd.LongName > 0 && len(name) > n.odd.LongName {
		return syscall.ENAMETOOLONG
	}
	if n.odd.FoldCase && n.twin(name) {
		return syscall.EEXIST
	}
	return n.odd.Create
}

// twin says whether a name differs from one that exists in case alone.
func (n *oddNode) twin(name string) bool {
	children, errno := n.Readdir(context.Background())
	if errno != 0 {
		return false
	}
	defer children.Close()
	for children.HasNext() {
		if c, errno := children.Next(); errno == 0 && c.Name != name && strings.EqualFold(c.Name, name) {
			return true
		}
	}
	return false
}

func (n *oddNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.odd.FoldCase && n.twin(name) { // who asks for it takes it for another: let that be noticed
		return nil, syscall.EUCLEAN
	}
	child, errno := n.LoopbackNode.Lookup(ctx, name, out)
	n.skew(&out.Attr)
	return child, errno
}

func (n *oddNode) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Getattr(ctx, f, out)
	n.skew(&out.Attr)
	return errno
}

func (n *oddNode) skew(a *fuse.Attr) {
	a.Mtime = uint64(int64(a.Mtime) + int64(n.odd.Skew/time.Second))
}

func (n *oddNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno := n.name(name); errno != 0 {
		return nil, nil, 0, errno
	}
	child, h, flags, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return child, ours(h), flags, errno
}

func (n *oddNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, flags, errno := n.LoopbackNode.Open(ctx, flags)
	return ours(h), flags, errno
}

func ours(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(*fs.LoopbackFile); ok {
		return oddFile{f}
	}
	return h
}

// oddFile is an open one with which the kernel does nothing without us.
type oddFile struct{ *fs.LoopbackFile }

func (oddFile) PassthroughFd() (int, bool) { return 0, false }

func (n *oddNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno := n.name(name); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Mkdir(ctx, name, mode, out)
}

func (n *oddNode) Mknod(ctx context.Context, name string, mode, device uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.odd.NoSockets {
		return nil, syscall.EPERM
	}
	return n.LoopbackNode.Mknod(ctx, name, mode, device, out)
}

func (n *oddNode) Link(ctx context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if n.odd.Link != 0 {
		return nil, n.odd.Link
	}
	if errno := n.name(name); errno != 0 {
		return nil, errno
	}
	return n.LoopbackNode.Link(ctx, target, name, out)
}

func (n *oddNode) Write(ctx context.Context, f fs.FileHandle, data []byte, offset int64) (uint32, syscall.Errno) {
	if n.odd.Write != 0 {
		return 0, n.odd.Write
	}
	return f.(fs.FileWriter).Write(ctx, data, offset)
}

func (n *oddNode) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	if n.odd.Sync != 0 {
		return n.odd.Sync
	}
	return f.(fs.FileFsyncer).Fsync(ctx, flags)
}

func (n *oddNode) Setlk(context.Context, fs.FileHandle, uint64, *fuse.FileLock, uint32) syscall.Errno {
	return n.odd.Lock
}

func (n *oddNode) Setlkw(context.Context, fs.FileHandle, uint64, *fuse.FileLock, uint32) syscall.Errno {
	return n.odd.Lock
}

func (n *oddNode) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, flags, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &oddFolder{h.(folder), n.odd}, flags, 0
}

// folder is an open one, as the loopback has it.
type folder interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
	fs.FileFsyncdirer
}

type oddFolder struct {
	folder
	odd Odd
}

func (f *oddFolder) Fsyncdir(ctx context.Context, flags uint32) syscall.Errno {
	if f.odd.SyncDir != 0 {
		return f.odd.SyncDir
	}
	return f.folder.Fsyncdir(ctx, flags)
}
