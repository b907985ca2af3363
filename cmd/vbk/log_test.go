package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestLogHides: what is sensitive is in no line, wherever it turns up; what is short
// counts as a word of its own alone.
func TestLogHides(t *testing.T) {
	var out bytes.Buffer
	env := &environment{stderr: &out, getenv: func(name string) string { return map[string]string{logLevel: "debug"}[name] }}
	if err := env.openLog(); err != nil {
		t.Fatal(err)
	}
	env.log.hide([]string{"hunter2", "Bearer hunter2", "yes"})
	env.log.Info("with hunter2", "text", "Bearer hunter2", "error", errors.New("got hunter2, yes, yesterday"), "list", []string{"a", "hunter2"})
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "Bearer") || strings.Contains(text, " yes,") || !strings.Contains(text, "yesterday") {
		t.Errorf("the log says %s", text)
	}
	out.Reset()
	env.log.opened("host", "a", "qemu+ssh://root:hunter3@hv1/system", time.Time{}, time.Time{}, nil)
	if text := out.String(); strings.Contains(text, "hunter3") || !strings.Contains(text, "hv1") {
		t.Errorf("the log says %s", text)
	}
}

// TestGraver: the precedence of exit codes.
func TestGraver(t *testing.T) {
	order := []int{exitInterrupted, exitPanic, exitUsage, exitFailed, exitUnsound, exitChanges, exitOK}
	for a := range order {
		for b := range order {
			if got := graver(order[a], order[b]); got != order[min(a, b)] {
				t.Errorf("%d and %d make %d", order[a], order[b], got)
			}
		}
	}
	seen := map[int]bool{}
	for _, m := range exitMeanings() {
		seen[m.code] = true
	}
	if len(seen) != len(order) {
		t.Errorf("the table of exit codes has %v", seen)
	}
}

// TestBesidePanics: a panic in a goroutine of a command exits 11.
func TestBesidePanics(t *testing.T) {
	var out bytes.Buffer
	codes := make(chan int, 1)
	env := &environment{stderr: &out, getenv: func(string) string { return "" }, exit: func(code int) { codes <- code }}
	env.beside(func() { panic("a bug") })
	if code := <-codes; code != exitPanic || !strings.Contains(out.String(), "a bug") {
		t.Errorf("exit code %d, it says %s", code, &out)
	}
}
