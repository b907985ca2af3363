package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"vbk/store/virtnbdbackup/virtnbdtest"
)

// oneFile is the path that a pattern matches.
func oneFile(ts *testscript.TestScript, pattern string) string {
	found, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%s matches %d files: %v", pattern, len(found), found)
	}
	return found[0]
}

func rewriteFile(ts *testscript.TestScript, pattern string, change func([]byte) []byte) {
	path := oneFile(ts, pattern)
	text, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, change(text), 0o600))
}

// writeProgram is program DIR: this test binary as a program called vbk.
func writeProgram(ts *testscript.TestScript, _ bool, args []string) {
	self, err := os.Executable()
	ts.Check(err)
	text := fmt.Sprintf("#!/bin/sh\nVBK_TEST_PROGRAM=1 exec %s \"$@\"\n", self)
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "vbk"), []byte(text), 0o755))
}

// flip is flip FILE: the lowest bit of the byte in the middle.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	rewriteFile(ts, args[0], func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
}

// truncate is truncate FILE: half of it.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	rewriteFile(ts, args[0], func(b []byte) []byte { return b[:len(b)/2] })
}

// replaceText is replace FILE OLD NEW: every OLD, and there is one.
func replaceText(ts *testscript.TestScript, _ bool, args []string) {
	rewriteFile(ts, args[0], func(b []byte) []byte {
		if !bytes.Contains(b, []byte(args[1])) {
			ts.Fatalf("%s does not contain %q", args[0], args[1])
		}
		return bytes.ReplaceAll(b, []byte(args[1]), []byte(args[2]))
	})
}

// listFiles is files DIR: the names in it. (Scripts do without exec: a fork would
// hold locks for a moment that a vbk beside it gives back.)
func listFiles(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	fmt.Fprint(ts.Stdout()) // replaces what was there
	for _, e := range entries {
		fmt.Fprintln(ts.Stdout(), e.Name())
	}
}

// unpackPeer is unpack SET...: folders that virtnbdbackup wrote, as the tests of
// store/virtnbdbackup keep them, each under its name.
func unpackPeer(ts *testscript.TestScript, _ bool, args []string) {
	for _, set := range args {
		packed, err := os.Open(filepath.Join(peerData, set+".tar.zst"))
		ts.Check(err)
		plain, err := zstd.NewReader(packed)
		ts.Check(err)
		for r := tar.NewReader(plain); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			ts.Check(err)
			path := ts.MkAbs(h.Name)
			if h.Typeflag == tar.TypeDir {
				ts.Check(os.MkdirAll(path, 0o755))
				continue
			}
			ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
			text, err := io.ReadAll(r)
			ts.Check(err)
			ts.Check(os.WriteFile(path, text, 0o644))
		}
		plain.Close()
		ts.Check(packed.Close())
	}
}

// peerData is where the folders of virtnbdbackup are.
const peerData = "../../store/virtnbdbackup/testdata"

// comparePeer is cmp-peer FILE SET POINT DISK: a raw file is what virtnbdrestore
// made of the same.
func comparePeer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: cmp-peer FILE SET POINT DISK")
	}
	known, err := os.ReadFile(filepath.Join(peerData, "expected.txt"))
	ts.Check(err)
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	line := fmt.Sprintf("%s %x\n", strings.Join(args[1:], " "), sha256.Sum256(content))
	if !strings.Contains(string(known), strings.Join(args[1:], " ")+" ") {
		ts.Fatalf("nothing is known of %s", strings.Join(args[1:], " "))
	}
	if same := strings.Contains("\n"+string(known), "\n"+line); same == neg {
		ts.Fatalf("%s is what %s: %v", args[0], strings.Join(args[1:], " "), same)
	}
}

// copyAny is copy FROM TO, a file or a folder, with the modes of a file system that has none.
// FROM may be a pattern that matches one.
func copyAny(ts *testscript.TestScript, _ bool, args []string) {
	from, to := oneFile(ts, args[0]), ts.MkAbs(args[1])
	ts.Check(filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(at, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, text, 0o755)
	}))
}

// fill is fill FILE: as long as its file system has room.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	ts.Check(f.Close())
	if !errors.Is(err, syscall.ENOSPC) {
		ts.Fatalf("fill %s: %v", args[0], err)
	}
}

// peerRestore is virtnbdrestore DIR DISK FILE [UNTIL]: the real program restores a
// disk of a folder, and FILE becomes its bytes.
func peerRestore(ts *testscript.TestScript, _ bool, args []string) {
	until := ""
	if len(args) > 3 {
		until = args[3]
	}
	disk, err := virtnbdtest.Restore(ts.MkAbs(args[0]), args[1], until, false)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), disk, 0o600))
}

// condition is one of a script: [mount], the tests have mounts of their own;
// [virtnbdrestore], that is installed; [loop], there are loop devices.
func condition(name string) (bool, error) {
	switch name {
	case "mount":
		return mayMount()
	case "virtnbdrestore":
		return mayRestore()
	case "e2e":
		return os.Getenv("VBK_E2E") != "", nil
	case "loop":
		_, err := os.Stat("/dev/loop-control")
		may := err == nil && os.Getuid() == 0
		if !may && os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			return false, errors.New("VBK_REQUIRE_PEERS=1: no loop devices")
		}
		return may, nil
	}
	return false, fmt.Errorf("unknown condition %s", name)
}

func mayRestore() (bool, error) {
	_, err := exec.LookPath("virtnbdrestore")
	if err != nil && os.Getenv("VBK_REQUIRE_PEERS") == "1" {
		return false, fmt.Errorf("VBK_REQUIRE_PEERS=1: %w", err)
	}
	return err == nil, nil
}

func mayMount() (bool, error) {
	sandboxed := os.Getenv("VBK_EMBEDTEST_STAGE") != ""
	if !sandboxed && os.Getenv("VBK_REQUIRE_PEERS") == "1" {
		return false, errors.New("VBK_REQUIRE_PEERS=1: the tests have no mount namespace")
	}
	return sandboxed, nil
}

// mountTmpfs is tmpfs DIR SIZE.
func mountTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	mount(ts, "tmpfs", dir, "tmpfs", 0, "mode=0700,size="+args[1])
}

// makeReadOnly is read-only DIR.
func makeReadOnly(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	mount(ts, dir, dir, "", syscall.MS_BIND, "")
	ts.Check(syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

func mount(ts *testscript.TestScript, source, target, kind string, flags uintptr, data string) {
	ts.Check(syscall.Mount(source, target, kind, flags, data))
	ts.Defer(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) })
}

// attachLoop is loop FILE: $LOOP is a block device with what the file holds.
func attachLoop(ts *testscript.TestScript, _ bool, args []string) {
	out, err := exec.Command("losetup", "--find", "--show", ts.MkAbs(args[0])).CombinedOutput()
	device := strings.TrimSpace(string(out))
	if err != nil {
		ts.Fatalf("losetup: %v: %s", err, out)
	}
	ts.Defer(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	ts.Setenv("LOOP", device)
}

// growFile is grow FILE: by a MiB that is not allocated.
func growFile(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()+1<<20))
}

// unmount is unmount DIR.
func unmount(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Unmount(ts.MkAbs(args[0]), syscall.MNT_DETACH)) // stores stay open until their process ends
}
