package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"vbk/store"
)

// Protect commits that nothing deletes a point or merges it away, or, if p is
// nil, that this is over. It takes the lock of the domain's folder with the
// record self, and leaves what an interrupted run has left there to the next run.
// It is no error if it is so already.
func Protect(ctx context.Context, s Store, self store.Attempt, folder, chain string, sequence int, p *store.Protection, now time.Time) (err error) {
	f, err := s.Lock(ctx, folder, self)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, giveBack(f, err)) }()
	d, err := f.Look(ctx)
	if err != nil {
		return fmt.Errorf("look at folder %s: %w", folder, err)
	}
	for _, c := range d.Chains {
		if c.Name == chain {
			return protect(ctx, f, c.Manifest, sequence, p, now)
		}
	}
	return fmt.Errorf("chain %s is gone", chain)
}

func protect(ctx context.Context, f Folder, m store.Manifest, sequence int, p *store.Protection, now time.Time) error {
	at := slices.IndexFunc(m.Points, func(x store.Point) bool { return x.Sequence == sequence })
	if at < 0 {
		return fmt.Errorf("point %s.%d is gone", m.Chain, sequence)
	}
	if was := m.Points[at].Protected; was == p || was != nil && p != nil && *was == *p {
		return nil
	}
	m.Points = slices.Clone(m.Points)
	m.Points[at].Protected = p
	m.Number++
	m.Written = now.UTC()
	return f.Commit(ctx, m)
}
