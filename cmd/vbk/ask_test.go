package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
)

// TestAskInterrupted: Ctrl-C at the question ends vbk, although the terminal goes
// on being read.
func TestAskInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keyboard, fingers := io.Pipe()
		defer fingers.Close() // ends the read that is left behind
		var out bytes.Buffer
		env := &environment{stdin: keyboard, stdout: &out, getenv: func(string) string { return "" }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- env.ask(ctx) }()
		synctest.Wait()
		if !strings.Contains(out.String(), "Enter a value") {
			t.Fatalf("it did not ask: %q", &out)
		}
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			if codeOf(err) != exitInterrupted {
				t.Errorf("exit code %d: %v", codeOf(err), err)
			}
		default:
			t.Error("it still waits for an answer")
		}
	})
}

// TestEndings: a signal that whoever started vbk has told it to ignore, as nohup
// does, ends nothing.
func TestEndings(t *testing.T) {
	if all := endings(); !slices.Contains(all, os.Signal(syscall.SIGHUP)) || !slices.Contains(all, os.Interrupt) {
		t.Fatalf("%v end vbk", all)
	}
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	if all := endings(); slices.Contains(all, os.Signal(syscall.SIGHUP)) || !slices.Contains(all, os.Interrupt) {
		t.Errorf("%v end vbk under nohup", all)
	}
}
