package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// verify reads the files of points, and records what it found of each at once: what
// was read is known also if the rest is not. Damage is recorded and is an error; that
// not all of a point could be read is an error, and nothing is recorded of what was not.
func (x *instance) verify(ctx context.Context, v *plan.Verify) error {
	var damage, unread []error
	var done counter
	for _, p := range v.Points {
		found, err := x.store.VerifyPoint(ctx, x.name, v.Chain, p.Sequence, func(bytes int64) {
			n := done.add(bytes)
			x.emit(Event{Kind: Progress, Address: x.want.Address, Disk: "verify", Done: n, Total: v.Bytes, DiskDone: n, DiskTotal: v.Bytes})
		})
		switch {
		case format.IsUnread(err) && len(found.Problems) == 0:
			unread = append(unread, x.unread(err))
			continue
		case format.IsUnread(err):
			unread, err = append(unread, err), nil
		}
		if found.Read = x.Now().UTC(); err == nil {
			err = x.store.RecordVerified(ctx, x.name, v.Chain, x.Version, []store.Verified{found})
		}
		if err != nil {
			return errors.Join(slices.Concat(damage, unread, []error{err})...)
		}
		if len(found.Problems) > 0 {
			damage = append(damage, fmt.Errorf("point %s.%d is damaged: %s", v.Chain, p.Sequence, sayProblems(found.Problems)))
		}
	}
	if len(damage) > 0 {
		damage = []error{&hintError{&DamageError{errors.Join(damage...)},
			fmt.Sprintf("vbk list %s shows what does not restore; the next vbk apply closes a chain that cannot go on, and begins a new one", x.want.Domain)}}
	}
	return errors.Join(append(damage, unread...)...)
}

// unread says what to do about an error, if it is that files could not be read.
func (x *instance) unread(err error) error {
	if !format.IsUnread(err) {
		return err
	}
	return &hintError{err, fmt.Sprintf("nothing is known to be damaged, and the next vbk apply reads it again; if the same file fails each time, "+
		"vbk plan -full '%s' begins a chain that does not need it", x.want.Address)}
}

// sayProblems names the first few.
func sayProblems(all []store.Problem) string {
	const some = 3
	var texts []string
	for _, p := range all[:min(some, len(all))] {
		texts = append(texts, p.File+": "+p.Detail)
	}
	if n := len(all) - some; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(texts, "; ")
}

// keepUnread notes for a point that takes others in that its data was not read since
// the oldest of them was, so that a base into which a point is merged every night is
// not taken for new.
func (x *instance) keepUnread(ctx context.Context, m *plan.Merge) error {
	f, err := x.folder.Look(ctx)
	if err != nil {
		return err
	}
	for _, c := range f.Chains {
		if c.Name != m.Chain || x.want.Policy.Verify.Every == 0 && len(c.Verifications) == 0 {
			continue
		}
		into := pointAt(c.Manifest, m.Into)
		v := store.Verified{Sequence: into.Sequence, Attempt: into.Attempt, Read: c.LastRead(into)}
		for _, sequence := range slices.Concat(m.Gone, []int{m.Into}) {
			if at := c.LastRead(pointAt(c.Manifest, sequence)); at.Before(v.Read) {
				v.Read = at
			}
			v.Unread = v.Unread || c.ReadAt(sequence).IsZero()
		}
		return x.store.RecordVerified(ctx, x.name, m.Chain, x.Version, []store.Verified{v})
	}
	return nil
}
