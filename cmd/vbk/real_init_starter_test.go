//go:build cgo

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// disk is the XML of one that is made.
func (c *crowd) disk(name, format, target, more string) string {
	c.t.Helper()
	image := filepath.Join(c.dir, name)
	if _, err := os.Stat(image); err != nil {
		c.run("qemu-img", "create", "-q", "-f", format, image, "1M")
	}
	return fmt.Sprintf("<disk type='file' device='disk'><driver name='qemu' type='%s'/><source file='%s'/><target dev='%s' bus='virtio'/>%s</disk>", format, image, target, more)
}

// crowd is a host with all kinds of machines.
type crowd struct {
	t   *testing.T
	dir string
}

func (c *crowd) run(args ...string) {
	c.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// define defines a machine by the XML of its name and disks.
func (c *crowd) define(name, disks string) {
	c.t.Helper()
	file := filepath.Join(c.dir, "domain.xml")
	text := "<domain type='qemu'><name>" + name + "</name><memory unit='MiB'>32</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><devices>" + disks +
		"<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.run("virsh", "-q", "-c", "qemu:///system", "define", file)
	plainName := strings.NewReplacer("&quot;", `"`, "&apos;", "'", "&amp;", "&").Replace(name)
	c.t.Cleanup(func() {
		_ = exec.Command("virsh", "-c", "qemu:///system", "destroy", plainName).Run() // it may not run
		c.run("virsh", "-c", "qemu:///system", "undefine", plainName, "--checkpoints-metadata")
	})
}

// testFromHost: what init writes for a host with all kinds of machines is formatted, plans
// without an error or a warning, and every point of that plan is made.
func (i initiate) testFromHost(t *testing.T) {
	d, s := i.daemon, i.as(t, 0)
	c := crowd{t, d.Dir()}
	c.define("web01", c.disk("web01.qcow2", "qcow2", "vda", ""))
	c.define("my mail server", c.disk("mail.qcow2", "qcow2", "vda", ""))
	c.define("bücher", c.disk("b.qcow2", "qcow2", "vda", ""))
	c.define(`it&apos;s &quot;${x}&quot; %{y}`, c.disk("quoted.qcow2", "qcow2", "vda", ""))
	c.define(`a*b[c]?\d`, "") // a name that is a pattern, and to be left out
	c.define(strings.Repeat("n", 80), c.disk("n.qcow2", "qcow2", "vda", ""))
	c.define("raw01", c.disk("raw01.raw", "raw", "vda", ""))
	c.define("cdrom", "<disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>")
	c.define("foreign", c.disk("vmdk.vmdk", "vmdk", "vda", "")+c.disk("foreign.qcow2", "qcow2", "vdb", ""))
	c.define("node1", c.disk("node1.qcow2", "qcow2", "vda", "")+c.disk("quorum.raw", "raw", "vdb", "<shareable/>"))
	c.define("node2", c.disk("node2.qcow2", "qcow2", "vda", "")+c.disk("quorum.raw", "raw", "vdb", "<shareable/>"))
	c.define("template", c.disk("template.qcow2", "qcow2", "vda", ""))
	c.run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", filepath.Join(c.dir, "template.qcow2"), filepath.Join(c.dir, "clone.qcow2"))
	c.define("clone", c.disk("clone.qcow2", "qcow2", "vda", ""))
	c.run("virsh", "-q", "-c", "qemu:///system", "start", "clone", "--paused")
	c.run("virsh", "-q", "-c", "qemu:///system", "checkpoint-create-as", "clone", "somebody-elses")

	store := filepath.Join(s.dir, "store")
	wantText(t, s.vbk(t, exitOK, "init", "-from-host", "qemu:///system", "-store", store),
		": it claims 11 machines of qemu:///system, 3 of them without a disk, and leaves out 2, with a reason.\n", "ok store.local.backup: "+store+" is new, marked", "Ready.")
	text, err := os.ReadFile(filepath.Join(s.dir, "backup.vbk.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	image := func(name string) string { return filepath.Join(c.dir, name) }
	want := `# What to back up, and how long to keep it. vbk plan shows what follows from it.

store "local" "backup" {
  path = "` + store + `"
}

policy "nightly" {
  store = store.local.backup
  retention { keep_daily = 7 }
}

# All machines, and those to come.
domain "machines" {
  fallback = true # what no other block claims
  exclude = [
    "a\\*b\\[c]\\?\\\\d", # the domain has no disk to back up
    "cdrom",              # the domain has no disk to back up
  ]
  policy = policy.nightly
}

domain "without_vda" {
  match = [
    "foreign", # disk vda (` + image("vmdk.vmdk") + `) has format vmdk: dirty bitmaps need qcow2 version 3
  ]
  policy = policy.nightly
  disks { exclude = ["vda"] }
}

domain "without_vdb" {
  match = [
    "node1", # disk vdb is not backed up: it is shareable
    "node2", # disk vdb is not backed up: it is shareable
  ]
  policy = policy.nightly
  disks { exclude = ["vdb"] }
}

domain "templates" {
  match = [
    "template", # disk vda of clone lies on its disk vda
  ]
  policy = policy.nightly
  mode   = "full"
  every  = "7d"
  retention { keep_last = 2 }
}
`
	if string(text) != want {
		t.Errorf("it writes\n%s\nand not\n%s", text, want)
	}
	s.vbk(t, exitOK, "fmt", "-check")
	s.vbk(t, exitOK, "validate")
	for _, command := range [][]string{{"plan"}, {"apply", "-auto-approve"}} {
		if out := s.vbk(t, exitOK, command...); strings.Contains(out, "Warning") || strings.Contains(out, "vbk: ") {
			t.Errorf("vbk %s warns or fails", command[0])
		}
	}
	wantText(t, s.vbk(t, exitOK, "plan"), "No changes.")
	wantText(t, s.vbk(t, exitUsage, "init", "-from-host", "qemu:///system"), "a starter is not written beside backup.vbk.hcl")
	if again, err := os.ReadFile(filepath.Join(s.dir, "backup.vbk.hcl")); err != nil || string(again) != string(text) {
		t.Errorf("it is overwritten (%v)", err)
	}
}
