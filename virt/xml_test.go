package virt_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbk/virt"
)

var update = flag.Bool("update", false, "write golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", name, diff)
	}
}

func TestParseDomain(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("testdata", "domain.xml"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := virt.ParseDomain(string(doc))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "domain.json", string(got)+"\n")
}

func TestParseDomainRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"not XML":   "domain",
		"cut off":   "<domain><name>web</name>",
		"no UUID":   "<domain><name>web</name></domain>",
		"no name":   "<domain><uuid>4c1f9d2a-0000-4000-8000-000000000000</uuid></domain>",
		"something": "<network><name>web</name></network>",
	} {
		if d, err := virt.ParseDomain(doc); err == nil {
			t.Errorf("%s: read as %+v", name, d)
		}
	}
}

func TestProcessUser(t *testing.T) {
	const uuid = "<name>web</name><uuid>4C1F9D2A-0000-4000-8000-000000000000</uuid>"
	for label, want := range map[string][2]int{
		"<seclabel type='dynamic' model='dac'><label>+64055:+109</label></seclabel>": {64055, 109},
		"<seclabel type='static' model='dac'><label>0:0</label></seclabel>":          {0, 0},
		"<seclabel type='dynamic' model='apparmor'><label>+1:+1</label></seclabel>":  {-1, -1},
		"<seclabel type='static' model='dac'><label>qemu:qemu</label></seclabel>":    {-1, -1},
		"<seclabel type='static' model='dac'><label>+64055</label></seclabel>":       {-1, -1},
		"<seclabel type='dynamic' model='dac' relabel='yes'/>":                       {-1, -1},
		"<seclabel type='none' model='dac'/><seclabel type='none' model='selinux'/>": {-1, -1},
		"": {-1, -1},
	} {
		d, err := virt.ParseDomain("<domain>" + uuid + label + "</domain>")
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]int{d.ProcessUID, d.ProcessGID}; got != want {
			t.Errorf("%s: user is %v, want %v", label, got, want)
		}
		if d.UUID != "4c1f9d2a-0000-4000-8000-000000000000" {
			t.Errorf("UUID is %s, want it in lower case", d.UUID)
		}
	}
}

const checkpointDoc = `<domaincheckpoint>
  <name>c2</name>
  <parent><name>c1</name></parent>
  <creationTime>1795393200</creationTime>
  <disks>
    <disk name='vda' checkpoint='bitmap' bitmap='c2' size='0'/>
    <disk name='vdb' checkpoint='bitmap' bitmap='c2' size='131072'/>
    <disk name='vdc' checkpoint='bitmap'/>
    <disk name='hda' checkpoint='no'/>
  </disks>
</domaincheckpoint>`

func TestParseCheckpoint(t *testing.T) {
	want := virt.Checkpoint{Name: "c2", Parent: "c1", Created: time.Unix(1795393200, 0).UTC(), Disks: []virt.CheckpointDisk{
		{Target: "vda", Bitmap: "c2", Health: virt.Sound},
		{Target: "vdb", Bitmap: "c2", Health: virt.Sound, Dirty: 131072},
		{Target: "vdc", Bitmap: "c2", Health: virt.Broken},
	}}
	got, err := virt.ParseCheckpoint(checkpointDoc, true)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	for i := range want.Disks {
		want.Disks[i].Health, want.Disks[i].Dirty = virt.Unseen, 0
	}
	got, err = virt.ParseCheckpoint(checkpointDoc, false)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"no name":         "<domaincheckpoint/>",
		"size negative":   strings.Replace(checkpointDoc, "131072", "-1", 1),
		"size overflows":  strings.Replace(checkpointDoc, "131072", "9223372036854775808", 1),
		"size in letters": strings.Replace(checkpointDoc, "131072", "many", 1),
		"no checkpoint":   "<domain><name>c2</name></domain>",
	} {
		if c, err := virt.ParseCheckpoint(doc, true); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
}

func TestParseJob(t *testing.T) {
	for doc, want := range map[string]virt.Job{
		"<domainbackup mode='pull'><server transport='unix' socket='/run/vbk/s'/></domainbackup>": {Operation: "backup", Socket: "/run/vbk/s"},
		"<domainbackup mode='pull'><server transport='tcp' name='h' port='1'/></domainbackup>":    {Operation: "backup"},
		"<domainbackup mode='push'/>": {Operation: "backup"},
	} {
		if got, err := virt.ParseJob(doc); err != nil || got != want {
			t.Errorf("%s: %+v, %v", doc, got, err)
		}
	}
	if job, err := virt.ParseJob("<domain/>"); err == nil {
		t.Errorf("a domain was read as job %+v", job)
	}
}

func backup() virt.Backup {
	return virt.Backup{
		Socket:     "/run/vbk/a&b/s",
		Checkpoint: "vbk-5d21ab90-9f3c-77e0c2f4.17",
		Disks: []virt.BackupDisk{
			{Target: "vda", Incremental: "c1", Bitmap: "changes-vda", Scratch: "/run/vbk/a&b/vda"},
			{Target: "vdb", Scratch: "/run/vbk/a&b/vdb"},
			{Target: "vdc", Scratch: "/run/vbk/a&b/vdc", Untracked: true},
		},
		Others: []string{"hda"},
	}
}

func TestBackupXML(t *testing.T) {
	b := backup()
	job, checkpoint, err := b.XML()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "backup.xml", job+"\n")
	golden(t, "checkpoint.xml", checkpoint+"\n")
	if back, err := virt.ParseJob(job); err != nil || back.Socket != b.Socket {
		t.Fatalf("the job reads as %+v: %v", back, err)
	}
	b.Checkpoint = ""
	if again, checkpoint, err := b.XML(); err != nil || again != job || checkpoint != "" {
		t.Fatalf("without a checkpoint: %q: %v", checkpoint, err)
	}
}

func TestBackupXMLRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*virt.Backup){
		"no disk":                func(b *virt.Backup) { b.Disks = nil },
		"relative socket":        func(b *virt.Backup) { b.Socket = "s" },
		"long socket":            func(b *virt.Backup) { b.Socket = "/" + strings.Repeat("s", 107) },
		"relative scratch":       func(b *virt.Backup) { b.Disks[0].Scratch = "vda" },
		"scratch shared":         func(b *virt.Backup) { b.Disks[1].Scratch = b.Disks[0].Scratch },
		"control character":      func(b *virt.Backup) { b.Disks[0].Scratch = "/run/\x01" },
		"not UTF-8":              func(b *virt.Backup) { b.Socket = "/run/\xff" },
		"target twice":           func(b *virt.Backup) { b.Others = []string{"vda"} },
		"target empty":           func(b *virt.Backup) { b.Disks[0].Target = "" },
		"increment, no bitmap":   func(b *virt.Backup) { b.Disks[0].Bitmap = "" },
		"bitmap, no increment":   func(b *virt.Backup) { b.Disks[1].Bitmap = "b" },
		"checkpoint of nothing":  func(b *virt.Backup) { b.Disks = b.Disks[2:] },
		"checkpoint with slash":  func(b *virt.Backup) { b.Checkpoint = "a/b" },
		"checkpoint with option": func(b *virt.Backup) { b.Checkpoint = "-a" },
		"checkpoint too long":    func(b *virt.Backup) { b.Checkpoint = strings.Repeat("c", 101) },
	} {
		b := backup()
		spoil(&b)
		if job, _, err := b.XML(); err == nil {
			t.Errorf("%s: became %s", name, job)
		}
	}
}

func FuzzXML(f *testing.F) {
	domain, err := os.ReadFile(filepath.Join("testdata", "domain.xml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(domain))
	f.Add(checkpointDoc)
	f.Add(`<domain><name>a</name><uuid>b</uuid><metadata><x:tags xmlns:x="urn:vbk:tags:1" tier="gold"/></metadata></domain>`)
	f.Fuzz(func(t *testing.T, doc string) {
		if d, err := virt.ParseDomain(doc); err == nil && (d.Name == "" || d.UUID == "" || d.ProcessUID < -1 || len(d.Tags) > 64) {
			t.Fatalf("read %+v", d)
		}
		c, err := virt.ParseCheckpoint(doc, true)
		for _, disk := range c.Disks {
			if err == nil && (disk.Dirty < 0 || disk.Bitmap == "" || disk.Health == virt.Broken && disk.Dirty != 0) {
				t.Fatalf("read %+v", c)
			}
		}
		_, _ = virt.ParseJob(doc)
	})
}
