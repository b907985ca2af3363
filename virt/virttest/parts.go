package virttest

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"vbk/virt"
)

func testSurvey(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib, "vdb": 3 * mib})
	all, err := s.Domains(s.ctx)
	if err != nil || len(all) != 1 {
		t.Fatalf("survey found %d domains: %v", len(all), err)
	}
	d := all[0]
	if d.UUID != s.uuid || d.Name != "web" || !d.State.Active() || d.Job != nil || len(d.Checkpoints) != 0 || len(d.Disks) != 2 {
		t.Fatalf("survey found %+v", d)
	}
	for i, size := range []int64{mib, 3 * mib} {
		if x := d.Disks[i]; x.Size != size || x.Device != "disk" || x.Format != "qcow2" || x.Source == "" || x.ReadOnly {
			t.Fatalf("survey found disk %+v, want %d bytes", x, size)
		}
	}
	doc, err := s.DomainXML(s.ctx, s.uuid)
	if err != nil {
		t.Fatal(err)
	}
	if defined, err := virt.ParseDomain(doc); err != nil || defined.UUID != s.uuid || len(defined.Disks) != 2 {
		t.Fatalf("definition holds %+v: %v", defined, err)
	}
	if _, err := s.UUID(s.ctx); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	_, err = s.Domains(ctx)
	wantError(t, err, context.Canceled)
}

func testIncrement(t *testing.T, s *scene) {
	const size = mib + 4096
	s.make(t, map[string]int64{"vda": size})
	s.Fill(t, s.uuid, "vda", 0, 128<<10, 1)
	begun := time.Now().Add(-2 * time.Second)
	full := s.begin(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 0, 64<<10, 2) // after the instant: not in this one
	if job := s.survey(t).Job; job == nil || job.Operation != "backup" || job.Socket != full.Socket {
		t.Fatalf("active job is %+v, want a backup at %s", job, full.Socket)
	}
	want := make([]byte, size)
	copy(want, bytes.Repeat([]byte{1}, 128<<10))
	if content, _ := s.Read(t, full.Socket, "vda", ""); !bytes.Equal(content, want) {
		t.Fatal("the full differs from the disk at its beginning")
	}
	s.end(t, full)
	if h, dirty := s.health(t, "c1", "vda"); h != virt.Sound || dirty != 64<<10 {
		t.Fatalf("checkpoint is %s with %d bytes", h, dirty)
	}
	if c := s.survey(t).Checkpoints[0]; c.Created.Before(begun) || c.Created.After(time.Now()) || c.Parent != "" {
		t.Fatalf("checkpoint was created %s, parent %q", c.Created, c.Parent)
	}

	s.Clear(t, s.uuid, "vda", 64<<10, 64<<10) // zero is dirty
	s.Fill(t, s.uuid, "vda", mib+1024, 1, 3)
	inc := s.begin(t, "c2", map[string]string{"vda": "c1"})
	content, dirty := s.Read(t, inc.Socket, "vda", "changes-vda")
	wantDirty(t, dirty, 0, 1, 16)
	copy(want, bytes.Repeat([]byte{2}, 64<<10))
	clear(want[64<<10 : 128<<10])
	want[mib+1024] = 3
	if !bytes.Equal(content, want) {
		t.Fatal("the increment's content differs from the disk")
	}
	s.end(t, inc)
	s.delete(t, "c1")
	wantNames(t, s.names(t), "c2")
	if h, n := s.health(t, "c2", "vda"); h != virt.Sound || n != 0 {
		t.Fatalf("checkpoint c2 is %s with %d bytes, want it clean", h, n)
	}
}

// An increment that was given up costs nothing: the older checkpoint has
// recorded all along.
func testAbandoned(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 0, 1, 1)
	given := s.begin(t, "c2", map[string]string{"vda": "c1"})
	s.Fill(t, s.uuid, "vda", 128<<10, 1, 1)
	s.end(t, given)
	s.delete(t, "c2")
	s.Fill(t, s.uuid, "vda", 256<<10, 1, 1)
	b := s.begin(t, "c3", map[string]string{"vda": "c1"})
	_, dirty := s.Read(t, b.Socket, "vda", "changes-vda")
	wantDirty(t, dirty, 0, 2, 4)
	s.end(t, b)
}

func testMixed(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib, "vdb": mib, "vdc": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 64<<10, 1, 1)
	s.Fill(t, s.uuid, "vdb", 0, 1, 2)
	b := s.begin(t, "c2", map[string]string{"vda": "c1", "vdb": ""})
	if _, dirty := s.Read(t, b.Socket, "vda", "changes-vda"); true {
		wantDirty(t, dirty, 1)
	}
	if content, _ := s.Read(t, b.Socket, "vdb", ""); content[0] != 2 {
		t.Fatal("the full of vdb misses what was written")
	}
	s.end(t, b)
	for _, c := range s.survey(t).Checkpoints {
		if _, there := c.Disk("vdc"); there {
			t.Fatalf("checkpoint %s covers vdc, which took no part", c.Name)
		}
	}
	for target, base := range map[string]string{"vdb": "c1", "vdc": "c2"} {
		err := s.BeginBackup(s.ctx, s.uuid, s.backup(t, "c3", map[string]string{target: base}))
		wantError(t, err, virt.ErrBrokenCheckpoint)
	}
	wantNames(t, s.names(t), "c1", "c2")
}

func testCheckpoints(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	for _, name := range []string{"c1", "c2", "c3"} {
		s.run(t, name, map[string]string{"vda": ""})
		s.Fill(t, s.uuid, "vda", 0, 1, 1)
	}
	wantNames(t, s.names(t), "c1", "c2", "c3")
	err := s.BeginBackup(s.ctx, s.uuid, s.backup(t, "c2", map[string]string{"vda": ""}))
	if err == nil {
		t.Fatal("a checkpoint's name was used again")
	}
	s.delete(t, "c2")
	if c := s.survey(t).Checkpoints; len(c) != 2 || c[1].Name != "c3" || c[1].Parent != "c1" {
		t.Fatalf("checkpoints are %+v", c)
	}
	doc, err := s.CheckpointXML(s.ctx, s.uuid, "c3")
	if err != nil {
		t.Fatal(err)
	}
	c, err := virt.ParseCheckpoint(doc, false)
	if d, ok := c.Disk("vda"); err != nil || c.Name != "c3" || !ok || d.Health != virt.Unseen || d.Bitmap != "c3" {
		t.Fatalf("checkpoint XML holds %+v: %v", c, err)
	}
	b := s.backup(t, "", map[string]string{"vda": "c1"})
	if err := s.BeginBackup(s.ctx, s.uuid, b); err != nil {
		t.Fatal(err)
	}
	s.end(t, b)
	wantNames(t, s.names(t), "c1", "c3")
}

func testBroken(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Die(t, s.uuid)
	s.Start(t, s.uuid)
	if h, dirty := s.health(t, "c1", "vda"); h != virt.Broken || dirty != 0 {
		t.Fatalf("checkpoint is %s with %d bytes", h, dirty)
	}
	err := s.BeginBackup(s.ctx, s.uuid, s.backup(t, "c2", map[string]string{"vda": "c1"}))
	wantError(t, err, virt.ErrBrokenCheckpoint)
	wantNames(t, s.names(t), "c1")
	s.delete(t, "c1")
	s.run(t, "c2", map[string]string{"vda": ""})
	wantNames(t, s.names(t), "c2")
}

// One disk of a checkpoint has an inconsistent bitmap, the other none at all.
func testPartlyBroken(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib, "vdb": mib})
	both := map[string]string{"vda": "", "vdb": ""}
	s.run(t, "c1", both)
	s.Stop(t, s.uuid)
	s.Start(t, s.uuid)
	s.run(t, "c2", both)
	s.Die(t, s.uuid) // c1 had been saved, c2 had not
	s.Start(t, s.uuid)
	for _, name := range []string{"c1", "c2"} {
		if h, _ := s.health(t, name, "vdb"); h != virt.Broken {
			t.Fatalf("checkpoint %s is %s", name, h)
		}
	}
	s.delete(t, "c2")
	s.delete(t, "c1")
	wantNames(t, s.names(t))
	s.run(t, "c3", both)
	if h, _ := s.health(t, "c3", "vdb"); h != virt.Sound {
		t.Fatalf("checkpoint c3 is %s", h)
	}
}

// libvirt forgets a checkpoint, its bitmap records on, and it is told again.
func testRedefined(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib, "vdb": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.run(t, "c2", map[string]string{"vda": "", "vdb": ""})
	doc, err := s.CheckpointXML(s.ctx, s.uuid, "c2")
	if err != nil {
		t.Fatal(err)
	}
	s.Fill(t, s.uuid, "vda", 0, 1, 1)
	s.Stop(t, s.uuid)
	s.DefineAgain(t, s.uuid)
	s.Start(t, s.uuid)
	wantNames(t, s.names(t))
	s.Fill(t, s.uuid, "vdb", 128<<10, 1, 1)
	for range 2 { // once more is no error
		if err := s.RedefineCheckpoint(s.ctx, s.uuid, doc); err != nil {
			t.Fatal(err)
		}
	}
	if c := s.survey(t).Checkpoints; len(c) != 1 || c[0].Name != "c2" || c[0].Parent != "" {
		t.Fatalf("checkpoints are %+v", c)
	}
	b := s.begin(t, "c3", map[string]string{"vda": "c2", "vdb": "c2"})
	for target, grain := range map[string]int{"vda": 0, "vdb": 2} {
		_, dirty := s.Read(t, b.Socket, target, "changes-"+target)
		wantDirty(t, dirty, grain)
	}
	s.end(t, b)
	s.delete(t, "c2")
	s.Die(t, s.uuid)
	s.DefineAgain(t, s.uuid)
	s.Start(t, s.uuid)
	wantError(t, s.RedefineCheckpoint(s.ctx, s.uuid, doc), virt.ErrBrokenCheckpoint)
	wantNames(t, s.names(t))
}

func testBusy(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	foreign := s.begin(t, "other", map[string]string{"vda": ""})
	mine := s.backup(t, "c1", map[string]string{"vda": ""})
	wantError(t, s.BeginBackup(s.ctx, s.uuid, mine), virt.ErrBusy)
	for _, socket := range []string{mine.Socket, ""} {
		wantError(t, s.EndBackup(s.ctx, s.uuid, socket), virt.ErrBusy)
	}
	wantError(t, s.AbortZombie(s.ctx, s.uuid, []string{"vda"}), virt.ErrBusy)
	_, err := s.EndLeftover(s.ctx, s.uuid, filepath.Dir(foreign.Socket))
	wantError(t, err, virt.ErrBusy)
	if job := s.survey(t).Job; job == nil || job.Socket != foreign.Socket {
		t.Fatalf("the other job became %+v", job)
	}
	wantNames(t, s.names(t), "other")
	s.end(t, foreign)
	if err := s.AbortZombie(s.ctx, s.uuid, []string{"vda"}); err != nil {
		t.Fatal(err)
	}
	s.run(t, "c1", map[string]string{"vda": ""})
}

func testUnknown(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	const nobody = "00000000-0000-4000-8000-000000000000"
	b := s.backup(t, "c1", map[string]string{"vda": ""})
	_, err := s.Domain(s.ctx, nobody)
	wantError(t, err, virt.ErrNoDomain)
	_, err = s.DomainXML(s.ctx, nobody)
	wantError(t, err, virt.ErrNoDomain)
	_, err = s.CheckpointXML(s.ctx, nobody, "c1")
	wantError(t, err, virt.ErrNoDomain)
	wantError(t, s.BeginBackup(s.ctx, nobody, b), virt.ErrNoDomain)
	wantError(t, s.EndBackup(s.ctx, nobody, b.Socket), virt.ErrNoDomain)
	wantError(t, s.AbortZombie(s.ctx, nobody, nil), virt.ErrNoDomain)
	_, err = s.EndLeftover(s.ctx, nobody, "/run")
	wantError(t, err, virt.ErrNoDomain)
	wantError(t, s.DeleteCheckpoint(s.ctx, nobody, "c1"), virt.ErrNoDomain)

	_, err = s.CheckpointXML(s.ctx, s.uuid, "c1")
	wantError(t, err, virt.ErrNoCheckpoint)
	inc := s.backup(t, "c2", map[string]string{"vda": "c1"})
	wantError(t, s.BeginBackup(s.ctx, s.uuid, inc), virt.ErrNoCheckpoint)
	b.Disks[0].Target = "vdz"
	b.Others = []string{"vda"}
	if err := s.BeginBackup(s.ctx, s.uuid, b); err == nil {
		t.Fatal("a backup of an unknown disk began")
	}
	wantNames(t, s.names(t))
}

func testShutOff(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 0, 1, 1)
	s.Stop(t, s.uuid)
	d := s.survey(t)
	if d.State != virt.ShutOff || d.Disks[0].Size != mib || d.Job != nil {
		t.Fatalf("survey found %+v", d)
	}
	if h, dirty := s.health(t, "c1", "vda"); h != virt.Sound || dirty != 64<<10 {
		t.Fatalf("checkpoint is %s with %d bytes", h, dirty)
	}
	err := s.BeginBackup(s.ctx, s.uuid, s.backup(t, "c2", map[string]string{"vda": ""}))
	wantError(t, err, virt.ErrUnsupported)
	wantError(t, s.DeleteCheckpoint(s.ctx, s.uuid, "c1"), virt.ErrUnsupported)
	wantNames(t, s.names(t), "c1")
	if err := s.EndBackup(s.ctx, s.uuid, filepath.Join(s.Folder(t), "s")); err != nil {
		t.Fatal(err)
	}
	s.Start(t, s.uuid)
	if h, dirty := s.health(t, "c1", "vda"); h != virt.Sound || dirty != 64<<10 {
		t.Fatalf("checkpoint is %s with %d bytes after a stop in good order", h, dirty)
	}
	s.run(t, "c2", map[string]string{"vda": ""})
	wantError(t, s.ForgetCheckpoint(s.ctx, s.uuid, "c2"), virt.ErrUnsupported)
	s.Stop(t, s.uuid)
	s.Start(t, s.uuid)
	s.Die(t, s.uuid)
	for _, name := range []string{"c1", "c2"} {
		if h, _ := s.health(t, name, "vda"); h != virt.Broken {
			t.Fatalf("checkpoint %s is %s after QEMU was killed", name, h)
		}
	}
	for range 2 {
		if err := s.ForgetCheckpoint(s.ctx, s.uuid, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	wantNames(t, s.names(t), "c2")
}

func testStopped(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 0, 1, 1)
	b := s.begin(t, "c2", map[string]string{"vda": "c1"})
	s.Stop(t, s.uuid)
	if err := s.EndBackup(s.ctx, s.uuid, b.Socket); err != nil {
		t.Fatal(err)
	}
	s.Start(t, s.uuid)
	s.delete(t, "c2")
	b = s.begin(t, "c3", map[string]string{"vda": "c1"})
	_, dirty := s.Read(t, b.Socket, "vda", "changes-vda")
	wantDirty(t, dirty, 0)
	s.end(t, b)
}

// testStartedPaused: a start is ended by its number and by no other; its bitmaps
// stay sound.
func testStartedPaused(t *testing.T, s *scene) {
	s.make(t, map[string]int64{"vda": mib})
	s.run(t, "c1", map[string]string{"vda": ""})
	s.Fill(t, s.uuid, "vda", 0, 1, 1)
	s.Stop(t, s.uuid)
	state := func(want virt.State) {
		t.Helper()
		if d, err := s.Domain(s.ctx, s.uuid); err != nil || d.State != want {
			t.Fatalf("the domain is %s, want %s: %v", d.State, want, err)
		}
	}
	id, err := s.StartPaused(s.ctx, s.uuid)
	if err != nil || id == 0 {
		t.Fatalf("number %d: %v", id, err)
	}
	if _, err := s.StartPaused(s.ctx, s.uuid); err == nil {
		t.Fatal("it was started twice")
	}
	for _, c := range []struct {
		id   int
		want virt.State
	}{{id + 1, virt.Paused}, {id, virt.ShutOff}, {id, virt.ShutOff}} {
		if err := s.EndPaused(s.ctx, s.uuid, c.id); err != nil {
			t.Fatal(err)
		}
		state(c.want)
	}
	if _, err := s.StartPaused(s.ctx, s.uuid); err != nil {
		t.Fatal(err)
	}
	b := s.begin(t, "c2", map[string]string{"vda": "c1"})
	_, dirty := s.Read(t, b.Socket, "vda", "changes-vda")
	wantDirty(t, dirty, 0)
	s.end(t, b)
	if err := s.EndPaused(s.ctx, s.uuid, 0); err != nil { // nobody knows its number
		t.Fatal(err)
	}
	state(virt.ShutOff)
}
