package executor_test

import (
	"bytes"
	"os"
	"testing"
)

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes that differ from the %d wanted: %v", path, len(got), len(want), err)
	}
}

func wantNames(t *testing.T, dir string, n int) {
	t.Helper()
	if found, err := os.ReadDir(dir); err != nil || len(found) != n {
		t.Errorf("%s holds %v, want %d names: %v", dir, found, n, err)
	}
}
