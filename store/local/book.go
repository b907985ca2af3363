package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"vbk/format"
	"vbk/store"
)

// book is a folder of numbered records on which no point depends. Each is the whole;
// the highest number that is whole counts.
type book struct {
	fsys FS
	dir  string
}

// maxRecord bounds what is read of a record.
const maxRecord = store.MaxManifest

// update writes the next record, all of it or nothing, and removes the others. decode
// gets the one that counts and says what is wrong with those that do not; next makes
// the new one. Others who write wait meanwhile.
func (b book) update(ctx context.Context, decode func([]byte) error, next func() ([]byte, error)) (err error) {
	if err := b.fsys.Mkdir(b.dir); err == nil {
		if err := syncFolder(b.fsys, path.Dir(b.dir)); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	h, err := b.fsys.Open(b.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := waitFor(ctx, h); err != nil {
		return err
	}
	numbers, others, err := b.list()
	if err != nil {
		return err
	}
	if _, err := b.newest(numbers, decode); err != nil {
		return err
	}
	data, err := next()
	if err != nil {
		return err
	}
	number := 1
	if len(numbers) > 0 {
		number += numbers[0]
	}
	return b.add(number, data, others)
}

// waitFor waits for another who records.
func waitFor(ctx context.Context, h Handle) error {
	for {
		err := h.Lock(true)
		if !errors.Is(err, ErrBusy) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

func (b book) add(number int, data []byte, others []string) error {
	name := path.Join(b.dir, store.RecordName(number))
	temporary := name + temporarySuffix
	if err := b.fsys.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFile(b.fsys, temporary, data); err != nil {
		_ = b.fsys.Remove(temporary) // the next one does
		return err
	}
	if err := b.fsys.Link(temporary, name); err != nil {
		return err
	}
	if err := syncFolder(b.fsys, b.dir); err != nil {
		return err
	}
	return b.remove(append(others, path.Base(temporary)))
}

// list returns the numbers of the records, falling, and all that the folder holds of
// ours.
func (b book) list() (numbers []int, ours []string, err error) {
	entries, err := b.fsys.List(b.dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if n, ok := store.ParseRecordName(e.Name); ok {
			numbers = append(numbers, n)
		}
		if isRecord(e.Name) {
			ours = append(ours, e.Name)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return b - a })
	return numbers, ours, nil
}

// isRecord says whether a name is that of a record, or of one being written.
func isRecord(name string) bool {
	_, ours := store.ParseRecordName(strings.TrimSuffix(name, temporarySuffix))
	return ours
}

// read decodes the record that counts, if there is any.
func (b book) read(decode func([]byte) error) (damage, err error) {
	numbers, _, err := b.list()
	if err != nil {
		return nil, err
	}
	return b.newest(numbers, decode)
}

// newest decodes the first that is whole. damage is what is wrong with the first of
// all. What cannot be read now is an error: an older one may not know all.
func (b book) newest(numbers []int, decode func([]byte) error) (damage, err error) {
	for n, number := range numbers {
		data, err := readFile(b.fsys, path.Join(b.dir, store.RecordName(number)), maxRecord)
		if format.IsUnread(err) {
			return damage, err
		}
		if err == nil {
			err = decode(data)
		}
		if err == nil {
			return damage, nil
		}
		if n == 0 && !errors.Is(err, fs.ErrNotExist) {
			damage = err
		}
	}
	return damage, nil
}

// book checks what lies in a folder of records: ours, and readable for its owner only.
func (c *checker) book(b book, chain string) error {
	entries, err := c.s.fsys.List(b.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(path.Base(b.dir), e.Name)
		if !isRecord(e.Name) {
			c.note(chain, name, "vbk did not make this")
			continue
		}
		c.mode(chain, name, e)
	}
	return nil
}

// clear empties the folder, so that it can go.
func (b book) clear() error {
	_, ours, err := b.list()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.remove(ours)
}

func (b book) remove(names []string) error {
	for _, name := range names {
		if err := b.fsys.Remove(path.Join(b.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
