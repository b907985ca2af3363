//go:build !cgo

package format

import "github.com/klauspost/compress/zstd"

type pureGo struct{ *zstd.Encoder }

func newEncoder(level int) (encoder, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(MaxChunk))
	if err != nil {
		return nil, err
	}
	return pureGo{e}, nil
}

func (p pureGo) encode(dst, src []byte) []byte { return p.EncodeAll(src, dst) }
