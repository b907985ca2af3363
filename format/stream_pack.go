package format

import (
	"bytes"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// The levels of lz4 as virtnbdbackup counts them: up to 2 it is the fast
// compressor, from 3 on the one that takes its time.
const (
	lz4Default  = 2
	maxLZ4Level = 9
)

var packers = sync.Pool{New: func() any { return lz4.NewWriter(io.Discard) }}

// packPiece makes one LZ4 frame of p, which holds its length and a sum of its
// content.
func packPiece(p []byte, level int) ([]byte, error) {
	speed := lz4.Fast
	if level > lz4Default {
		speed = lz4.CompressionLevel(1 << (8 + level)) // as lz4.Level1 to Level9
	}
	out := bytes.NewBuffer(make([]byte, 0, lz4.CompressBlockBound(len(p))+pieceOverhead))
	w := packers.Get().(*lz4.Writer)
	defer packers.Put(w)
	w.Reset(out)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block1Mb), lz4.SizeOption(uint64(len(p))), lz4.ChecksumOption(true), lz4.CompressionLevelOption(speed)); err != nil {
		return nil, err
	}
	if _, err := w.Write(p); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// pieceOverhead is more than header, block sizes and sums of an LZ4 frame.
const pieceOverhead = 64
