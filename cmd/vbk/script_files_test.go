package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// mayMount is the condition [mount] of a script: the tests have mounts of their
// own.
func mayMount(condition string) (bool, error) {
	if condition != "mount" {
		return false, fmt.Errorf("unknown condition %s", condition)
	}
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

// unmount is unmount DIR.
func unmount(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Unmount(ts.MkAbs(args[0]), syscall.MNT_DETACH)) // stores stay open until their process ends
}
