package local

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"vbk/format"
	"vbk/store"
)

// couldNot begins what is said of a file that was not read.
const couldNot = "could not be read: "

// unread reports a file that could not be read, or not all of it, if there are errors
// that say so. Which points that costs, if any, nobody knows.
func (c *checker) unread(chain, file string, why []error) {
	if len(why) == 0 {
		return
	}
	text := why[0].Error()
	if !strings.Contains(text, couldNot) {
		text = couldNot + text
	}
	if n := len(why) - 1; n > 0 {
		text += fmt.Sprintf(", and in %d more places", n)
	}
	if in := new(format.ReadError); errors.As(why[0], &in) && errors.Is(in, syscall.EIO) {
		text += "; the file could be opened, so that this is its disk, or the way there: the kernel's log of the machine that has the disk tells"
	}
	c.unreadable = append(c.unreadable, &unreadError{file + ": " + text, why[0]})
	c.findings = append(c.findings, store.Finding{Chain: chain, Unread: true,
		Problem: store.Problem{File: file, Detail: text, From: store.NoPoint}})
}

// unreadError is such a finding as an error.
type unreadError struct {
	text  string
	cause error
}

func (e *unreadError) Error() string { return e.text }
func (e *unreadError) Unwrap() error { return e.cause }
