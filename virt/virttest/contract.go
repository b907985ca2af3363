package virttest

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"vbk/virt"
)

// Hypervisor is what libvirt.Host and Host have in common.
type Hypervisor interface {
	UUID(ctx context.Context) (string, error)
	Domains(ctx context.Context) ([]virt.Domain, error)
	Domain(ctx context.Context, uuid string) (virt.Domain, error)
	DomainXML(ctx context.Context, uuid string) (string, error)
	CheckpointXML(ctx context.Context, uuid, name string) (string, error)
	BeginBackup(ctx context.Context, uuid string, b virt.Backup) error
	EndBackup(ctx context.Context, uuid, socket string) error
	AbortZombie(ctx context.Context, uuid string, targets []string) error
	EndLeftover(ctx context.Context, uuid, folder string) (ended bool, err error)
	DeleteCheckpoint(ctx context.Context, uuid, name string) error
	RedefineCheckpoint(ctx context.Context, uuid, doc string) error
	ForgetCheckpoint(ctx context.Context, uuid, name string) error
	StartPaused(ctx context.Context, uuid string) (id int, err error)
	EndPaused(ctx context.Context, uuid string, id int) error
	Close() error
}

// World is a hypervisor with machines that a test can run.
type World interface {
	Hypervisor
	// Make defines and starts a machine with empty qcow2 disks of so many bytes.
	Make(t *testing.T, name string, disks map[string]int64) (uuid string)
	// Fill writes n bytes of a pattern; Clear writes zeroes.
	Fill(t *testing.T, uuid, target string, off, n int64, pattern byte)
	Clear(t *testing.T, uuid, target string, off, n int64)
	// Start starts a machine that is shut off, Stop stops it in good order, Die
	// ends its QEMU without letting it save bitmaps.
	Start(t *testing.T, uuid string)
	Stop(t *testing.T, uuid string)
	Die(t *testing.T, uuid string)
	// DefineAgain undefines a machine that is shut off and defines it again, so
	// that libvirt forgets its checkpoints.
	DefineAgain(t *testing.T, uuid string)
	// Folder is a fresh folder for a socket and scratch files.
	Folder(t *testing.T) string
	// Read gives the content of an export, and its dirty grains: a byte each, 1
	// if dirty, nil without a bitmap.
	Read(t *testing.T, socket, export, bitmap string) (content, dirty []byte)
}

// Contract tests what every hypervisor must do. newWorld is called once for
// each part.
func Contract(t *testing.T, newWorld func(t *testing.T) World) {
	for name, part := range map[string]func(*testing.T, *scene){
		"survey":                 testSurvey,
		"full and increment":     testIncrement,
		"abandoned increment":    testAbandoned,
		"two disks, mixed":       testMixed,
		"checkpoints":            testCheckpoints,
		"broken by a kill":       testBroken,
		"partly broken":          testPartlyBroken,
		"redefined":              testRedefined,
		"another job":            testBusy,
		"unknown names":          testUnknown,
		"domain shut off":        testShutOff,
		"job ends with the stop": testStopped,
		"started paused":         testStartedPaused,
	} {
		t.Run(name, func(t *testing.T) { part(t, &scene{World: newWorld(t), ctx: t.Context()}) })
	}
}

const mib = 1 << 20

// scene is one machine under test, with the few steps that every part takes.
type scene struct {
	World
	ctx  context.Context
	uuid string
}

func (s *scene) make(t *testing.T, disks map[string]int64) {
	t.Helper()
	s.uuid = s.Make(t, "web", disks)
}

func (s *scene) survey(t *testing.T) virt.Domain {
	t.Helper()
	d, err := s.Domain(s.ctx, s.uuid)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// backup describes a job: since maps each disk to its base, "" for a full.
func (s *scene) backup(t *testing.T, name string, since map[string]string) virt.Backup {
	t.Helper()
	dir := s.Folder(t)
	b := virt.Backup{Socket: filepath.Join(dir, "s"), Checkpoint: name}
	for _, d := range s.survey(t).Disks {
		base, ok := since[d.Target]
		if !ok {
			b.Others = append(b.Others, d.Target)
			continue
		}
		disk := virt.BackupDisk{Target: d.Target, Incremental: base, Scratch: filepath.Join(dir, d.Target)}
		if base != "" {
			disk.Bitmap = "changes-" + d.Target
		}
		b.Disks = append(b.Disks, disk)
	}
	return b
}

func (s *scene) begin(t *testing.T, name string, since map[string]string) virt.Backup {
	t.Helper()
	b := s.backup(t, name, since)
	if err := s.BeginBackup(s.ctx, s.uuid, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scene) end(t *testing.T, b virt.Backup) {
	t.Helper()
	for range 2 { // once more is no error
		if err := s.EndBackup(s.ctx, s.uuid, b.Socket); err != nil {
			t.Fatal(err)
		}
	}
	if job := s.survey(t).Job; job != nil {
		t.Fatalf("job %+v is active after its end", *job)
	}
}

// run does a whole backup without reading it.
func (s *scene) run(t *testing.T, name string, since map[string]string) {
	t.Helper()
	s.end(t, s.begin(t, name, since))
}

func (s *scene) delete(t *testing.T, name string) {
	t.Helper()
	for range 2 {
		if err := s.DeleteCheckpoint(s.ctx, s.uuid, name); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *scene) names(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, c := range s.survey(t).Checkpoints {
		names = append(names, c.Name)
	}
	return names
}

// health is what a survey says about one bitmap.
func (s *scene) health(t *testing.T, checkpoint, target string) (virt.Health, int64) {
	t.Helper()
	for _, c := range s.survey(t).Checkpoints {
		if d, ok := c.Disk(target); ok && c.Name == checkpoint {
			return d.Health, d.Dirty
		}
	}
	t.Fatalf("no checkpoint %s on %s", checkpoint, target)
	return "", 0
}

func wantDirty(t *testing.T, dirty []byte, grains ...int) {
	t.Helper()
	want := make([]byte, len(dirty))
	for _, g := range grains {
		want[g] = 1
	}
	if !bytes.Equal(dirty, want) {
		t.Fatalf("dirty grains are %v, want %v", dirty, want)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

func wantNames(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("checkpoints are %v, want %v", got, want)
	}
}
