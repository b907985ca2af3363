package executor

import (
	"fmt"
	"io"

	"vbk/format"
	"vbk/store"
)

// openLayer opens the file of a disk at a point, in the version that the chain
// has.
func openLayer(c Chain, d store.PointDisk) (format.Layer, io.Closer, error) {
	switch stream := c.Manifest().Stream; stream {
	case store.V3:
		return openV3(c, d)
	default:
		return nil, nil, fmt.Errorf("chain %s has files of stream %q, which this version cannot read", c.Manifest().Chain, stream)
	}
}
