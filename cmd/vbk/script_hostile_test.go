package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"vbk/store"
)

// everyFile calls do with every file and folder of the script.
func everyFile(ts *testscript.TestScript, dir string, do func(path string, d fs.DirEntry) error) {
	ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return do(path, d)
	}))
}

// wantNoCanary looks at what a vbk has printed.
func wantNoCanary(ts *testscript.TestScript, printed string) {
	if canary := ts.Getenv("CANARY"); canary != "" && strings.Contains(printed, canary) {
		ts.Fatalf("it prints %q:\n%s", canary, printed)
	}
}

// nowhere is nowhere TEXT FILE...: no file of the script holds TEXT but those.
func nowhere(ts *testscript.TestScript, _ bool, args []string) {
	var but []string
	for _, name := range args[1:] {
		but = append(but, ts.MkAbs(name))
	}
	looked := 0
	everyFile(ts, ".", func(path string, d fs.DirEntry) error {
		if !d.Type().IsRegular() || slices.Contains(but, path) {
			return nil
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(args[0])) {
			return fmt.Errorf("%s holds %q", path, args[0])
		}
		looked++
		return err
	})
	if looked < 10 {
		ts.Fatalf("only %d files were looked at", looked)
	}
}

// setUmask is umask MODE, until the script ends.
func setUmask(ts *testscript.TestScript, _ bool, args []string) {
	mode, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	old := syscall.Umask(int(mode))
	ts.Defer(func() { syscall.Umask(old) })
}

// wantPrivate is private PATH...: nobody but the owner may read or enter these, nor
// anything in them.
func wantPrivate(ts *testscript.TestScript, _ bool, args []string) {
	for _, pattern := range args {
		everyFile(ts, oneFile(ts, pattern), func(path string, d fs.DirEntry) error {
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 && d.Type()&fs.ModeSymlink == 0 {
				err = fmt.Errorf("%s has mode %s", path, info.Mode())
			}
			return err
		})
	}
}

// forge is forge MANIFEST OLD NEW: replaces text in a manifest, whose sum is right
// afterwards.
func forge(ts *testscript.TestScript, _ bool, args []string) {
	rewriteFile(ts, args[0], func(b []byte) []byte {
		body, _, ok := strings.Cut(string(b), "\nxxh3:")
		if !ok || !strings.Contains(body, args[1]) {
			ts.Fatalf("%s is no manifest with %q", args[0], args[1])
		}
		body = strings.ReplaceAll(body, args[1], args[2]) + "\n"
		return []byte(body + "xxh3:" + store.Hash([]byte(body)) + "\n")
	})
}
