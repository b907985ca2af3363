package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"vbk/store"
)

// RecordFailure notes that a run was to make a point of a domain and failed. If f names
// no point that there was before, it is the newest of now. The folder of a domain that
// has none yet is made. It needs no lock of the folder: no point depends on it.
func (s *Store) RecordFailure(ctx context.Context, folder string, of store.Outcomes, f store.Failure) error {
	err := s.recordOutcome(ctx, folder, of, func(o *store.Outcomes) error {
		d, err := s.Domain(ctx, folder)
		if err != nil {
			return err
		}
		if f.Chain == 0 {
			f.After(d)
		}
		o.Failure = &f
		return nil
	})
	if err != nil {
		return fmt.Errorf("record in %s how the attempt went: %w", folder, err)
	}
	return nil
}

// RecordDrill notes how a drill of a domain's point went.
func (s *Store) RecordDrill(ctx context.Context, folder string, of store.Outcomes, d store.Drill) error {
	err := s.recordOutcome(ctx, folder, of, func(o *store.Outcomes) error {
		o.Add(d)
		return nil
	})
	if err != nil {
		return fmt.Errorf("record in %s how the drill went: %w", folder, err)
	}
	return nil
}

// recordOutcome changes the outcomes of a domain, which of names.
func (s *Store) recordOutcome(ctx context.Context, folder string, of store.Outcomes, change func(*store.Outcomes) error) error {
	if !store.IsFolderName(folder) {
		return errors.New("not the name of a domain's folder")
	}
	if err := s.fsys.Mkdir(folder); err == nil {
		if err := syncFolder(s.fsys, "."); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	var known store.Outcomes
	return outcomesOf(s.fsys, folder).update(ctx, knownOutcomes(&known), func() ([]byte, error) {
		if known.UUID != of.UUID { // the folder was another domain's
			known = store.Outcomes{}
		}
		known.FormatVersion, known.UUID, known.Domain, known.Version = store.FormatVersion, of.UUID, of.Domain, of.Version
		if err := change(&known); err != nil {
			return nil, err
		}
		return known.Encode()
	})
}

func outcomesOf(fsys FS, folder string) book {
	return book{fsys, path.Join(folder, store.OutcomesFolder)}
}

func knownOutcomes(known *store.Outcomes) func([]byte) error {
	return func(data []byte) (err error) {
		o, err := store.DecodeOutcomes(data)
		if err == nil {
			*known = o
		}
		return err
	}
}

// outcomes are those of a domain's folder; nil where there are none. What cannot be
// read is as if nothing had been recorded: no decision rests on it.
func (s *Store) outcomes(folder string) *store.Outcomes {
	var known store.Outcomes
	if _, err := outcomesOf(s.fsys, folder).read(knownOutcomes(&known)); err != nil || known.UUID == "" {
		return nil
	}
	return &known
}

// outcomes checks the folder of a domain's outcomes.
func (c *checker) outcomes(folder string) error {
	b := outcomesOf(c.s.fsys, folder)
	if err := c.book(b, ""); err != nil {
		return err
	}
	var known store.Outcomes
	damage, err := b.read(knownOutcomes(&known))
	if damage != nil {
		c.note("", store.OutcomesFolder, "%v", damage)
	}
	return err
}
