package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// testUnread: a store that cannot be read is not a damaged one, for real: with too few
// file descriptors, and for a user who may not read a file. The store has two sound
// points.
func testUnread(t *testing.T, p program) {
	codes := map[int]int{}
	for n := 3; n < 24; n++ {
		cmd := exec.Command("prlimit", append([]string{fmt.Sprintf("--nofile=%d", n), p.path}, "verify", "-read-data")...)
		cmd.Dir = p.dir
		out, _ := cmd.CombinedOutput()
		code := cmd.ProcessState.ExitCode()
		codes[code]++
		if strings.Contains(string(out), "runtime: ") { // Go's own start wants some
			continue
		}
		if code != 0 && !strings.Contains(string(out), "too many open files") || code != 0 && code != exitFailed && code != exitUsage ||
			strings.Contains(string(out), "not restore") {
			t.Errorf("with %d descriptors: %d\n%s", n, code, out)
		}
	}
	if codes[0] == 0 || codes[exitFailed] == 0 {
		t.Errorf("exit codes %v", codes)
	}
	data, err := filepath.Glob(filepath.Join(p.dir, "backup", "*", "*", "*.inc.*.v3"))
	if err != nil || len(data) != 1 {
		t.Fatalf("%q, %v", data, err)
	}
	const nobody = 65534
	err = filepath.WalkDir(p.dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	for _, dir := range []string{filepath.Dir(p.dir), filepath.Dir(p.path)} { // to get there
		err = errors.Join(err, os.Chmod(dir, 0o755))
	}
	if err != nil {
		t.Skipf("only root gives files away: %v", err)
	}
	as := func(args ...string) (string, int) {
		cmd := p.command(args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	open := func(mode os.FileMode) {
		if err := os.Chmod(data[0], mode); err != nil {
			t.Fatal(err)
		}
	}
	open(0)
	for _, args := range [][]string{{"verify", "-read-data"}, {"verify", "-read-data", "-i", "backup"}} {
		out, code := as(args...)
		if code != exitUnsound && code != exitFailed || !strings.Contains(out, "could not be read: open ") || !strings.Contains(out, "permission denied") || strings.Contains(out, "not restore") {
			t.Errorf("%s: %d\n%s", args, code, out)
		}
	}
	if out, code := as("restore", "web01@latest", "-o", "no", "-format", "raw"); code != exitFailed || !strings.Contains(out, "permission denied") {
		t.Errorf("restore: %d\n%s", code, out)
	}
	if out, code := as("dump", data[0]); code != exitUsage || !strings.Contains(out, "permission denied") {
		t.Errorf("dump: %d\n%s", code, out)
	}
	open(0o600)
	if out, code := as("verify", "-read-data"); code != 0 {
		t.Errorf("with the file readable again: %d\n%s", code, out)
	}
	if again, _ := p.run(t, 0, "list"); strings.Contains(again, "damaged") {
		t.Errorf("recorded is\n%s", again)
	}
}
