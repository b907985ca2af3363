package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile replaces a file whole: a reader never sees half of it. What is no
// file, /dev/stdout or a pipe, is written to.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	if err := replaceable(path); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, text)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".vbk-*")
	if err != nil {
		var about *fs.PathError
		if errors.As(err, &about) {
			about.Path = path // not the temporary name
		}
		return mended(err, filepath.Dir(path))
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(text)
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	return mended(err, filepath.Dir(path))
}

func writeInto(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// errNotText keeps a disk image from becoming a plan by a slip of the hand.
var errNotText = errors.New("is there, and is not text: it is not replaced")

// replaceable says whether vbk may write there in place of what is.
func replaceable(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return mended(err, filepath.Dir(path))
	case info.IsDir() || info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0:
		return fmt.Errorf("%s is no file", path)
	case !info.Mode().IsRegular():
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // whoever may not read it may yet replace it
	}
	if err != nil {
		return err
	}
	start, err := io.ReadAll(io.LimitReader(file, 4<<10))
	if err == nil && bytes.IndexByte(start, 0) >= 0 {
		err = fmt.Errorf("%s %w", path, errNotText)
	}
	return errors.Join(err, file.Close())
}
