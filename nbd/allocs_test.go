//go:build cgo && !race

package nbd_test

import (
	"os"
	"path/filepath"
	"testing"

	"vbk/nbd"
)

// TestRequestsAllocateNothing: of a batch with more requests only the list of what is
// pinned grows, by doubling, which runtime.Pinner forgets. The server is another
// process, because ours would count as well.
func TestRequestsAllocateNothing(t *testing.T) {
	need(t, "qemu-nbd")
	const piece = 64 << 10
	image := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(image, make([]byte, 64*piece), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, _ := start(t, "qemu-nbd", "-t", "-r", "-f", "raw", image)
	c := dial(t, socket, "", nbd.Options{})
	reads := make([]nbd.Read, 64)
	for i := range reads {
		reads[i] = nbd.Read{Offset: int64(i) * piece, Data: make([]byte, piece)}
	}
	allocs := func(reads []nbd.Read) float64 {
		return testing.AllocsPerRun(50, func() {
			if err := c.ReadBatch(t.Context(), reads); err != nil {
				t.Fatal(err)
			}
		})
	}
	many := allocs(reads) // first: memory that grows is kept
	if one := allocs(reads[:1]); many > one+4 {
		t.Errorf("64 requests take %v allocations, one takes %v", many, one)
	}
}
