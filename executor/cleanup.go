package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbk/plan"
)

// cleanupTime bounds what is done after an interruption.
const cleanupTime = 2 * time.Minute

// cleanup removes what an interrupted run left, or what this one has begun: the
// job first, because the guest pays for it, then checkpoints, the run folder
// and files. It decides by what it sees, not by how far somebody came, so it
// can be repeated. The answer says whether there was anything.
func (x *instance) cleanup(ctx context.Context) (bool, error) {
	now, err := x.decide(ctx)
	if err != nil {
		return false, err
	}
	if len(now.Actions) == 0 || now.Actions[0].Kind != plan.KindCleanup {
		return false, nil
	}
	if err := x.clean(ctx, *now.Actions[0].Cleanup); err != nil {
		return false, fmt.Errorf("clean up: %w", err)
	}
	if err := x.folder.Record(x.self()); err != nil {
		return false, fmt.Errorf("clean up: %w", err)
	}
	x.attempt = nil
	return true, nil
}

func (x *instance) clean(ctx context.Context, c plan.Cleanup) error {
	if c.Job != "" {
		if err := x.host.EndBackup(ctx, x.want.UUID, c.Job); err != nil {
			return fmt.Errorf("end backup job %s: %w", c.Job, err)
		}
	}
	for _, name := range c.Checkpoints {
		if err := x.host.DeleteCheckpoint(ctx, x.want.UUID, name); err != nil {
			return fmt.Errorf("delete checkpoint %s: %w", name, err)
		}
	}
	if err := x.removeRunFolder(c.RunFolder); err != nil {
		return err
	}
	return x.folder.RemoveLeftovers(ctx, c.Files)
}

// removeRunFolder deletes a run folder of this store and nothing else.
func (x *instance) removeRunFolder(path string) error {
	if path == "" || !strings.HasPrefix(filepath.Base(path), plan.RunFolderPrefix(x.want.StoreID)) {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove run folder: %w", err)
	}
	return nil
}

// finish cleans up what this run has begun and gives the lock back. It outlives
// a cancelled context. If cleaning up fails, the record stays, and the next
// plan sees it.
func (x *instance) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if x.attempt != nil {
		if _, err := x.cleanup(ctx); err != nil {
			return errors.Join(&hintError{err, "the next vbk apply cleans it up"}, x.folder.Abandon())
		}
	}
	return x.folder.Unlock()
}
