package format

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"vbk/format/formattest"
)

// TestPageSuffices: what docs/format.md says is enough to restore every point of a
// chain with all that it describes in it. TestMerges asks the same of any chain.
func TestPageSuffices(t *testing.T) {
	const size = 20*Grain + 77
	c := newChain(t)
	disk := make([]byte, size)
	for k := range 6 {
		grown := size + k%2*3*Grain // grows and shrinks by turns
		disk = append(disk[:min(len(disk), grown)], make([]byte, max(grown-len(disk), 0))...)
		b := write(t, header(k, int64(grown), k == 0), Options{Codec: Codec(k % 3 % 2)}, func(w *Writer) error {
			first := k / 2
			copy(disk[first*Grain:], text(4*Grain, fmt.Sprintf("point %d ", k)))
			copy(disk[(12-k)*Grain:], noise(2*Grain, uint64(k)))
			for _, at := range []int{first * Grain, (12 - k) * Grain} {
				if err := w.Data(int64(at), disk[at:at+2*Grain]); err != nil {
					return err
				}
			}
			clear(disk[(first+2)*Grain : (first+4)*Grain]) // what was text
			clear(disk[15*Grain : 16*Grain])
			if err := w.Zero(int64(first+2)*Grain, 2*Grain); err != nil {
				return err
			}
			copy(disk[16*Grain:], text(grown-16*Grain, fmt.Sprintf("the end of %d ", k)))
			return w.Data(15*Grain, disk[15*Grain:])
		})
		c.add(b, disk)
	}
	c.independent()
	seen := map[string]bool{}
	for _, merge := range [][2]int{{1, 2}, {2, 3}, {0, 1}, {0, 2}} { // the last takes in merged ones
		c.merge(merge[0], merge[1], false)
		c.independent()
		for _, name := range c.layers {
			for _, e := range c.file(name).Entries() {
				seen[fmt.Sprintf("zero %v, codec %v, elsewhere %v", e.Zero, e.Codec, e.Slot > 0)] = true
			}
		}
	}
	want := []string{
		"zero false, codec none, elsewhere false", "zero false, codec none, elsewhere true",
		"zero false, codec zstd, elsewhere false", "zero false, codec zstd, elsewhere true", "zero true, codec none, elsewhere false",
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("the chain has only entries of these kinds:\n%s", strings.Join(got, "\n"))
	}
}

// TestPageCoversEveryByte: whichever byte of a file is another, whoever reads by the
// page finds out.
func TestPageCoversEveryByte(t *testing.T) {
	var layers []string
	folder := map[string][]byte{}
	disks := goldenDisks()
	for k, b := range goldenFiles(t) {
		layers = append(layers, fmt.Sprint(k))
		folder[layers[k]] = b
		if got, err := formattest.Restore(folder, layers); err != nil || !bytes.Equal(got, disks[k]) {
			t.Fatalf("the golden folder reads otherwise by the page: %v", err)
		}
	}
	for name, b := range folder {
		for at := 0; at < len(b); at += 97 {
			b[at] ^= 0x20
			if _, err := formattest.Restore(folder, layers); err == nil {
				t.Errorf("file %s, byte %d: another bit, and no error", name, at)
			}
			b[at] ^= 0x20
		}
	}
}

// TestReaderIsIndependent: of the project, the second reader uses nothing.
func TestReaderIsIndependent(t *testing.T) {
	files, err := os.ReadDir("formattest")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile("formattest/" + f.Name())
		if err != nil || bytes.Contains(b, []byte(`"vbk/`)) {
			t.Errorf("%s imports packages of vbk: %v", f.Name(), err)
		}
	}
}

// independent wants every point exact, by the second reader.
func (c *chain) independent() {
	c.t.Helper()
	for k := range c.layers {
		got, err := formattest.Restore(c.folder, c.layers[:k+1])
		if err != nil || !bytes.Equal(got, c.disks[k]) {
			c.t.Fatalf("point of %s reads otherwise by docs/format.md (%d bytes, not %d): %v", c.layers[k], len(got), len(c.disks[k]), err)
		}
	}
}
