package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// cleanupTime bounds what is done after an interruption.
const cleanupTime = 5 * time.Minute

// filesInUse is the remark where a reader holds a chain: what is to go does not
// count any more, and is a leftover for the next run.
const filesInUse = "a reader holds the chain; its files go with the next vbk apply"

// cleanup removes what an interrupted run left, or what this one has begun. A
// frozen guest goes on first of all; then the job, because the guest pays for it,
// checkpoints, the run folder and files. It decides by what it sees, not by how far somebody came, so it
// can be repeated. The answer says whether there was anything, and what of it
// has to stay.
func (x *instance) cleanup(ctx context.Context) (cleaned bool, left string, err error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	seen, err := x.look(ctx)
	if errors.Is(err, virt.ErrNoDomain) { // what it had is gone with it
		seen, err = x.lookAtFolder(ctx, virt.Domain{})
	}
	if err != nil {
		return false, "", err
	}
	now := plan.Decide(x.want, seen, x.Now())
	if len(now.Actions) == 0 || now.Actions[0].Kind != plan.KindCleanup {
		if x.attempt != nil { // there is something, and it cannot be seen now
			return false, "", fmt.Errorf("clean up: %s", now.Error)
		}
		return false, "", nil
	}
	err = x.clean(ctx, *now.Actions[0].Cleanup, seen.Domain)
	if errors.Is(err, store.ErrInUse) {
		left, err = filesInUse, nil
	}
	if err == nil && x.host != nil {
		err = x.folder.Record(x.self())
	}
	if err != nil {
		return false, "", fmt.Errorf("clean up: %w", err)
	}
	x.attempt, x.zombies = nil, false
	return true, left, nil
}

func (x *instance) clean(ctx context.Context, c plan.Cleanup, d virt.Domain) error {
	if err := x.thawLeft(ctx); err != nil {
		return err
	}
	if c.Job != "" {
		if err := x.host.EndBackup(ctx, x.want.UUID, c.Job); err != nil {
			return err
		}
	}
	if err := x.abortZombies(ctx, d); err != nil {
		return err
	}
	if err := x.endLeftover(ctx, c.RunFolder, d); err != nil {
		return err
	}
	for _, name := range c.Checkpoints {
		if err := x.deleteCheckpoint(ctx, d, name); err != nil {
			return err
		}
	}
	if len(c.Checkpoints) > 0 {
		if err := x.keepIdentity(ctx, d); err != nil {
			return fmt.Errorf("look at the images after deleting checkpoints: %w", err)
		}
	}
	if err := x.forgetSecret(ctx, c.Secret); err != nil {
		return err
	}
	if c.Started != nil && d.State.Active() {
		if err := x.host.EndPaused(ctx, x.want.UUID, *c.Started); err != nil {
			return err
		}
	}
	if err := x.removeRunFolder(c.RunFolder); err != nil {
		return err
	}
	return x.folder.RemoveLeftovers(ctx, c.Files)
}

func (x *instance) deleteCheckpoint(ctx context.Context, d virt.Domain, name string) error {
	if d.State == virt.ShutOff {
		return x.deleteOffline(ctx, d, name)
	}
	return x.host.DeleteCheckpoint(ctx, x.want.UUID, name)
}

// abortZombies ends the block jobs that a failed begin may leave without a
// backup job: nothing else ends them.
func (x *instance) abortZombies(ctx context.Context, d virt.Domain) error {
	if !x.zombies || d.Job == nil || d.Job.Socket != "" {
		return nil
	}
	var targets []string
	for _, disk := range d.Disks {
		targets = append(targets, disk.Target)
	}
	err := x.host.AbortZombie(ctx, x.want.UUID, targets)
	if errors.Is(err, virt.ErrBusy) { // it is somebody's job
		return nil
	}
	return err
}

// endLeftover ends the NBD server of a job that libvirt does not know: it was killed
// when it had begun half of it. QEMU is asked only where the socket in the run folder is served.
func (x *instance) endLeftover(ctx context.Context, folder string, d virt.Domain) error {
	if !x.ownRunFolder(folder) || !d.State.Active() {
		return nil
	}
	conn, err := net.Dial("unix", filepath.Join(folder, socketName))
	if err != nil { // nobody listens
		return nil
	}
	_ = conn.Close()
	_, err = x.host.EndLeftover(ctx, x.want.UUID, folder)
	if errors.Is(err, virt.ErrBusy) { // it is a job's
		return nil
	}
	return err
}

func (x *instance) ownRunFolder(path string) bool {
	return path != "" && strings.HasPrefix(filepath.Base(path), plan.RunFolderPrefix(x.want.StoreID))
}

// removeRunFolder deletes a run folder of this store and nothing else.
func (x *instance) removeRunFolder(path string) error {
	if !x.ownRunFolder(path) {
		return nil
	}
	if err := endServers(path); err != nil {
		return err
	}
	// On a read-only file system the removal of what was never made fails, too.
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.RemoveAll(path)
}

// tidyUp cleans up what this run has begun. It outlives a cancelled context. If that
// fails, the record is left for the next plan to see. It is left also where nobody
// knows which manifest is the newest: until the next run has made that durable, the
// checkpoints of both are needed.
func (x *instance) tidyUp(ctx context.Context, failed error) (left bool, err error) {
	if errors.Is(failed, store.ErrUncertain) || x.unknown {
		return true, nil
	}
	if x.attempt == nil {
		return false, nil
	}
	clean := guarded(func() error {
		_, _, err := x.cleanup(context.WithoutCancel(ctx))
		return err
	})
	if err := clean(); err != nil {
		return true, &hintError{err, "the next vbk apply cleans it up"}
	}
	return false, nil
}
