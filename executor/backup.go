package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// attempt is one try to make one point.
type attempt struct {
	*instance
	action plan.Action
	plan   *plan.Backup
	record store.Attempt
	chain  store.Manifest // to which the point will be added
	point  store.Point
	files  []io.Closer // written, not yet synced
	done   counter     // bytes, over all disks
}

// backup makes the planned point. If it fails, what it began is left to finish,
// which finds it by the record.
func (x *instance) backup(ctx context.Context, action plan.Action) (chain string, p store.Point, err error) {
	a, err := x.prepare(ctx, action)
	if err != nil {
		return "", store.Point{}, err
	}
	defer a.closeFiles()
	if err := a.job(ctx); err != nil {
		return "", store.Point{}, err
	}
	if err := a.commit(ctx); err != nil {
		return "", store.Point{}, err
	}
	return a.chain.Chain, a.point, nil
}

// prepare draws the names of the attempt and records them before anything of
// that name exists.
func (x *instance) prepare(ctx context.Context, action plan.Action) (*attempt, error) {
	a := &attempt{instance: x, action: action, plan: action.Backup}
	var err error
	if a.chain, err = a.chainToExtend(ctx); err != nil {
		return nil, err
	}
	id, err := store.NewID(x.Random)
	if err != nil {
		return nil, err
	}
	folder, err := store.NewID(x.Random)
	if err != nil {
		return nil, err
	}
	a.point = store.Point{
		Sequence: a.plan.Head + 1, Attempt: id, Kind: a.plan.Kind, Parent: a.plan.Head, Reason: action.Reason,
		QuiesceWhy: "this version does not ask the guest agent", Digest: x.want.Digest(), Version: x.Version,
	}
	a.point.Checkpoint = store.CheckpointName(x.want.StoreID, a.chain.Chain, id, a.point.Sequence)
	a.record = x.self()
	a.record.Chain, a.record.ID, a.record.Checkpoint = a.chain.Chain, id, a.point.Checkpoint
	a.record.RunFolder = filepath.Join(x.want.Host.ScratchDir, plan.RunFolderPrefix(x.want.StoreID)+folder)
	if err := x.folder.Record(a.record); err != nil {
		return nil, fmt.Errorf("record the attempt: %w", err)
	}
	x.attempt = &a.record
	return a, nil
}

// chainToExtend is the manifest that the point will be added to. An increment
// is built only on a chain whose every file has the footer that the manifest
// names.
func (a *attempt) chainToExtend(ctx context.Context) (store.Manifest, error) {
	f, err := a.folder.Look(ctx)
	if err != nil {
		return store.Manifest{}, err
	}
	if a.plan.Chain == "" {
		return a.newChain(f)
	}
	for _, c := range f.Chains {
		if c.Name != a.plan.Chain {
			continue
		}
		err := checkFooters(a.store, a.name, c.Manifest)
		if IsDamage(err) {
			err = a.closeChain(ctx, c.Manifest, err)
		}
		return c.Manifest, err
	}
	return store.Manifest{}, fmt.Errorf("chain %s is gone", a.plan.Chain)
}

// closeChain commits that nothing is added to a damaged chain any more, so that
// the next plan opens a new one. Its points stay as they are.
func (a *attempt) closeChain(ctx context.Context, m store.Manifest, damage error) error {
	m.Number++
	m.Closed, m.Written, m.Version = damage.Error(), a.Now().UTC(), a.Version
	if err := a.folder.Commit(ctx, m); err != nil {
		return errors.Join(damage, fmt.Errorf("close the chain: %w", err))
	}
	return &hintError{fmt.Errorf("chain %s is damaged, and closed now: %w", m.Chain, damage),
		"vbk apply again: it opens a new chain; vbk verify tells which points still restore"}
}

func (a *attempt) newChain(f store.Domain) (store.Manifest, error) {
	var key format.Key
	if _, err := io.ReadFull(a.Random, key[:]); err != nil {
		return store.Manifest{}, fmt.Errorf("draw hash key: %w", err)
	}
	name, err := store.ChainName(a.Now(), a.Random)
	if err != nil {
		return store.Manifest{}, err
	}
	m := store.Manifest{
		FormatVersion: store.FormatVersion, StoreID: a.want.StoreID, Chain: name, ChainNumber: 1,
		UUID: a.want.UUID, HashKey: key.String(),
		Owner: store.Owner{Configuration: a.want.Configuration, Address: a.want.Address, HostUUID: a.want.HostUUID},
	}
	for _, c := range f.Chains {
		m.ChainNumber = max(m.ChainNumber, c.Manifest.ChainNumber+1)
	}
	return m, nil
}

func (a *attempt) socket() string { return filepath.Join(a.record.RunFolder, "nbd") }

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
	ctx, stop := a.watchSpace(ctx, a.record.RunFolder)
	defer stop()
	defer func() { err = a.end(ctx, err) }()
	defer a.endIfStuck(ctx)()
	if err := a.begin(ctx); err != nil {
		return err
	}
	for _, d := range a.plan.Disks {
		if err := a.disk(ctx, d); err != nil {
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
		return fmt.Errorf("end backup job: %w", err)
	}
	return nil
}

// begin starts the job; at that instant QEMU makes the new checkpoint and
// freezes the disks' content for us.
func (a *attempt) begin(ctx context.Context) error {
	job := virt.Backup{Socket: a.socket(), Checkpoint: a.point.Checkpoint, Others: a.plan.Others}
	for _, disk := range a.plan.Disks {
		b := virt.BackupDisk{Target: disk.Target, Scratch: filepath.Join(a.record.RunFolder, disk.Target+".scratch")}
		if !disk.Base {
			b.Incremental, b.Bitmap = a.plan.Checkpoint, a.bitmap(disk.Target)
		}
		job.Disks = append(job.Disks, b)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	// A begin that is given up goes on in libvirt, and its job would outlive us.
	begun, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	a.point.Start = a.Now().UTC()
	if err := a.host.BeginBackup(begun, a.want.UUID, job); err != nil {
		a.zombies = !errors.Is(err, virt.ErrBusy)
		err = fmt.Errorf("begin backup job: %w", err)
		if errors.Is(err, virt.ErrOldImage) {
			return &hintError{err, "with the domain shut off: qemu-img amend -f qcow2 -o compat=1.1 IMAGE; or leave the disk out: disks { exclude = [TARGET] }"}
		}
		return err
	}
	return a.describe(ctx)
}

// makeRunFolder makes a fresh folder that QEMU may enter and nobody else.
func makeRunFolder(path string, d virt.Domain) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return &hintError{fmt.Errorf("make run folder: %w", err), "scratch_dir of the host block names a directory that exists and has space"}
	}
	if d.ProcessUID >= 0 {
		if err := os.Chown(path, d.ProcessUID, d.ProcessGID); err != nil {
			return fmt.Errorf("give run folder to QEMU's user: %w", err)
		}
	}
	return nil
}

// describe saves the definitions as they are at the instant of the checkpoint.
func (a *attempt) describe(ctx context.Context) error {
	domain, err := a.host.DomainXML(ctx, a.want.UUID)
	if err != nil {
		return fmt.Errorf("read domain XML: %w", err)
	}
	checkpoint, err := a.host.CheckpointXML(ctx, a.want.UUID, a.point.Checkpoint)
	if err != nil {
		return fmt.Errorf("read checkpoint XML: %w", err)
	}
	for _, def := range [][2]string{{"domain.xml", domain}, {"checkpoint.xml", checkpoint}} {
		f, err := a.folder.Write(a.chain.Chain, store.ExtraFileName(a.point.Sequence, a.point.Attempt, def[0]), []byte(def[1]))
		if err != nil {
			return err
		}
		a.point.Files = append(a.point.Files, f)
	}
	return nil
}

// disk streams one disk into its final, attempt-unique file.
func (a *attempt) disk(ctx context.Context, d plan.DiskBackup) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("disk %s: %w", d.Target, err)
		}
	}()
	bitmap := ""
	if !d.Base {
		bitmap = a.bitmap(d.Target)
	}
	export, err := a.Dial(ctx, a.socket(), d.Target, bitmap)
	if err != nil {
		return err
	}
	defer export.Close()
	if export.Size() != d.Size {
		return fmt.Errorf("the export has %d bytes, libvirt said %d", export.Size(), d.Size)
	}
	source := exportSource{export, d.Base}
	file, err := a.createDisk(ctx, d, source)
	if err != nil {
		return err
	}
	if err := a.stream(ctx, file, source, d); err != nil {
		return err
	}
	written, err := file.close()
	if err != nil {
		return err
	}
	a.point.Disks = append(a.point.Disks, written)
	return nil
}

// primeFrom is the amount from which the priming read pays (QEMU's buffers,
// docs/performance.md).
const primeFrom = 128 << 20

func (a *attempt) stream(ctx context.Context, w Sink, source exportSource, d plan.DiskBackup) error {
	if a.plan.Estimate >= primeFrom {
		if err := source.export.Prime(ctx); err != nil {
			return err
		}
	}
	return Copy(ctx, w, source, func(bytes int64) {
		a.Events(Event{Kind: Progress, Address: a.want.Address, Disk: d.Target, Done: a.done.add(bytes), Total: a.plan.Estimate})
	})
}

// commit syncs everything and writes the manifest: then the point exists.
func (a *attempt) commit(ctx context.Context) error {
	for _, f := range a.files {
		if err := f.Close(); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	a.files = nil
	retention, err := json.Marshal(a.want.Policy.Retention)
	if err != nil {
		return fmt.Errorf("encode retention: %w", err)
	}
	m := a.chain
	m.Number++
	m.Domain, m.Retention, m.Written, m.Version = a.want.Domain, retention, a.Now().UTC(), a.Version
	m.Points = append(m.Points[:len(m.Points):len(m.Points)], a.point)
	err = a.folder.Commit(ctx, m)
	if errors.Is(err, store.ErrUncertain) {
		return &hintError{err, "the next vbk apply finds out, and loses nothing either way"}
	}
	return err
}

func (a *attempt) closeFiles() {
	for _, f := range a.files {
		_ = f.Close() // the attempt has failed; its files go
	}
}
