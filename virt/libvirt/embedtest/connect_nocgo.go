//go:build !cgo

package embedtest

import "errors"

func connect(string) (driver, error) { return nil, errors.New("this build has no cgo") }
