package executor

import (
	"fmt"
	"io"

	"vbk/format"
	"vbk/store"
)

// openV3 opens a v3 file, with those in which it has chunks, and refuses one that
// is not the file the manifest names.
func openV3(c Chain, d store.PointDisk) (_ *format.File, _ io.Closer, err error) {
	if err := checkFooter(c, d); err != nil {
		return nil, nil, err
	}
	var open chainFiles
	defer func() {
		if err != nil {
			_ = open.Close()
		}
	}()
	get := func(name string) (io.ReaderAt, int64, error) {
		f, err := c.Open(name)
		if err != nil {
			return nil, 0, err
		}
		open = append(open, f)
		return f, f.Size(), nil
	}
	r, size, err := get(d.File)
	if err != nil {
		return nil, nil, err
	}
	file, err := format.OpenWith(r, size, get)
	if err != nil {
		return nil, nil, damaged(fmt.Errorf("%s: %w", d.File, err))
	}
	return file, open, nil
}

// checkShares compares the footers of the files in which a v3 file has chunks
// with the hashes in its header.
func checkShares(c Chain, d store.PointDisk) error {
	if len(d.Shares) == 0 {
		return nil
	}
	f, err := c.Open(d.File)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := format.ReadHeader(f, f.Size())
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", d.File, err))
	}
	for _, s := range h.Files {
		if err := checkFooter(c, store.PointDisk{File: s.Name, FooterHash: s.FooterHash}); err != nil {
			return err
		}
	}
	return nil
}
