package format

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// ReadError says that a file could not be read: the reader under it failed, and not
// because the file ends. Nothing is known of what is stored there, so this is no
// damage.
type ReadError struct {
	Offset int64 // of the file
	Length int   // bytes that were asked for
	Err    error
}

// Error names the place and the cause.
func (e *ReadError) Error() string {
	return fmt.Sprintf("could not be read: %d bytes at %d: %v", e.Length, e.Offset, e.Err)
}

// Unwrap gives the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// section reads a part of a file in order; where it cannot, that is a ReadError.
func section(r io.ReaderAt, at, length int64) io.Reader {
	return io.NewSectionReader(telling{r}, at, length)
}

type telling struct{ io.ReaderAt }

func (t telling) ReadAt(p []byte, off int64) (int, error) {
	n, err := t.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = &ReadError{off, len(p), err}
	}
	return n, err
}

// IsUnread says whether an error is one of reading, which tells nothing of what is
// stored: a ReadError, or what the operating system says when it cannot open or list.
// That there is no such file, or something else by its name, it does know.
func IsUnread(err error) bool {
	var read *ReadError
	var number syscall.Errno
	switch {
	case errors.As(err, &read):
		return true
	case !errors.As(err, &number):
		return false
	}
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.EEXIST:
		return false
	}
	return true
}
