//go:build cgo

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vbk/store/storetest"
)

// away is a libvirt that does not run: stores are looked at all the same.
const away = "qemu:///system?socket=/nonexistent/libvirt-sock"

// store runs init with a store at path, and returns what it says.
func (s *someone) store(t *testing.T, path string) string {
	t.Helper()
	s.has(t, away, "/var/tmp", path)
	return s.vbk(t, exitUsage, "init")
}

func (i initiate) testStores(t *testing.T) {
	t.Run("odd", i.testOdd)
	t.Run("another user", func(t *testing.T) {
		s := i.as(t, nobody)
		path := filepath.Join(s.dir, "store")
		out := s.store(t, path)
		wantText(t, out, "vbk: store.local.backup: init store: mkdir "+path+": permission denied\n", "vbk: hint: run vbk as root, or as root: install -d -o $USER "+path)
		mend(t, strings.ReplaceAll(out, "run vbk as root, or as root: ", ""), "store.local.backup", "USER=nobody")
		wantText(t, s.store(t, path), "ok store.local.backup: "+path+" is new, marked")
		wantText(t, s.store(t, path), "is a store already")
	})
	t.Run("the parent is missing", func(t *testing.T) {
		s := i.as(t, 0)
		path := filepath.Join(s.dir, "none", "store")
		mend(t, s.store(t, path), "no such file or directory\n")
		wantText(t, s.store(t, path), "is new, marked")
	})
	t.Run("read-only", func(t *testing.T) {
		s := i.as(t, 0)
		loop := storetest.NewLoop(t, "ext4", 16<<20)
		if err := syscall.Mount("", loop.Dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		mend(t, s.store(t, loop.Dir), "read-only file system\n")
		wantText(t, s.store(t, loop.Dir), "is new, marked")
	})
	t.Run("no inodes", i.testNoInodes)
	t.Run("no hard links", func(t *testing.T) {
		s, fat := i.as(t, 0), exfat(t)
		wantText(t, s.store(t, filepath.Join(fat, "store")), "try hard links: link vbk.json.", "operation not permitted\n", "vbk: hint: the file system of a store needs hard links (ext4, XFS, Btrfs, ZFS, NFS have them): findmnt -T "+fat)
		wantEmpty(t, filepath.Join(fat, "store"))
	})
	t.Run("a newer mark", func(t *testing.T) {
		s := i.as(t, 0)
		path := filepath.Join(s.dir, "store")
		s.store(t, path)
		mark := filepath.Join(path, "vbk.json")
		text, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		newer := strings.Replace(string(text), `"format_version": 1`, `"format_version": 2`, 1)
		if err := os.WriteFile(mark, []byte(newer), 0o600); err != nil || newer == string(text) {
			t.Fatalf("%s: %v", text, err)
		}
		wantText(t, s.store(t, path), "made by another version of vbk: format version 2, this vbk knows 1\n", "vbk: hint: apt install --only-upgrade vbk")
		if again, err := os.ReadFile(mark); err != nil || string(again) != newer {
			t.Errorf("the mark is %s (%v)", again, err)
		}
	})
	t.Run("at once", func(t *testing.T) {
		s := i.as(t, 0)
		path := filepath.Join(s.dir, "store")
		s.has(t, away, "/var/tmp", path)
		var said [8]string
		var group sync.WaitGroup
		for n := range said {
			group.Go(func() { said[n] = s.vbk(t, exitUsage, "init") })
		}
		group.Wait()
		want := s.store(t, path)
		_, want, _ = strings.Cut(want, "(id ")
		for _, out := range said {
			wantText(t, out, "(id "+want[:8]+")")
		}
	})
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v (%v)", left, err)
	}
}

// testOdd: a file system that lacks what points need is not marked, and nothing is left
// on it; one that is merely odd serves.
func (i initiate) testOdd(t *testing.T) {
	for name, c := range map[string]struct {
		odd        storetest.Odd
		want, hint string
	}{
		"no lock service":    {storetest.Odd{Lock: syscall.ENOLCK}, "try locks: flock vbk.json.", "systemctl start rpc-statd"},
		"no flock":           {storetest.Odd{Lock: syscall.ENOSYS}, "function not implemented", "systemctl start rpc-statd"},
		"no links":           {storetest.Odd{Link: syscall.EOPNOTSUPP}, "try hard links: link vbk.json.", "the file system of a store needs hard links"},
		"no sync":            {storetest.Odd{Sync: syscall.EIO}, "try sync: sync vbk.json.", "what is written there may not survive a power failure"},
		"no sync of folders": {storetest.Odd{SyncDir: syscall.EINVAL}, "try sync: sync .: invalid argument", "what is written there may not survive a power failure"},
		"short names":        {storetest.Odd{LongName: 100}, "try long names: a name of 128 bytes: ", "the file system of a store needs names of 128 bytes"},
		"quota of bytes":     {storetest.Odd{Write: syscall.EDQUOT}, "disk quota exceeded", "quota -s shows"},
		"quota of files":     {storetest.Odd{Create: syscall.EDQUOT}, "disk quota exceeded", "quota -s shows"},
		"full":               {storetest.Odd{Write: syscall.ENOSPC}, "no space left on device", "df -h "},
		"stale":              {storetest.Odd{Create: syscall.ESTALE}, "stale file handle", "umount -l $(findmnt "},
		"eCryptfs":           {storetest.Odd{LongName: 143}, "is new, marked", ""},
		"folds case":         {storetest.Odd{FoldCase: true}, "is new, marked", ""},
		"another clock":      {storetest.Odd{Skew: -25 * time.Hour}, "is new, marked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, under := storetest.NewOdd(t, c.odd)
			s := i.as(t, 0)
			out := s.store(t, dir)
			wantText(t, out, c.want)
			if c.hint != "" {
				wantText(t, out, "vbk: store.local.backup: init store "+dir+": ", "vbk: hint: "+c.hint)
				wantEmpty(t, under)
				return
			}
			wantText(t, s.store(t, dir), "is a store already")
			if left, err := os.ReadDir(under); err != nil || len(left) != 1 {
				t.Errorf("it leaves %v (%v)", left, err)
			}
		})
	}
}

// testNoInodes: there is room for bytes, and for no file.
func (i initiate) testNoInodes(t *testing.T) {
	s := i.as(t, 0)
	loop := storetest.NewLoop(t, "ext4", 4<<20)
	dir := filepath.Join(loop.Dir, "store")
	ballast := filepath.Join(loop.Dir, "ballast")
	if err := os.Mkdir(ballast, 0o700); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if err := os.WriteFile(filepath.Join(ballast, fmt.Sprint(n)), nil, 0o600); err != nil {
			break
		}
	}
	wantText(t, s.store(t, dir), "mkdir "+dir+": no space left on device\n", "vbk: hint: no more files can be made: df -i "+dir)
	if err := os.RemoveAll(ballast); err != nil {
		t.Fatal(err)
	}
	wantText(t, s.store(t, dir), "is new, marked")
}

// testUnmounted: where /etc/fstab wants a file system that is not mounted, no store is made
// underneath; the hint mounts it, and there it is.
func (i initiate) testUnmounted(t *testing.T) {
	s := i.as(t, 0)
	loop := storetest.NewLoop(t, "ext4", 16<<20)
	wantText(t, s.store(t, loop.Dir), "is new, marked")
	loop.Unmount()
	table := filepath.Join(s.dir, "fstab")
	if err := os.WriteFile(table, []byte(loop.Image()+" "+loop.Dir+" ext4 loop,noauto 0 0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/etc/fstab"); err != nil { // what is mounted over has to exist
		if err := os.WriteFile("/etc/fstab", nil, 0o644); err != nil {
			t.Fatal(err)
		}
		defer os.Remove("/etc/fstab")
	}
	if err := syscall.Mount(table, "/etc/fstab", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount("/etc/fstab", syscall.MNT_DETACH) }()
	out := s.store(t, loop.Dir)
	wantText(t, out, loop.Dir+" is no store, and nothing is mounted at "+loop.Dir+", as /etc/fstab says\n")
	wantEmpty(t, loop.Dir)
	mend(t, out, "as /etc/fstab says\n")
	wantText(t, s.store(t, loop.Dir), "is a store already")
}

// exfat mounts a file system without hard links.
func exfat(t *testing.T) string {
	t.Helper()
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), "image")
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
				t.Fatalf("VBK_REQUIRE_PEERS=1: %s: %v: %s", name, err, out)
			}
			t.Skipf("%s: %v: %s", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256<<20); err != nil {
		t.Fatal(err)
	}
	run("mkfs.exfat", image)
	device := run("losetup", "--find", "--show", image)
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() }) // nothing else uses it
	run("mount.exfat-fuse", device, dir)
	t.Cleanup(func() { run("umount", dir) })
	return dir
}
