package local_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"vbk/store/local"
	"vbk/store/storetest"
)

// TestDirect: large writes of many goroutines, aligned or not, and small ones
// between them make the file that they should, and where a file system writes
// directly nothing of the large ones stays in the page cache.
func TestDirect(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) { writesDirectly(t, storetest.NewLoop(t, kind, 512<<20).Dir, true) })
	}
	t.Run("tmpfs", func(t *testing.T) { writesDirectly(t, mountTmpfs(t), false) })
}

func writesDirectly(t *testing.T, dir string, direct bool) {
	const size, large, small = 24 << 20, 1 << 20, 4096
	want := make([]byte, size)
	_, _ = rand.Read(want) // never fails
	fsys, err := local.OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	h, err := fsys.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	put := func(from, to int) {
		group.Go(func() {
			if n, err := h.WriteAt(want[from:to], int64(from)); n != to-from || err != nil {
				t.Errorf("write %d bytes at %d: %d, %v", to-from, from, n, err)
			}
		})
	}
	put(0, small)
	for at := small; at < size; at += large {
		put(at, min(at+large, size)) // the last one is shorter, and aligned
	}
	group.Wait()
	put(5*large+1, 6*large+100) // once more, at no multiple of anything
	group.Wait()
	if err := errors.Join(h.Sync(), h.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	if resident := residentPages(t, path, size); direct && resident > 3*large/os.Getpagesize() {
		t.Errorf("%d pages of %d are in the page cache", resident, size/os.Getpagesize())
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file is another, %v", err)
	}
}

// residentPages is how many pages of a file the page cache holds.
func residentPages(t *testing.T, path string, size int) (resident int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	pages := make([]byte, size/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(size), uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		resident += int(p & 1)
	}
	return resident
}

func mountTmpfs(t *testing.T) string {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}
