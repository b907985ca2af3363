package local_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"vbk/store/local"
	"vbk/store/storetest"
)

// eachFS runs a test on a directory and on its twin in memory.
func eachFS(t *testing.T, test func(t *testing.T, fsys local.FS)) {
	t.Run("directory", func(t *testing.T) {
		fsys, err := local.OpenFS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, fsys)
	})
	t.Run("memory", func(t *testing.T) { test(t, storetest.NewDisk()) })
}

func put(t testing.TB, fsys local.FS, name, text string) {
	t.Helper()
	h, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Write([]byte(text))
	if err := errors.Join(err, h.Sync(), h.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestFS is the contract of FS.
func TestFS(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		check := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		check("mkdir", fsys.Mkdir("d"), nil)
		check("mkdir again", fsys.Mkdir("d"), fs.ErrExist)
		check("mkdir below nothing", fsys.Mkdir("x/y"), fs.ErrNotExist)
		put(t, fsys, "d/f", "hello")
		_, err := fsys.Create("d/f")
		check("create again", err, fs.ErrExist)
		_, err = fsys.Open("d/g")
		check("open nothing", err, fs.ErrNotExist)
		_, err = fsys.Open("../d")
		check("open outside", err, fs.ErrInvalid)
		check("link", fsys.Link("d/f", "d/g"), nil)
		check("link over", fsys.Link("d/f", "d/g"), fs.ErrExist)
		check("remove link", fsys.Remove("d/f"), nil)
		check("remove nothing", fsys.Remove("d/f"), fs.ErrNotExist)
		if err := fsys.Remove("d"); err == nil {
			t.Error("a folder that is not empty is removed")
		}
		then := time.Unix(1795311000, 123456789)
		check("touch", fsys.Touch("d/g", then), nil)
		check("touch nothing", fsys.Touch("d/f", then), fs.ErrNotExist)
		want := []local.Entry{{Name: "g", Mode: 0o600, Size: 5, Time: then}}
		if got, err := fsys.List("d"); err != nil || !slices.Equal(got, want) {
			t.Errorf("list: %v, %v", got, err)
		}
		if e, err := fsys.Stat("d"); err != nil || e.Name != "d" || e.Mode != fs.ModeDir|0o700 {
			t.Errorf("stat: %+v, %v", e, err)
		}
		testAppend(t, fsys)
		testWriteAt(t, fsys)
	})
}

// testWriteAt writes in any order, and jumps over a hole.
func testWriteAt(t *testing.T, fsys local.FS) {
	h, err := fsys.Create("raw")
	if err != nil {
		t.Fatal(err)
	}
	_, late := h.WriteAt([]byte("end"), 7)
	_, early := h.WriteAt([]byte("go"), 1)
	if err := errors.Join(late, early, h.Sync(), h.Close()); err != nil {
		t.Fatal(err)
	}
	if h, err = fsys.Open("raw"); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	got := make([]byte, 11)
	if n, _ := h.ReadAt(got, 0); string(got[:n]) != "\x00go\x00\x00\x00\x00end" {
		t.Errorf("found %q", got[:n])
	}
}

func testAppend(t *testing.T, fsys local.FS) {
	for _, want := range []string{"one", "oneone"} {
		h, err := fsys.Append("log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Write([]byte("one")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		if n, _ := h.ReadAt(got, 0); string(got[:n]) != want {
			t.Errorf("log is %q", got[:n])
		}
		if want == "oneone" {
			err = h.Truncate()
		}
		if size, sizeErr := h.Size(); err != nil || sizeErr != nil || want == "oneone" && size != 0 {
			t.Errorf("size %d, %v, %v", size, err, sizeErr)
		}
		if !h.Is("log") || h.Is("d") || h.Is("none") {
			t.Error("handle does not know its file")
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFSLock: exclusive excludes all, shared excludes exclusive; closing frees.
func TestFSLock(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		if err := fsys.Mkdir("d"); err != nil {
			t.Fatal(err)
		}
		open := func() local.Handle {
			h, err := fsys.Open("d") // folders are locked too
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		a, b := open(), open()
		for i, step := range []struct {
			h         local.Handle
			exclusive bool
			want      error
		}{
			{a, true, nil}, {b, true, local.ErrBusy}, {b, false, local.ErrBusy}, {a, false, nil},
			{b, false, nil}, {a, true, local.ErrBusy}, {a, false, nil},
		} {
			if err := step.h.Lock(step.exclusive); !errors.Is(err, step.want) {
				t.Errorf("step %d: %v", i, err)
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Lock(true); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestNoLinkIsFollowed: a symbolic link in the store leads nowhere, be it the
// last part of a name or one before.
func TestNoLinkIsFollowed(t *testing.T) {
	dir, victim := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(victim, "file"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"folder": victim, "file": filepath.Join(victim, "file"), "inside": "real"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "real"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fsys, err := local.OpenFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"folder", "folder/file", "file", "inside", "folder/new"} {
		if h, err := fsys.Open(name); err == nil {
			t.Errorf("open %s: %v", name, h.Close())
		}
		if h, err := fsys.Create(name); err == nil {
			t.Errorf("create %s: %v", name, h.Close())
		}
		if h, err := fsys.Append(name); err == nil {
			t.Errorf("append %s: %v", name, h.Close())
		}
	}
	if err := fsys.Remove("folder/file"); err == nil {
		t.Error("removed through a link")
	}
	if err := fsys.Remove("file"); err != nil { // the link itself
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(victim, "file")); err != nil || string(data) != "precious" {
		t.Errorf("victim: %q, %v", data, err)
	}
}

// TestModes: nobody else can read a store, whatever the umask.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		dir := filepath.Join(t.TempDir(), "store")
		func() {
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			w := newWorld(1)
			s, err := local.Init(dir, start, w.random)
			if err != nil {
				t.Fatal(err)
			}
			w.chainOf(t, s, 2)
			clean(t, s)
		}()
		count := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			count++
			if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
				t.Errorf("umask %o: %s has mode %s", mask, path, info.Mode())
			}
			return nil
		})
		if err != nil || count < 8 {
			t.Errorf("%d entries, %v", count, err)
		}
	}
}

// TestDirectoryRun runs the scenario of the crash tests on a real directory.
func TestDirectoryRun(t *testing.T) {
	fsys, err := local.OpenFS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper()
	k.converge(t, fsys)
	k.audit(t, fsys)
}

// TestLargeFile passes the write-behind windows.
func TestLargeFile(t *testing.T) {
	s, err := local.Init(filepath.Join(t.TempDir(), "s"), start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	f := lock(t, s)
	defer unlock(t, f)
	w, err := f.Create("20261122T013000Z-9f3c", "vda.base.0.00000001.v3")
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for range 100 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil || w.Size() != 100<<20 {
		t.Errorf("%d bytes, %v", w.Size(), err)
	}
	info, err := os.Stat(filepath.Join(s.Path(), folder, "20261122T013000Z-9f3c", "vda.base.0.00000001.v3"))
	if err != nil || info.Size() != 100<<20 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestDiskFull runs on a file system of 1 MiB until it is full: the last point
// fails, the ones before stay, and its files can be removed.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("mount tmpfs: %v", err)
		}
		t.Skipf("cannot mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	w := newWorld(1)
	s, err := local.Init(dir, start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Free()
	if err != nil || before > 1<<20 || before < 1<<19 {
		t.Fatalf("free: %d, %v", before, err)
	}
	f := lock(t, s)
	m := w.newChain(s.ID(), 1)
	for {
		next, err := w.next(f, m)
		if err == nil {
			err = f.Commit(ctx, next)
		}
		if err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
		m = next
	}
	d, err := f.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Leftovers) == 0 || len(d.Chains) != 1 || len(d.Chains[0].Problems) > 0 ||
		!slices.Equal(sequences(d.Chains[0].Manifest), sequences(m)) {
		t.Errorf("found %+v", d)
	}
	if err := f.RemoveLeftovers(ctx, d.Leftovers); err != nil {
		t.Error(err)
	}
	if err := f.Release(ctx, m.Chain); err != nil { // makes room
		t.Error(err)
	}
	unlock(t, f)
	if after, err := s.Free(); err != nil || after < before-1<<16 {
		t.Errorf("free: %d before, %d after, %v", before, after, err)
	}
	clean(t, s)
}
