//go:build cgo

package format

import "github.com/valyala/gozstd"

// libzstd is more than twice as fast as the encoder in pure Go, at the same ratio.
type libzstd int

func newEncoder(level int) (encoder, error) { return libzstd(level), nil }

func (level libzstd) encode(dst, src []byte) []byte {
	return gozstd.CompressLevel(dst, src, int(level))
}
