package format

import (
	"io"

	"github.com/zeebo/xxh3"
)

const tailSize = 4096

// TailHash is the XXH3-64 of the last 4096 bytes of a file with this size, or of
// all of it if it is shorter. It tells cheaply whether a file that has no footer
// is the one that was written and whole.
func TailHash(r io.ReaderAt, size int64) (uint64, error) {
	b := make([]byte, min(size, tailSize))
	if err := readFull(r, b, size-int64(len(b))); err != nil {
		return 0, err
	}
	return xxh3.Hash(b), nil
}
