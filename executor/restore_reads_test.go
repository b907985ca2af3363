package executor_test

import (
	"path/filepath"
	"sync"
	"testing"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
)

// watchedChain notes what is read of its files.
type watchedChain struct {
	executor.Chain
	mu    sync.Mutex
	reads map[string][]executor.Extent
}

func (c *watchedChain) Open(name string) (executor.ChainFile, error) {
	f, err := c.Chain.Open(name)
	return watchedFile{f, c, name}, err
}

type watchedFile struct {
	executor.ChainFile
	chain *watchedChain
	name  string
}

func (f watchedFile) ReadAt(p []byte, offset int64) (int, error) {
	f.chain.mu.Lock()
	f.chain.reads[f.name] = append(f.chain.reads[f.name], executor.Extent{Offset: offset, Length: int64(len(p))})
	f.chain.mu.Unlock()
	return f.ChainFile.ReadAt(p, offset)
}

// count is how often any of a range was read.
func (c *watchedChain) count(name string, offset, length int64) (n int) {
	for _, r := range c.reads[name] {
		if r.Offset < offset+length && offset < r.Offset+r.Length {
			n++
		}
	}
	return n
}

// TestRestoreReadsWhatIsVisible: a chunk that newer points hide altogether is never
// read, the others once, and as many bytes are written as the disk has data.
func TestRestoreReadsWhatIsVisible(t *testing.T) {
	const size = 6<<20 + 512
	w := newWorld(t, t.TempDir(), 8)
	w.define(map[string]int64{"vda": size})
	for n := range byte(3) {
		for at := int64(2 * n); at < 6; at++ { // what is hidden is hidden whole, but for half of one chunk
			w.host.Write(uuid, "vda", at<<20, fill(1<<20, 16*n+byte(at)+1))
		}
		w.host.Write(uuid, "vda", int64(n)<<19, fill(1<<19, 200+n))
		w.succeed(plan.Options{})
		w.nextDay()
	}
	l := w.points()[2]
	content, err := w.read(l, "vda")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := bind.Store{Store: w.store()}.OpenChain(l.folder, l.chain)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	m := inner.Manifest()
	image, err := executor.OpenDisk(inner, 2, "vda")
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	visible, data := map[[2]int32]bool{}, int64(0)
	for x := range image.Extents(0, size) {
		if x.Data() {
			visible[[2]int32{x.Layer, x.Entry}] = true
			data += x.Length
		}
	}
	for _, kind := range []string{"raw", "qcow2"} {
		c := &watchedChain{Chain: inner, reads: map[string][]executor.Extent{}}
		p, err := executor.PointOf(c, 2)
		if err != nil {
			t.Fatal(err)
		}
		var written, expected int64
		var mu sync.Mutex
		r := executor.Restoration{Dir: t.TempDir(), Format: kind}
		if _, err := executor.Restore(t.Context(), p, r, func(_ string, done, total int64) {
			mu.Lock()
			written, expected = max(written, done), total
			mu.Unlock()
		}); err != nil {
			t.Fatal(err)
		}
		if written != data || expected != data {
			t.Errorf("%s: %d bytes of %d were written, the disk holds %d", kind, written, expected, data)
		}
		hidden := 0
		for layer, file := range image.Layers() {
			name := m.Points[layer].Disks[0].File
			for k, e := range file.Entries() {
				want := 0
				if visible[[2]int32{int32(layer), int32(k)}] {
					want = 1
				} else {
					hidden++
				}
				if n := c.count(name, e.FileOffset, int64(e.Stored)); !e.Zero && n != want {
					t.Errorf("%s: the chunk of %d bytes at %d in point %d was read %d times, want %d", kind, e.Length, e.Offset, layer, n, want)
				}
			}
		}
		if hidden < 2 {
			t.Errorf("only %d chunks are hidden", hidden)
		}
		path := filepath.Join(r.Dir, "vda."+kind)
		if kind == "qcow2" {
			needQEMU(t)
			path = asRaw(t, path)
		}
		wantFile(t, path, content)
	}
}

func fill(n int, b byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = b + byte(i%7)
	}
	return p
}
