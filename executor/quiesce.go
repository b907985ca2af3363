package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vbk/virt"
)

// thawTime is how long a guest is asked to go on, again and again: nothing is
// worse than one that stays frozen.
const thawTime = 5 * time.Minute

// freeze stops the guest's file systems for the instant of the checkpoint, as
// the policy wants it. The answer lets them go on, and has to be called whatever
// happens; it can be called twice.
func (a *attempt) freeze(ctx context.Context, d virt.Domain) (thaw func() error, err error) {
	q := a.want.Policy.Quiesce
	switch {
	case q.Mode == "off":
		a.point.QuiesceWhy = "quiesce is off"
		return nothing, nil
	case a.record.Started != nil && d.State == virt.Paused: // nothing in it has ever run
		a.point.QuiesceWhy = "the domain is shut off"
		return nothing, nil
	case d.State != virt.Running:
		return nothing, a.unquiesced(fmt.Errorf("the domain is %s", d.State))
	case !d.Agent:
		return nothing, a.unquiesced(virt.ErrNoAgent)
	}
	release := nothing
	if a.Guard != nil {
		if release, err = a.Guard(a.want.Host.URI, a.want.UUID); err != nil {
			return nothing, a.unquiesced(fmt.Errorf("start what would thaw it after a crash: %w", err))
		}
	}
	thaw = func() error { return a.goOn(ctx, release) }
	a.record.Frozen = true
	if err := a.folder.Record(a.record); err != nil {
		return thaw, err
	}
	asked, cancel := context.WithTimeout(ctx, time.Duration(q.Timeout))
	defer cancel()
	a.frozen = a.Now()
	if err := a.host.Freeze(asked, a.want.UUID, q.Filesystems); err != nil { // it may come to it later
		return thaw, errors.Join(a.unquiesced(err), thaw())
	}
	a.point.Quiesced = true
	return thaw, nil
}

func nothing() error { return nil }

// goOn ends what freeze began.
func (a *attempt) goOn(ctx context.Context, release func() error) error {
	if !a.record.Frozen {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), thawTime)
	defer cancel()
	if err := a.instance.thaw(ctx); err != nil {
		return err
	}
	a.record.Frozen = false
	if a.point.Quiesced {
		a.point.FrozenMS = max(1, a.Now().Sub(a.frozen).Milliseconds())
	}
	return errors.Join(release(), a.folder.Record(a.record))
}

// unquiesced says why a point is not quiesced: a fact of the point, or a failure
// where the policy requires it.
func (a *attempt) unquiesced(why error) error {
	if a.want.Policy.Quiesce.Mode == "require" {
		return &hintError{fmt.Errorf("quiesce: %w", why),
			fmt.Sprintf("try virsh -c %s domfsinfo %s; quiesce { mode = \"try\" } takes the point all the same", a.want.Host.URI, a.want.Domain)}
	}
	a.point.QuiesceWhy = why.Error()
	return nil
}

// thawLeft thaws the guest that an interrupted run may have left frozen. Where no
// agent comes, nothing can be done, and it may have been restarted long ago.
func (x *instance) thawLeft(ctx context.Context) error {
	if x.attempt == nil || !x.attempt.Frozen {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := x.thaw(ctx)
	if err == nil || errors.Is(err, virt.ErrNoAgent) {
		x.attempt.Frozen = false
		return nil
	}
	return err
}

// thaw asks until the guest goes on or ctx ends.
func (x *instance) thaw(ctx context.Context) error {
	err := Insist(ctx, func(ctx context.Context) error { return x.host.Thaw(ctx, x.want.UUID) })
	if err != nil {
		err = &hintError{fmt.Errorf("thaw the guest: %w", err), fmt.Sprintf("virsh -c %s domfsthaw %s", x.want.Host.URI, x.want.Domain)}
	}
	return err
}

// Insist asks again and again until what is asked for is done, or ctx ends. A machine
// that does not run or is gone needs it no more.
func Insist(ctx context.Context, ask func(ctx context.Context) error) error {
	for {
		asked, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := ask(asked)
		cancel()
		if err == nil || errors.Is(err, virt.ErrNoDomain) || errors.Is(err, virt.ErrUnsupported) {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
	}
}
