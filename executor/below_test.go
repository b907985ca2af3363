package executor

import (
	"testing"

	"vbk/store"
	"vbk/virt"
)

// TestRenewIdentity: what is recorded of a disk follows a change below its image only
// where all was as recorded before it.
func TestRenewIdentity(t *testing.T) {
	const is = "inode 1, qcow2 3"
	const was, now = is + ", on a, inode 2 of 9 bytes written 1", is + ", on a, inode 2 of 8 bytes written 2"
	for name, c := range map[string]struct {
		recorded, before, after string
		source                  string
		renewed                 bool
	}{
		"a bitmap went":            {was, was, now, "/a", true},
		"nothing changed":          {was, was, was, "/a", false},
		"changed before":           {was, is + ", on a, inode 2 of 9 bytes written 1.5", now, "/a", false},
		"another image":            {was, was, "inode 2, qcow2 3, on a, inode 2 of 8 bytes written 2", "/a", false},
		"another name below":       {was, was, is + ", on b, inode 2 of 8 bytes written 2", "/a", false},
		"another file below":       {was, was, is + ", on a, inode 3 of 8 bytes written 2", "/a", false},
		"below cannot be seen":     {was, was, is + ", on a", "/a", false},
		"another overlay":          {was, was, now, "/b", false},
		"one image more":           {was, was, now + ", on c, inode 4 of 8 bytes written 1", "/a", false},
		"none below":               {is, is, "inode 2, qcow2 3", "/a", false},
		"cannot be seen any more":  {was, was, "", "/a", false},
		"could not be seen before": {"", "", now, "/a", false},
	} {
		t.Run(name, func(t *testing.T) {
			recorded := []store.PointDisk{{Target: "vdb"}, {Target: "vda", Source: "/a", Identity: c.recorded}}
			changed := renewIdentity(recorded, []virt.Disk{{Target: "vda", Source: "/a", Identity: c.before}}, []virt.Disk{{Target: "vda", Source: c.source, Identity: c.after}})
			want := c.recorded
			if c.renewed {
				want = c.after
			}
			if changed != c.renewed || recorded[1].Identity != want {
				t.Errorf("%v, %q", changed, recorded[1].Identity)
			}
		})
	}
}
