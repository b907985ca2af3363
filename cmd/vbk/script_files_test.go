package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
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

// mountTmpfs is tmpfs DIR SIZE. Without the right to mount the script is
// skipped.
func mountTmpfs(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	mount(ts, "tmpfs", dir, "tmpfs", 0, "mode=0700,size="+args[1])
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // else the namespace does it
}

// makeReadOnly is read-only DIR; root needs a read-only mount to feel it.
func makeReadOnly(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	if os.Geteuid() != 0 {
		ts.Check(os.Chmod(dir, 0o500))
		ts.Defer(func() { _ = os.Chmod(dir, 0o700) }) // for the removal of the test's folder
		return
	}
	mount(ts, dir, dir, "", syscall.MS_BIND, "")
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	mount(ts, "", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

func mount(ts *testscript.TestScript, source, target, kind string, flags uintptr, data string) {
	err := syscall.Mount(source, target, kind, flags, data)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			ts.Fatalf("VBK_REQUIRE_PEERS=1: mount %s: %v", target, err)
		}
		ts.Logf("mount %s: %v", target, err)
		panic(skipScript)
	}
	ts.Check(err)
}
