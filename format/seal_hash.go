package format

import (
	"fmt"
	"io"
)

// FooterHash reads the footer of a file with this size, in bytes, and returns
// its hash: XXH3-64, its last 8 bytes. Nothing else of the file is read, so it
// tells cheaply whether a file is the one that was written and whole.
func FooterHash(r io.ReaderAt, size int64) (uint64, error) {
	if size < footerSize {
		return 0, fmt.Errorf("file has %d bytes, too few for a footer", size)
	}
	b := make([]byte, footerSize)
	if err := readFull(r, b, size-footerSize); err != nil {
		return 0, err
	}
	f, err := parseFooter(b, size)
	return f.footerHash, err
}
