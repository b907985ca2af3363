//go:build cgo

package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-shellwords"

	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
)

// user is somebody with virsh who does not know of vbk.
type user struct {
	*machine
	daemon *embedtest.Daemon
}

func (u user) virsh(args ...string) {
	u.Helper()
	if err := u.daemon.Virsh(args...); err != nil {
		u.Fatal(err)
	}
}

func (u user) refused(want string, args ...string) {
	u.Helper()
	if err := u.daemon.Virsh(args...); err == nil || !strings.Contains(err.Error(), want) {
		u.Errorf("virsh %v, which should say %q: %v", args, want, err)
	}
}

// makes wants the next point to be made, for a reason.
func (u user) makes(reason string) {
	u.Helper()
	if planned := u.reason(); !strings.Contains(planned, reason) {
		u.Errorf("planned because %s, want %s", planned, reason)
	}
	if err := u.apply(); err != nil {
		u.Fatal(err)
	}
	u.write(2)
}

// TestUserMachine: what people do to a real machine by virsh (and cp), during a job and
// between two.
func TestUserMachine(t *testing.T) {
	d := embedtest.NewDaemon(t)
	host, err := libvirt.Connect(context.Background(), d.URI(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for name, acts := range map[string]func(user){"during": duringJob, "external": externalSnapshot, "internal": internalSnapshot, "cloned": clone, "tagged": tag} {
		t.Run(name, func(t *testing.T) {
			m := machineOn(t, d.Root, host, name, embedtest.DiskSpec{Target: "vda", Size: 6 << 20}, embedtest.DiskSpec{Target: "vdb", Size: 2 << 20})
			m.write(5)
			acts(user{m, d})
		})
	}
}

// duringJob (S22): libvirt refuses to resize or unplug a disk whose job runs. The
// definition changes, and goes, and each point is exact.
func duringJob(u user) {
	u.makes("no restore point yet")
	u.inMidRead(func() {
		u.refused("in use", "blockresize", u.uuid, "vda", "8M")
		u.refused("active block job", "detach-disk", u.uuid, "vdb", "--live")
		u.virsh("detach-disk", u.uuid, "vdb", "--config")
	})
	u.makes("")
	u.root.Stop(u.T, u.uuid)
	u.root.Start(u.T, u.uuid)
	delete(u.sizes, "vdb")
	u.write(2)
	u.inMidRead(func() { u.virsh("undefine", u.uuid, "--keep-nvram", "--checkpoints-metadata") })
	u.makes("disk vdb is gone")
	u.dial = dialNBD
	u.virsh("blockresize", u.uuid, "vda", "8M")
	u.sizes["vda"] = 8 << 20
	u.write(2)
	u.makes("vda was 6.00 MiB, is 8.00 MiB")

	u.root.Stop(u.T, u.uuid) // libvirt knows nothing of it any more
	if err := u.apply(); err != nil {
		u.Fatal(err)
	}
	u.root.SetDisks(u.T, u.uuid, embedtest.DiskSpec{Target: "vda", Size: 8 << 20})
	u.root.Start(u.T, u.uuid)
	u.write(2)
	u.makes("")
	u.restored(u.settled("full inc inc resync inc"))
}

// tag gives a machine its class in the way of examples/fleet.
func tag(u user) {
	text, err := os.ReadFile("../examples/fleet/backup.vbk.hcl")
	if err != nil {
		u.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^#   virsh (metadata db-1 .*)$`).FindSubmatch(text)
	if line == nil {
		u.Fatal("examples/fleet does not say how")
	}
	words, err := shellwords.Parse(strings.Replace(string(line[1]), "db-1", u.uuid, 1))
	if err != nil {
		u.Fatal(err)
	}
	u.virsh(words...)
	d, err := u.host.Domain(u.Context(), u.uuid)
	if err != nil || d.Tags["tier"] != "gold" {
		u.Errorf("it has the tags %v: %v", d.Tags, err)
	}
}

// externalSnapshot (S36): a disk gets an overlay, which is committed later.
func externalSnapshot(u user) {
	base := u.root.Image(u.uuid, "vda")
	overlay := filepath.Join(filepath.Dir(base), "overlay.qcow2")
	u.makes("no restore point yet")
	u.virsh("snapshot-create-as", u.uuid, "s", "--disk-only", "--diskspec", "vda,file="+overlay, "--diskspec", "vdb,snapshot=no")
	u.daemon.Overlay(u.uuid, "vda", overlay)
	u.write(2)
	u.makes("the image of vda was " + base + ", is " + overlay)
	u.makes("old and every") // though its base has lost the bitmap of the first point
	u.makes("")
	u.virsh("blockcommit", u.uuid, "vda", "--active", "--pivot", "--wait")
	u.virsh("snapshot-delete", u.uuid, "s", "--metadata")
	u.daemon.Overlay(u.uuid, "vda", "")
	u.write(2)
	u.makes("the image of vda was " + overlay + ", is " + base)
	u.makes("")
	u.restored(u.settled("full resync inc inc resync inc"))
}

// internalSnapshot (S37): QEMU does not revert an image that has bitmaps, and libvirt 9.0
// lets the machine die of that. Without them the image goes back.
func internalSnapshot(u user) {
	u.virsh("snapshot-create-as", u.uuid, "s")
	u.Cleanup(func() { u.virsh("snapshot-delete", u.uuid, "s", "--metadata") })
	u.makes("no restore point yet")
	for _, target := range []string{"vda", "vdb"} {
		if w := u.warning(); !strings.Contains(w, u.root.Image(u.uuid, target)+" holds 1 internal snapshot(s): ") {
			u.Errorf("warned of %q", w)
		}
	}
	u.makes("")
	u.refused("active dirty bitmaps", "snapshot-revert", u.uuid, "s")
	u.root.WaitInactive(u.T, u.uuid)
	u.root.Start(u.T, u.uuid)
	u.makes("is missing or inconsistent on vda")
	u.root.Stop(u.T, u.uuid)
	for target := range u.sizes {
		image := u.root.Image(u.uuid, target)
		u.qemuImg("bitmap", "--remove", image, u.head().Checkpoint)
		u.qemuImg("snapshot", "-q", "-a", "s", image)
	}
	u.root.Start(u.T, u.uuid)
	u.makes("is missing or inconsistent on vda")
	u.makes("")
	u.virsh("checkpoint-delete", u.uuid, u.head().Checkpoint)
	u.virsh("snapshot-revert", u.uuid, "s")
	u.makes("is unknown to libvirt")
	u.makes("")
	u.restored(u.settled("full inc resync resync inc resync inc"))
}

// warning is what the next plan warns of.
func (u user) warning() string {
	u.Helper()
	u.now = u.now.Add(25 * time.Hour)
	defer func() { u.now = u.now.Add(-25 * time.Hour) }()
	return strings.Join(u.plan().Warnings, "\n")
}

// clone (S30): a second machine has copies of the first one's images, with their bitmaps, and
// a chain of its own in the same store.
func clone(u user) {
	u.makes("no restore point yet")
	second := user{machineOn(u.T, u.root, u.host, "second", embedtest.DiskSpec{Target: "vda", Size: 6 << 20}, embedtest.DiskSpec{Target: "vdb", Size: 2 << 20}), u.daemon}
	second.config.Stores, second.now = u.config.Stores, u.now
	u.root.Stop(u.T, u.uuid)
	u.root.Stop(u.T, second.uuid)
	for target := range u.sizes {
		u.shell("cp", u.root.Image(u.uuid, target), u.root.Image(second.uuid, target))
	}
	u.root.Start(u.T, u.uuid)
	u.root.Start(u.T, second.uuid)
	second.write(2)
	second.makes("no restore point yet")
	u.makes("")
	second.makes("")
	found, err := u.store().Domains(u.Context())
	if err != nil || len(found) != 2 {
		u.Fatalf("the store holds %+v: %v", found, err)
	}
	for _, d := range found {
		m := u
		if d.UUID == second.uuid {
			m = second
		}
		m.restored(d)
		var kinds []string
		for _, p := range d.Chains[0].Manifest.Points {
			kinds = append(kinds, string(p.Kind))
		}
		if got := strings.Join(kinds, " "); got != "full inc" || len(d.Chains) != 1 {
			u.Errorf("%s has %d chains, and %q", d.Folder, len(d.Chains), got)
		}
	}
}
