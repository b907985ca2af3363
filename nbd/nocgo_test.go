//go:build !cgo

package nbd

import (
	"strings"
	"testing"
)

func TestDialSaysWhichBuild(t *testing.T) {
	_, err := Dial(t.Context(), "/nowhere", "vda", Options{})
	if err == nil || !strings.Contains(err.Error(), "the build with cgo and libnbd has it") {
		t.Errorf("%v", err)
	}
}
