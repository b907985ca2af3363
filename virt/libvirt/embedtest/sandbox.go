//go:build linux

package embedtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
)

// stage tells a re-executed test binary which part it has.
const stage = "VBK_EMBEDTEST_STAGE"

// Main wraps testing.M. Its Run runs the package's tests in a sandbox if the
// machine allows, and as they are otherwise:
//
//   - a PID namespace, so that no QEMU survives the tests, however they end,
//     with an init that reaps what libvirt waits for;
//   - a mount namespace in which /dev/kvm is not usable, so that QEMU
//     emulates on every machine alike, and in which the account exists that the
//     distribution's libvirt insists on (libvirt-qemu on Debian), even where
//     only its library is installed.
//
// It serves os.Exit(embedtest.Main{M: m}.Run()) as well as testscript.Main.
type Main struct{ M *testing.M }

// Run runs the tests and returns the exit status.
func (m Main) Run() int {
	switch os.Getenv(stage) {
	case "init":
		return initialise()
	case "test":
		return m.run()
	}
	if os.Geteuid() != 0 {
		return m.run()
	}
	dir, err := os.MkdirTemp("", "embedtest")
	if err != nil {
		fmt.Fprintln(os.Stderr, "embedtest:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	cmd := again("init")
	cmd.Env = append(cmd.Env, accounts+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // makes the mounts private, too
		Pdeathsig:    syscall.SIGKILL,
	}
	err = cmd.Start()
	// EINVAL: in a chroot, whose root is no mount.
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		return m.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "embedtest:", err)
		return 1
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// run runs the tests and removes the root that they shared.
func (m Main) run() int {
	defer removeRoot()
	return m.M.Run()
}

// NeedSandbox skips a test that mounts, or is another user, where that would be outside
// of the sandbox; where peers are required it fails.
func NeedSandbox(t testing.TB) {
	t.Helper()
	if os.Getenv(stage) != "test" {
		need(t, "it needs the sandbox, which needs root and mount namespaces")
	}
}

func again(part string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stage+"="+part)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// initialise is PID 1 of the sandbox: it mounts, starts the tests, and reaps
// every orphan until they have ended.
func initialise() int {
	if err := mounts(os.Getenv(accounts)); err != nil {
		fmt.Fprintln(os.Stderr, "embedtest:", err)
		return 1
	}
	cmd := again("test")
	cmd.Env = append([]string{"LIBVIRT_LOG_OUTPUTS=4:file:/dev/null"}, cmd.Env...) // quiet, unless asked
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "embedtest:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR || pid != cmd.Process.Pid && err == nil:
		case err != nil:
			fmt.Fprintln(os.Stderr, "embedtest: wait:", err)
			return 1
		case status.Exited():
			return status.ExitStatus()
		default:
			return 128 + int(status.Signal())
		}
	}
}

// accounts names the folder for the sandbox's own passwd, group and kvm.
const accounts = "VBK_EMBEDTEST_ACCOUNTS"

// qemuUser is the account that Debian's libvirt needs to exist, with the number
// its package gives it.
const (
	qemuUser = "libvirt-qemu"
	qemuLine = ":x:64055:64055::/nonexistent:/usr/sbin/nologin\n"
)

func mounts(dir string) error {
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if _, err := os.Stat("/dev/kvm"); err == nil {
		// Mode 0 tells libvirt, and what is no device tells QEMU.
		if err := bind(filepath.Join(dir, "kvm"), "/dev/kvm", nil, 0); err != nil {
			return err
		}
	}
	if _, err := user.Lookup(qemuUser); err == nil {
		return nil
	}
	for file, line := range map[string]string{"/etc/passwd": qemuUser + qemuLine, "/etc/group": qemuUser + ":x:64055:\n"} {
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := bind(filepath.Join(dir, filepath.Base(file)), file, append(old, line...), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func bind(source, target string, content []byte, mode os.FileMode) error {
	if err := os.WriteFile(source, content, mode); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", target, err)
	}
	return nil
}
