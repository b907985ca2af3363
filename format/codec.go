package format

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Codec says how a chunk is compressed.
type Codec uint8

// The codecs of v3, and of streams.
const (
	None Codec = 0
	Zstd Codec = 1
	LZ4  Codec = 2 // of v2 only
)

// String returns the name that configurations use.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Zstd:
		return "zstd"
	case LZ4:
		return "lz4"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec is the inverse of String.
func ParseCodec(s string) (Codec, error) {
	switch s {
	case "none":
		return None, nil
	case "zstd":
		return Zstd, nil
	case "lz4":
		return LZ4, nil
	}
	return None, fmt.Errorf("unknown codec %q: none, zstd and lz4 are known", s)
}

// Options of a Writer or a StreamWriter. The zero value stores chunks as they are.
type Options struct {
	Codec Codec
	Level int // of zstd, 1 to 19; 0 is 1, which keeps up with a disk. Of lz4, 0 to 9; up to 2 it is the fastest
}

const maxLevel = 19

func (o Options) check() error {
	if o.Codec > Zstd {
		return fmt.Errorf("a v3 file has no codec %v", o.Codec)
	}
	if o.Level < 0 || o.Level > maxLevel {
		return fmt.Errorf("zstd level %d is not in 1 to %d", o.Level, maxLevel)
	}
	return nil
}

// encoder compresses one chunk into a single zstd frame, appended to dst. It is
// safe for concurrent use. Which library does it depends on the build:
// newEncoder is in codec_cgo.go and codec_pure.go.
type encoder interface {
	encode(dst, src []byte) []byte
}

// pays says whether a chunk is worth storing compressed: its padded length
// must shrink by 5% at least.
func pays(stored, length int) bool {
	return padded(int64(stored))*100 <= padded(int64(length))*95
}

// maxWindow is what RFC 8878 asks every decoder to support; a chunk needs 1 MiB.
const maxWindow = 8 << 20

// Decoders and buffers outlive the files that use them: a chain has many files
// and a process few cores.
var (
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxChunk),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	}}
	buffers = sync.Pool{New: func() any {
		return new(make([]byte, bufferSize))
	}}
)

// bufferSize fits a chunk, its padding, and what zstd may need for 1 MiB that
// does not compress (ZSTD_compressBound adds 1/256).
const bufferSize = MaxChunk + MaxChunk/256 + Align

// decompress fills dst from a frame that holds exactly len(dst) bytes.
func decompress(dst, frame []byte) error {
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	out, err := d.DecodeAll(frame, dst[:0:len(dst)])
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	if len(out) != len(dst) {
		return fmt.Errorf("decompress: found %d bytes, expected %d", len(out), len(dst))
	}
	copy(dst, out) // the same memory, unless the decoder chose otherwise
	return nil
}
