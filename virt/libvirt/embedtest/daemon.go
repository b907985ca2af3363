//go:build linux

package embedtest

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Daemon is a libvirtd of the test's own, in the sandbox, with folders of its own.
// Clients connect to URI, as many as they like; machines outlive it.
type Daemon struct {
	*Root
	process *exec.Cmd
}

// daemonURI names the transport: in a process that has opened an embedded driver
// libvirt would look for the machine there.
const daemonURI = "qemu+unix:///system?socket=/run/libvirt/libvirt-sock"

// pidFile is locked by a libvirtd; where it is by default the sandboxes of other
// packages' tests would meet.
const pidFile = "/run/libvirt/libvirtd.pid"

// daemonRoot is the folder for images, once the daemon's own folders are there.
var daemonRoot = sync.OnceValues(func() (string, error) {
	for _, dir := range []string{"/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run/libvirt"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return "", fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	root.Lock()
	defer root.Unlock()
	var err error
	root.daemon, err = makeRoot()
	return root.daemon, err
})

// NewDaemon starts a libvirtd. Tests that have one run one after the other.
func NewDaemon(t testing.TB) *Daemon {
	t.Helper()
	needPrograms(t, "libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "qemu-nbd", "nbdcopy")
	NeedSandbox(t)
	dir, err := daemonRoot()
	if err != nil {
		t.Fatalf("make folders for libvirtd: %v", err)
	}
	d := &Daemon{}
	d.write(t, "libvirtd.conf", "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n")
	d.write(t, "qemu.conf", qemuConf)
	d.Start(t)
	t.Cleanup(d.Kill)
	d.Root = newRoot(t, dir, daemonURI, func(uri string) (driver, error) { return virsh{uri}, nil })
	d.run, d.logs = "/run/libvirt/qemu", "/var/log/libvirt/qemu"
	return d
}

// Configure starts the libvirtd again with another libvirtd.conf, and with lines more in
// its qemu.conf. Machines go on.
func (d *Daemon) Configure(t testing.TB, libvirtd, qemu string) {
	t.Helper()
	d.Kill()
	d.write(t, "libvirtd.conf", libvirtd)
	d.write(t, "qemu.conf", qemuConf+qemu)
	d.Start(t)
}

func (d *Daemon) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/etc/libvirt", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Start starts the libvirtd, and returns when it answers.
func (d *Daemon) Start(t testing.TB) {
	t.Helper()
	d.process = exec.Command("libvirtd", "--pid-file", pidFile)
	d.process.Env = append(os.Environ(), "LIBVIRT_LOG_OUTPUTS=3:stderr") // what a test that fails shows
	log, err := os.Create("/var/log/libvirt/libvirtd.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d.process.Stdout, d.process.Stderr = log, log
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); ; {
		err := virsh{daemonURI}.run("list")
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("libvirtd does not answer: %v\n%s", err, text)
		}
	}
}

// Crash ends the libvirtd without a warning; its sockets stay, and machines go on.
func (d *Daemon) Crash() {
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
	_ = os.Remove(pidFile)
}

// Kill is Crash, and nothing is left of it.
func (d *Daemon) Kill() {
	d.Crash()
	for _, socket := range []string{"libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"} {
		_ = os.Remove(filepath.Join("/run/libvirt", socket))
	}
}

// Virsh runs a command of virsh, as somebody does who does not know of vbk.
func (d *Daemon) Virsh(args ...string) error { return virsh{d.URI()}.run(args...) }

// Overlay tells where a disk's active image is since somebody made a snapshot;
// "" is where it was in the beginning.
func (d *Daemon) Overlay(uuid, target, image string) { d.overlays[uuid+target] = image }

// Secret gives the daemon the passphrase of encrypted images, and returns its UUID.
func (d *Daemon) Secret(t testing.TB) string {
	t.Helper()
	uuid := newUUID()
	file := filepath.Join(t.TempDir(), "secret.xml")
	doc := fmt.Sprintf("<secret ephemeral='yes' private='yes'><uuid>%s</uuid></secret>", uuid)
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	v := virsh{d.URI()}
	if err := v.run("secret-define", file); err != nil {
		t.Fatal(err)
	}
	if err := v.run("secret-set-value", uuid, base64.StdEncoding.EncodeToString([]byte(passphrase))); err != nil {
		t.Fatal(err)
	}
	return uuid
}

// Secrets are the UUIDs of the secrets that the daemon has.
func (d *Daemon) Secrets(t testing.TB) []string {
	t.Helper()
	all, err := virsh{d.URI()}.output("secret-list")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindAllString(all, -1)
}
