package embedtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Root is a libvirt embed root as one test uses it.
type Root struct {
	dir      string // of the root
	uri      string
	run      string // where libvirt has the numbers of processes
	logs     string // of QEMU
	work     string // of the test
	driver   driver
	machines map[string]Machine // by UUID

	documents map[string]string // their definitions
	overlays  map[string]string // by UUID and target
}

// driver is what needs libvirt to change a machine.
type driver interface {
	define(xml string) error
	start(uuid string) error
	undefine(uuid string) error
	active(uuid string) (bool, error)
}

// root is the directory that all tests of this process share, because libvirt
// opens only one.
var root struct {
	sync.Mutex
	dir    string
	daemon string // of the tests with a libvirtd
}

func sharedRoot() (string, error) {
	root.Lock()
	defer root.Unlock()
	if root.dir != "" {
		return root.dir, nil
	}
	dir, err := makeRoot()
	root.dir = dir
	return dir, err
}

func removeRoot() {
	root.Lock()
	defer root.Unlock()
	for _, dir := range []string{root.dir, root.daemon} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
}

// makeRoot makes a root that QEMU's user can reach. Paths are kept short: the
// path of a socket has 107 bytes.
func makeRoot() (string, error) {
	dir, err := os.MkdirTemp("", "vbk")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, "etc"), 0o711); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "etc", "qemu.conf"), []byte(qemuConf), 0o644)
}

// qemuConf does without what needs libvirt's daemon (virtlogd) or a machine of
// one's own (mounts, cgroups, extended attributes). QEMU runs as the user that is the default here.
const qemuConf = `stdio_handler = "file"
namespaces = []
cgroup_controllers = []
remember_owner = 0
`

// New returns the root that tests of this process share. The test connects to
// URI in this process.
func New(t testing.TB) *Root {
	t.Helper()
	needPrograms(t, "qemu-system-x86_64", "qemu-img", "qemu-nbd", "nbdcopy")
	dir, err := sharedRoot()
	if err != nil {
		t.Fatalf("make embed root: %v", err)
	}
	return newRoot(t, dir, embedURI(dir), func(uri string) (driver, error) { return connect(uri) })
}

// Detached returns a fresh root that this process does not open. Programs that
// the test runs connect to URI, one at a time.
func Detached(t testing.TB) *Root {
	t.Helper()
	needPrograms(t, "qemu-system-x86_64", "qemu-img", "qemu-nbd", "nbdcopy", "virsh")
	dir, err := makeRoot()
	if err != nil {
		t.Fatalf("make embed root: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return newRoot(t, dir, embedURI(dir), func(uri string) (driver, error) {
		v := virsh{uri}
		return v, v.run("list")
	})
}

func embedURI(dir string) string { return "qemu:///embed?root=" + dir }

func newRoot(t testing.TB, dir, uri string, open func(string) (driver, error)) *Root {
	t.Helper()
	r := &Root{dir: dir, uri: uri, run: filepath.Join(dir, "run", "qemu"), logs: filepath.Join(dir, "log", "qemu"), machines: map[string]Machine{}, documents: map[string]string{}, overlays: map[string]string{}}
	var err error
	if r.driver, err = open(r.URI()); err != nil {
		need(t, fmt.Sprintf("libvirt's embedded QEMU driver: %v (is the account there that libvirt runs QEMU as?)", err))
	}
	if r.work, err = os.MkdirTemp(dir, "t"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.work, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(r.work) })
	return r
}

// URI is what to connect to.
func (r *Root) URI() string { return r.uri }

// Dir is a folder of the test's own that QEMU's user can enter, but not write.
func (r *Root) Dir() string { return r.work }

func needPrograms(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			need(t, name+" is not installed")
		}
	}
}

// need skips the test for want of a peer, or fails it where peers are required.
func need(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
		t.Fatalf("VBK_REQUIRE_PEERS=1: %s", why)
	}
	t.Skip(why)
}
