package executor

import (
	"context"
	"fmt"

	"vbk/plan"
)

// redefine makes the checkpoint of the head known to libvirt again, and looks
// what that is good for: the backup that then is right, with the bitmaps if they
// are sound, and as on_broken says if not.
func (x *instance) redefine(ctx context.Context, planned plan.Action) (plan.Action, plan.Verdict, string, error) {
	failed := x.redefineHead(ctx, planned.Backup)
	if ctx.Err() != nil {
		return planned, "", "", context.Cause(ctx)
	}
	seen, err := x.look(ctx)
	if err != nil {
		return planned, "", "", err
	}
	if failed != nil {
		seen.Unredefinable = failed.Error()
	}
	action, verdict, why := plan.SeenAgain(planned, plan.Decide(x.want, seen, x.Now()))
	return action, verdict, why, nil
}

// redefineHead takes the checkpoint's XML from the chain.
func (x *instance) redefineHead(ctx context.Context, b *plan.Backup) error {
	chain, err := x.store.OpenChain(x.name, b.Chain)
	if err != nil {
		return err
	}
	defer chain.Close()
	head, err := PointOf(chain, b.Head)
	if err != nil {
		return err
	}
	doc, err := chain.ReadFile(plan.CheckpointXML(head.point))
	if err != nil {
		return fmt.Errorf("read its XML: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	return x.host.RedefineCheckpoint(ctx, x.want.UUID, string(doc))
}
