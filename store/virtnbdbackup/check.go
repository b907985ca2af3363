package virtnbdbackup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"vbk/format"
)

// Check looks for everything that can be wrong with a folder and reports every
// violation, with the points that it costs: Problems, and what the frames of the
// files show. With readData every byte is read, decoded, and compared with the
// Adler-32 beside the file, if there is one. The error is the context's.
func (f *Folder) Check(ctx context.Context, readData bool, report func(Problem)) error {
	for _, p := range f.Problems {
		report(p)
	}
	for _, x := range f.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if x.header == (format.StreamHeader{}) {
			continue // is among Problems
		}
		complain := func(err error) {
			p := newProblem(err, x.name)
			p.Points = f.needing(x.name)
			report(p)
		}
		if err := f.checkFile(ctx, x, readData, complain); err != nil {
			return err
		}
	}
	return nil
}

// needing names the points that need a file.
func (f *Folder) needing(name string) []string {
	var points []string
	for _, p := range f.Points {
		if slices.ContainsFunc(p.Disks, func(d Disk) bool { return slices.Contains(d.Files(), name) }) {
			points = append(points, p.Name)
		}
	}
	return points
}

func (f *Folder) checkFile(ctx context.Context, x *file, readData bool, complain func(error)) error {
	opened, stream, err := f.open(x.name)
	if opened != nil {
		defer opened.Close()
	}
	if err != nil {
		complain(err)
	}
	if readData && opened != nil {
		if err := f.checkSum(ctx, x.name, opened, complain); err != nil {
			return err
		}
	}
	if readData && stream != nil {
		return stream.Check(ctx, func(d format.Damage) { complain(cmp.Or(d.Unread, errors.New(d.String()))) })
	}
	return ctx.Err()
}

// CheckSums compares the files of a disk at a point with the Adler-32 beside
// each, if there is one: uncompressed data has no other sum. A file that differs
// is an UnsoundError; other errors are the context's and those of OpenDisk.
func (f *Folder) CheckSums(ctx context.Context, point, target string) error {
	image, err := f.OpenDisk(point, target)
	if err != nil {
		return err
	}
	defer image.Close()
	for i, opened := range image.files {
		name := image.names[i]
		var found error
		if err := f.checkSum(ctx, name, opened, func(err error) {
			found = &UnsoundError{point, target, newProblem(err, name), f.without(target, []string{name})}
		}); err != nil {
			return err
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// checkSum compares a file with the Adler-32 of all its bytes. Versions before
// 1.9.40 wrote none, and there is none beside a raw image.
func (f *Folder) checkSum(ctx context.Context, name string, r io.Reader, complain func(error)) error {
	text, err := readSmall(f.fsys, name+".chksum")
	if errors.Is(err, fs.ErrNotExist) {
		return ctx.Err()
	}
	if err != nil {
		complain(fmt.Errorf("its .chksum: %w", err))
		return ctx.Err()
	}
	if err := format.CompareAdler(ctx, r, text); err != nil && ctx.Err() == nil {
		complain(err)
	}
	return ctx.Err()
}
