package executor

import (
	"fmt"
	"io"

	"vbk/format"
	"vbk/store"
)

// openV3 opens a v3 file and refuses one that is not the file the manifest
// names.
func openV3(c Chain, d store.PointDisk) (format.Layer, io.Closer, error) {
	if err := checkFooter(c, d); err != nil {
		return nil, nil, err
	}
	f, err := c.Open(d.File)
	if err != nil {
		return nil, nil, err
	}
	file, err := format.Open(f, f.Size())
	if err != nil {
		_ = f.Close()
		return nil, nil, &DamageError{fmt.Errorf("%s: %w", d.File, err)}
	}
	return file, f, nil
}
