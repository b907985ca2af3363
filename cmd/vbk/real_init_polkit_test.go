//go:build cgo

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"vbk/virt/libvirt/embedtest"
)

const (
	capChown       = 0
	capDACOverride = 1
)

// polkitConf has libvirtd ask polkit who may connect, and for each call.
const polkitConf = `auth_unix_ro = "none"
auth_unix_rw = "polkit"
unix_sock_rw_perms = "0777"
access_drivers = [ "polkit" ]
`

// testPolkit plays the rule of docs/guarantees.md, as it stands there, on a real polkit and
// libvirtd: the user vbk, who is not root, backs up the machine that it names, sees no
// other, and can do no more than that.
func (i initiate) testPolkit(t *testing.T) {
	d := i.daemon
	const uid = 64077
	embedtest.Account(t, "vbk", uid)
	t.Cleanup(func() { d.Configure(t, openConf, "") }) // libvirtd ends with its bus
	polkit := d.NewPolkit(t)
	d.Configure(t, polkitConf, "")
	web := d.Define(t, embedtest.Machine{Name: "web01", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 4 << 20}}})
	d.Define(t, embedtest.Machine{Name: "db01", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 1 << 20}}})
	d.Write(t, web, "vda", 1<<20, 100<<10, 0x11)

	s := i.as(t, uid)
	s.caps = []uintptr{capChown, capDACOverride} // a run folder is QEMU's user's
	store := filepath.Join(s.dir, "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(store, uid, uid); err != nil {
		t.Fatal(err)
	}
	s.has(t, "qemu:///system", d.Dir(), store)
	if err := os.Chmod(d.Dir(), 0o1777); err != nil {
		t.Fatal(err)
	}
	wantText(t, s.vbk(t, exitUsage, "init"), "vbk: host.local: vbk plan may use libvirt, and vbk apply may not: connect to qemu:///system: authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'\n",
		"vbk: hint: run vbk as root, or: usermod -aG libvirt $USER", "docs/guarantees.md")

	rule := documentedRule(t)
	polkit.Rule(t, rule)
	wantText(t, s.vbk(t, exitOK, "init"), "1 machine\n", "Ready.")
	for _, needed := range []string{"checkpoint", "block-write"} {
		polkit.Rule(t, strings.Replace(rule, `"`+needed+`", `, "", 1))
		wantText(t, s.vbk(t, exitFailed, "apply", "-auto-approve"), "access denied", "vbk: hint: ")
	}
	polkit.Rule(t, rule)
	wantText(t, s.vbk(t, exitOK, "apply", "-auto-approve"), "Apply complete: 1 done")
	first := d.Copy(t, web, "vda")
	d.Write(t, web, "vda", 2<<20, 70<<10, 0x22)
	s.edit(t, `every = "24h"`, `every = "1s"`)
	s.awaitDue(t)
	wantText(t, s.vbk(t, exitOK, "apply", "-auto-approve"), "gets an increment", "Apply complete: 1 done")
	second := d.Copy(t, web, "vda")
	list := regexp.MustCompile(`(?m)^web01@\S+`).FindAllString(s.vbk(t, exitOK, "list"), -1)
	if len(list) != 2 {
		t.Fatalf("points %v", list)
	}
	for n, want := range []string{first, second} {
		out := filepath.Join(store, "..", "restored"+list[n][len(list[n])-1:])
		root := *s
		root.cred = nil
		root.vbk(t, exitOK, "restore", list[n], "-o", out, "-format", "raw")
		if got, err := exec.Command("cmp", filepath.Join(out, "vda.raw"), want).CombinedOutput(); err != nil {
			t.Errorf("point %s: %s", list[n], got)
		}
	}

	for want, command := range map[string][]string{
		"denied access":              {"destroy", "web01"},
		"denied access ":             {"undefine", "web01"},
		"denied access  ":            {"shutdown", "web01"},
		"failed to get domain":       {"dumpxml", "db01"},
		"failed to get domain ":      {"checkpoint-create-as", "db01", "c"},
		"failed to get domain  ":     {"destroy", "db01"},
		"denied access   ":           {"pool-list"},
		"failed to get domain 'db01": {"domblklist", "db01"},
	} {
		if out, err := virshAs(uid, command...); err == nil || !strings.Contains(out, strings.TrimSpace(want)) {
			t.Errorf("virsh %v as vbk: %v: %s", command, err, out)
		}
	}
	if out, err := virshAs(nobody, "list"); err == nil || !strings.Contains(out, "no polkit agent") {
		t.Errorf("virsh list as somebody else: %v: %s", err, out)
	}
}

func virshAs(uid uint32, args ...string) (string, error) {
	cmd := exec.Command("virsh", append([]string{"-c", "qemu:///system"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// documentedRule is the rule as the page has it.
func documentedRule(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```js\n(polkit.addRule.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/guarantees.md has no rule for polkit")
	}
	return string(m[1])
}
