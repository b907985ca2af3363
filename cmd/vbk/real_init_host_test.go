//go:build cgo

package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vbk/store/storetest"
	"vbk/virt/libvirt/embedtest"
)

// openConf lets everybody use libvirtd.
const openConf = "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nunix_sock_rw_perms = \"0777\"\n"

// groupConf lets the group libvirt use it, and everybody look.
const groupConf = "auth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\nunix_sock_group = \"libvirt\"\nunix_sock_rw_perms = \"0770\"\nunix_sock_ro_perms = \"0777\"\n"

// testConnections: a libvirtd that does not run, whose sockets are left over, and that
// only some may use.
func (i initiate) testConnections(t *testing.T) {
	d, s := i.daemon, i.as(t, 0)
	store := filepath.Join(s.dir, "store")
	s.has(t, "qemu:///system", d.Dir(), store)
	d.Crash()
	wantText(t, s.vbk(t, exitUsage, "init"), "Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': Connection refused\n",
		"vbk: hint: nobody listens on the socket any more: systemctl restart libvirtd")
	d.Kill()
	wantText(t, s.vbk(t, exitUsage, "init"), "Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': No such file or directory\n",
		"vbk: hint: systemctl start libvirtd", "Not ready: host.local.")
	d.Start(t) // as systemd would
	wantText(t, s.vbk(t, exitOK, "init"), "ok host.local: qemu:///system answers: libvirt 9.", "Ready.")

	gid := groupID(t, "libvirt")
	d.Configure(t, groupConf, "")
	other := i.as(t, nobody)
	other.has(t, "qemu:///system", d.Dir(), filepath.Join(other.dir, "store"))
	if err := os.Chmod(d.Dir(), 0o1777); err != nil {
		t.Fatal(err)
	}
	mend(t, other.vbk(t, exitUsage, "init"), "store.local.backup: ", "USER=nobody")
	out := other.vbk(t, exitUsage, "init")
	wantText(t, out, "vbk: host.local: vbk plan may use libvirt, and vbk apply may not: connect to qemu:///system: Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied\n",
		"vbk: hint: run vbk as root, or: usermod -aG libvirt $USER, and log in again\n")
	wantText(t, other.vbk(t, exitOK, "plan"), "No changes.") // the socket for reading is open to all
	other.cred.Groups = []uint32{gid}                        // as the hint says
	out = other.vbk(t, exitUsage, "init")
	wantText(t, out, "vbk: host.local: scratch_dir: only root can give run folders to QEMU's user, uid ", "vbk: hint: run vbk as root, or with CAP_CHOWN and CAP_DAC_OVERRIDE\n")
	if strings.Contains(out, "vbk apply may not") {
		t.Error("a member of the group may not")
	}
	other.caps = []uintptr{capChown, capDACOverride}
	wantText(t, other.vbk(t, exitOK, "init"), "Ready.")

	d.Configure(t, strings.Replace(groupConf, `ro_perms = "0777"`, `ro_perms = "0770"`, 1), "")
	other.cred.Groups, other.caps = nil, nil
	wantText(t, other.vbk(t, exitUsage, "init"), "Failed to connect socket to '/var/run/libvirt/libvirt-sock-ro': Permission denied\n", "usermod -aG libvirt $USER")
	wantText(t, other.vbk(t, exitFailed, "plan"), "usermod -aG libvirt $USER")
	d.Configure(t, openConf, "")
}

func groupID(t *testing.T, name string) uint32 {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// agedLibvirt is put before libvirt's library, and lets it tell other versions, or that
// it has no backups.
const agedLibvirt = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static int aged(const char *what, const char *call, void *conn, unsigned long *version) {
	int (*real)(void *, unsigned long *) = dlsym(RTLD_NEXT, call);
	int result = real(conn, version);
	if (result == 0 && getenv(what)) *version = strtoul(getenv(what), 0, 10);
	return result;
}

int virConnectGetLibVersion(void *conn, unsigned long *v) { return aged("AGED_LIBVIRT", "virConnectGetLibVersion", conn, v); }
int virConnectGetVersion(void *conn, unsigned long *v) { return aged("AGED_QEMU", "virConnectGetVersion", conn, v); }

char *virConnectGetDomainCapabilities(void *conn, const char *e, const char *a, const char *m, const char *t, unsigned f) {
	char *(*real)(void *, const char *, const char *, const char *, const char *, unsigned) = dlsym(RTLD_NEXT, "virConnectGetDomainCapabilities");
	char *xml = real(conn, e, a, m, t, f), *at = xml ? strstr(xml, "<backup supported='yes'/>") : 0;
	if (at && getenv("AGED_BACKUP")) memcpy(at, "<backup supported='no'/> ", 25);
	return xml;
}
`

// testVersions: what a real libvirt tells of its versions is changed on its way to vbk.
func (i initiate) testVersions(t *testing.T) {
	d, s := i.daemon, i.as(t, 0)
	s.has(t, "qemu:///system", d.Dir(), filepath.Join(s.dir, "store"))
	source, shim := filepath.Join(s.dir, "aged.c"), filepath.Join(s.dir, "aged.so")
	if err := os.WriteFile(source, []byte(agedLibvirt), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", shim, source, "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v: %s", err, out)
	}
	for want, env := range map[string]string{
		"libvirt 6.9.0 is too old: its backups are not incremental before 7.6.0\nvbk: hint: upgrade the host; virsh version shows what runs\n":                         "AGED_LIBVIRT=6009000",
		"QEMU 5.2.0 is too old: its backups are not incremental before 6.1.0\nvbk: hint: upgrade the host, then restart its machines; virsh version shows what runs\n": "AGED_QEMU=5002000",
		"has no backup jobs with this QEMU 7.":  "AGED_BACKUP=1",
		"ok host.local: qemu:///system answers": "",
	} {
		s.env = []string{"LD_PRELOAD=" + shim, env}
		code := exitUsage
		if env == "" {
			code = exitOK
		}
		wantText(t, s.vbk(t, code, "init"), want)
	}
	s.env = nil
	if out, err := exec.Command("sh", "-c", "virsh -c qemu:///system domcapabilities | grep '<backup'").CombinedOutput(); err != nil {
		t.Errorf("the hint shows nothing: %v: %s", err, out)
	}
}

// testScratch: directories in which QEMU, as another user, can make no scratch files. What
// the hint says mends it, and then a backup is made there.
func (i initiate) testScratch(t *testing.T) {
	d := i.daemon
	d.Define(t, embedtest.Machine{Name: "web01", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 1 << 20}}})
	s := i.as(t, 0)
	scratch := func(t *testing.T, dir string, code int) string {
		t.Helper()
		s.has(t, "qemu:///system", dir, filepath.Join(s.dir, "store"))
		return s.vbk(t, code, "init")
	}
	closed := filepath.Join(d.Dir(), "closed")
	dir := filepath.Join(closed, "scratch")
	out := scratch(t, dir, exitUsage)
	mend(t, out, "vbk: host.local: scratch_dir: "+dir+" does not exist\n")
	scratch(t, dir, exitOK)

	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	out = scratch(t, dir, exitUsage)
	wantText(t, out, "QEMU's user, uid 64055, may not enter "+closed+"\n")
	wantText(t, s.vbk(t, exitFailed, "apply", "-auto-approve"), "Permission denied") // QEMU says so, too
	if acl, err := exec.Command("setfacl", "-m", "u:64055:x", closed).CombinedOutput(); err != nil {
		t.Fatalf("setfacl: %v: %s", err, acl)
	}
	scratch(t, dir, exitOK) // an access list opens it
	if acl, err := exec.Command("setfacl", "-b", closed).CombinedOutput(); err != nil {
		t.Fatalf("setfacl: %v: %s", err, acl)
	}
	mend(t, out, "may not enter "+closed+"\n")
	scratch(t, dir, exitOK)
	wantText(t, s.vbk(t, exitOK, "apply", "-auto-approve"), "Apply complete: 1 done")

	link := filepath.Join(d.Dir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	out = scratch(t, link, exitUsage)
	mend(t, out, "may not enter "+closed+"\n")
	scratch(t, link, exitOK)

	file := filepath.Join(d.Dir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	mend(t, strings.ReplaceAll(scratch(t, file, exitUsage), "let scratch_dir of the host block name a directory, or: ", ""), file+" is no directory\n")
	scratch(t, file, exitOK)

	small := filepath.Join(d.Dir(), "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=16m,mode=755"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) }()
	wantText(t, scratch(t, small, exitUsage), "has 16.0 MiB free, less than 64.0 MiB: the guest's writes would fail while a backup job runs\n", "vbk: hint: make room there")
	if err := syscall.Mount("tmpfs", small, "tmpfs", syscall.MS_REMOUNT|syscall.MS_NOEXEC, "size=128m,mode=755"); err != nil {
		t.Fatal(err)
	}
	scratch(t, small, exitOK)
	wantText(t, scratch(t, exfat(t), exitUsage), "give a run folder to QEMU's user, uid 64055: ", "operation not permitted\n", "local file system with owners: findmnt -T ")
	sockets, _ := storetest.NewOdd(t, storetest.Odd{NoSockets: true})
	open(t, sockets)
	wantText(t, scratch(t, sockets, exitUsage), "as QEMU's user, uid 64055: ", "bind: operation not permitted\n", "vbk: hint: let scratch_dir ")

	d.Configure(t, openConf, "user = \"nobody\"\ngroup = \"nogroup\"\n")
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(closed, 64055, 0); err != nil { // open to QEMUs that run, not to new ones
		t.Fatal(err)
	}
	wantText(t, scratch(t, dir, exitUsage), "QEMU's user, uid 65534, may not enter "+closed+"\n")
	d.Configure(t, openConf, "")
}
