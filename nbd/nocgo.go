//go:build !cgo

package nbd

import "errors"

var errNoWire = errors.New("this build of vbk has no NBD client; the build with cgo and libnbd has it")

// wire is what there is without libnbd: none can be made.
type wire struct{}

func newWire() (wire, error) { return wire{}, errNoWire }

func (*wire) connect(int, string, string) (info, error)    { return info{}, errNoWire }
func (*wire) run(verb, []request) error                    { return errNoWire }
func (*wire) extents(info, int64, int64) ([]Extent, error) { return nil, errNoWire }
func (*wire) close()                                       {}
