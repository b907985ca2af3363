package main

import (
	"errors"
	"fmt"
	"strings"

	"vbk/executor"
)

// Exit codes; docs/guarantees.md has the table for users.
const (
	exitOK          = 0
	exitUsage       = 1 // could not start: usage, configuration
	exitChanges     = 2 // plan -detailed-exitcode: there are changes
	exitFailed      = 3 // plan or apply: at least one instance failed or was refused
	exitUnsound     = 4 // what was examined is not as it should be
	exitPanic       = 11
	exitInterrupted = 130
)

// exitMeaning is a row of the table of exit codes.
type exitMeaning struct {
	code    int
	meaning string
}

// exitMeanings are what the codes mean, as manual and docs/guarantees.md say it.
func exitMeanings() []exitMeaning {
	return []exitMeaning{
		{exitOK, "ok"},
		{exitUsage, "could not start: usage, configuration; fmt -check found something"},
		{exitChanges, "plan -detailed-exitcode: there are changes"},
		{exitFailed, "plan or apply: at least one instance failed or was refused; a host or store did not answer"},
		{exitUnsound, "what was examined is not as it should be: status, -fail-on-check, verify, dump, restore of a damaged point, a drill that has not booted"},
		{exitPanic, "internal error: a bug, with a stack trace"},
		{exitInterrupted, "interrupted"},
	}
}

// graver is the code that two together end with.
func graver(a, b int) int {
	for _, code := range []int{exitInterrupted, exitPanic, exitUsage, exitFailed, exitUnsound, exitChanges} {
		if a == code || b == code {
			return code
		}
	}
	return exitOK
}

// exitError ends a command with a code. With an empty text everything has been
// said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exit ends with a code after everything has been said.
func exit(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// failWith ends with a code and an error to print.
func failWith(code int, err error) error { return &exitError{code, err} }

// hinted adds what to do next to an error.
type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

func hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// unitHint is for what the sandbox of the package's units forbids: they name
// themselves in VBK_UNIT.
func (env *environment) unitHint(err error) string {
	unit := env.getenv("VBK_UNIT")
	if unit == "" || !strings.Contains(strings.ToLower(err.Error()), "read-only file system") { // some errors are texts of qemu-img
		return ""
	}
	return fmt.Sprintf("the unit may write below its ReadWritePaths only: systemctl edit %s, and add [Service] ReadWritePaths=DIRECTORY", unit)
}

// codeOf is the one switch from errors to exit codes.
func codeOf(err error) int {
	var e *exitError
	var bug *executor.BugError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &bug):
		return exitPanic
	case errors.As(err, &e):
		return e.code
	}
	return exitUsage
}
