package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vbk/store"
	"vbk/virt"
)

// socketName is that of a job's NBD server, in the run folder.
const socketName = "nbd"

func (a *attempt) socket() string { return filepath.Join(a.record.RunFolder, socketName) }

func (a *attempt) bitmap(target string) string { return "vbk-" + target }

// job begins the backup job, reads the disks, and ends the job. It ends it
// first of all that follows, whatever happened: the guest pays for it.
func (a *attempt) job(ctx context.Context) (err error) {
	d, err := a.domain(ctx)
	if err != nil {
		return err
	}
	if err := makeRunFolder(a.record.RunFolder, d); err != nil {
		return err
	}
	if err := a.checkSpace(a.record.RunFolder); err != nil {
		return err
	}
	ctx, stop := watch(ctx, jobInterval, func() error { return a.checkSpace(a.record.RunFolder) }, a.stalled())
	defer stop()
	defer func() { err = a.end(ctx, err) }()
	defer a.endIfStuck(ctx)()
	if err := a.begin(ctx, d); err != nil {
		return err
	}
	for _, d := range a.plan.Disks {
		bitmap := ""
		if !d.Whole() {
			bitmap = a.bitmap(d.Target)
		}
		if err := a.disk(ctx, d, a.socket(), bitmap); err != nil {
			return err
		}
	}
	a.point.End = a.Now().UTC()
	return nil
}

// stuckTime is how long the reading may take to stop after it was told to.
const stuckTime = 5 * time.Second

// endIfStuck ends the job when the reading does not stop soon after ctx ends: a
// writer that hangs in the kernel, or a terminal that takes no more lines, must
// not keep the guest paying. What it returns stops the waiting.
func (a *attempt) endIfStuck(ctx context.Context) (stop func()) {
	returned := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		select {
		case <-returned:
		case <-time.After(stuckTime):
			_ = guarded(func() error { return a.endJob(ctx) })() // end says what becomes of it
		}
	})
	return func() { close(returned); unregister() }
}

// endJob ends the job, whatever became of ctx.
func (a *attempt) endJob(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	return a.host.EndBackup(ctx, a.want.UUID, a.socket())
}

// end ends the job after it failed or succeeded. Where it failed, finish tries
// again and reports.
func (a *attempt) end(ctx context.Context, failed error) error {
	cause := context.Cause(ctx)
	err := a.endJob(ctx)
	switch {
	case failed != nil && cause != nil && !errors.Is(failed, cause):
		return cause
	case failed != nil:
		return failed
	case err != nil:
		return err
	}
	return nil
}

// begin starts the job; at that instant QEMU makes the new checkpoint and
// freezes the disks' content for us.
func (a *attempt) begin(ctx context.Context, d virt.Domain) error {
	job := virt.Backup{Socket: a.socket(), Checkpoint: a.point.Checkpoint, Others: a.plan.Others}
	for _, disk := range a.plan.Disks {
		b := virt.BackupDisk{Target: disk.Target, Scratch: filepath.Join(a.record.RunFolder, disk.Target+".scratch"), Untracked: disk.Untracked}
		if !disk.Whole() {
			b.Incremental, b.Bitmap = a.plan.Checkpoint, a.bitmap(disk.Target)
		}
		job.Disks = append(job.Disks, b)
	}
	if err := a.sealScratch(ctx, d, &job); err != nil {
		return err
	}
	thaw, err := a.freeze(ctx, d)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = a.beginJob(ctx, job)
	}
	if err := errors.Join(err, thaw(), a.forgetSecret(ctx, a.record.Secret)); err != nil {
		return err
	}
	return a.describe(ctx)
}

func (a *attempt) beginJob(ctx context.Context, job virt.Backup) error {
	// A begin that is given up goes on in libvirt, and its job would outlive us.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	a.point.Start = a.Now().UTC()
	if err := a.host.BeginBackup(ctx, a.want.UUID, job); err != nil {
		a.zombies = !errors.Is(err, virt.ErrBusy)
		if errors.Is(err, virt.ErrOldImage) {
			return &hintError{err, "with the domain shut off: qemu-img amend -f qcow2 -o compat=1.1 IMAGE; or leave the disk out: disks { exclude = [TARGET] }"}
		}
		if errors.Is(err, virt.ErrServing) {
			return &hintError{err, "virsh -c " + a.want.Host.URI + " qemu-monitor-command " + a.want.Domain + ` '{"execute":"nbd-server-stop"}' frees it, if nobody else has QEMU serve this machine's disks; then vbk apply`}
		}
		return err
	}
	return nil
}

// makeRunFolder makes a fresh folder that QEMU may enter and nobody else.
func makeRunFolder(path string, d virt.Domain) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		return &hintError{err, "mkdir -p " + filepath.Dir(path) + ", or another scratch_dir in the host block"}
	}
	if err != nil {
		return err
	}
	if d.ProcessUID >= 0 {
		if err := os.Chown(path, d.ProcessUID, d.ProcessGID); err != nil {
			return &hintError{fmt.Errorf("give run folder to QEMU's user: %w", err), "run vbk as root"}
		}
	}
	return nil
}

// describe saves the definitions as they are at the instant of the checkpoint.
func (a *attempt) describe(ctx context.Context) error {
	domain, err := a.host.DomainXML(ctx, a.want.UUID)
	if err != nil {
		return err
	}
	if err := a.save(domainFileName(a.chain, a.point, a.point.Attempt), []byte(domain)); err != nil {
		return err
	}
	if err := a.extras(domain); err != nil || a.point.Checkpoint == "" {
		return err
	}
	checkpoint, err := a.host.CheckpointXML(ctx, a.want.UUID, a.point.Checkpoint)
	if err != nil {
		return err
	}
	return a.save(store.ExtraFileName(a.point.Sequence, a.point.Attempt, "checkpoint.xml"), []byte(checkpoint))
}

// save writes a small file of the point.
func (a *attempt) save(name string, data []byte) error {
	f, err := a.folder.Write(a.chain.Chain, name, data)
	if err != nil {
		return err
	}
	a.point.Files = append(a.point.Files, f)
	return nil
}
