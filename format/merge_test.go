package format

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// chain is a folder with the files of one disk, and what it held at each point.
type chain struct {
	t      rapid.TB
	folder map[string][]byte
	layers []string // names, oldest first
	disks  [][]byte // at the point of each layer
	made   int
}

func newChain(t rapid.TB) *chain { return &chain{t: t, folder: map[string][]byte{}} }

func (c *chain) open(name string) (io.ReaderAt, int64, error) {
	b, ok := c.folder[name]
	if !ok {
		return nil, 0, os.ErrNotExist
	}
	return bytes.NewReader(b), int64(len(b)), nil
}

func (c *chain) file(name string) *File {
	c.t.Helper()
	r, size, err := c.open(name)
	if err != nil {
		c.t.Fatal(err)
	}
	f, err := OpenWith(r, size, c.open)
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

func (c *chain) add(b []byte, disk []byte) {
	name := fmt.Sprintf("vda.%d.v3", c.made)
	c.made++
	c.folder[name] = b
	c.layers, c.disks = append(c.layers, name), append(c.disks, bytes.Clone(disk))
}

// merge makes layers from to to, that included, one.
func (c *chain) merge(from, to int, share bool) {
	c.t.Helper()
	before := c.image(to + 1)
	var inputs []Named
	for _, name := range c.layers[from : to+1] {
		inputs = append(inputs, Named{name, c.file(name)})
	}
	var out bytes.Buffer
	o := MergeOptions{Version: "merge"}
	if share {
		o.Share = func(name string, offset, length int64) error {
			if offset%Align != 0 || length%Align != 0 || length == 0 || int64(out.Len())%Align != 0 {
				c.t.Fatalf("shares %d bytes at %d of %s at %d", length, offset, name, out.Len())
			}
			out.Write(c.folder[name][offset : offset+length])
			return nil
		}
	}
	m, err := Merge(context.Background(), &out, inputs, o)
	if err != nil {
		c.t.Fatal(err)
	}
	if m.FileSize != int64(out.Len()) || share && len(m.Slots) > 0 {
		c.t.Fatalf("summary %+v of %d bytes", m, out.Len())
	}
	name := fmt.Sprintf("vda.%d.v3", c.made)
	c.made++
	c.folder[name] = out.Bytes()
	c.layers = slices.Replace(c.layers, from, to+1, name)
	c.disks = slices.Delete(c.disks, from, to)
	if err := c.file(name).CheckStored(context.Background(), m.Probes); err != nil {
		c.t.Fatal(err)
	}
	if err := SameMapping(before, c.image(from+1)); err != nil {
		c.t.Fatal(err)
	}
	c.trim()
}

// trim removes files that nobody names and punches out what nobody names.
func (c *chain) trim() {
	c.t.Helper()
	users := map[string][]*File{}
	for _, name := range c.layers {
		f := c.file(name)
		for _, s := range f.Header().Files {
			users[s.Name] = append(users[s.Name], f)
		}
	}
	for name, b := range c.folder {
		if slices.Contains(c.layers, name) {
			continue
		}
		if users[name] == nil {
			delete(c.folder, name)
			continue
		}
		unused, err := Unused(name, users[name]...)
		if err != nil {
			c.t.Fatal(err)
		}
		b = bytes.Clone(b) // an open image may read the old one
		for _, r := range unused {
			clear(b[r.Offset : r.Offset+r.Length])
		}
		c.folder[name] = b
	}
}

func (c *chain) image(layers int) *Image {
	c.t.Helper()
	var files []*File
	for _, name := range c.layers[:layers] {
		files = append(files, c.file(name))
	}
	m, err := NewImage(files...)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// sound wants every point exact, by both readers, and every check without a finding.
func (c *chain) sound() {
	c.t.Helper()
	for k := range c.layers {
		wantDisk(c.t, c.image(k+1), c.disks[k])
	}
	c.independent()
	if all := c.check(); len(all) > 0 {
		c.t.Fatalf("damage:\n%s", strings.Join(all, "\n"))
	}
}

func (c *chain) check() []string {
	var all []string
	for name, b := range c.folder {
		report := func(d Damage) { all = append(all, name+": "+d.String()) }
		if !slices.Contains(c.layers, name) {
			if err := CheckRetired(context.Background(), bytes.NewReader(b), int64(len(b)), true, report); err != nil {
				c.t.Fatal(err)
			}
			continue
		}
		f, err := OpenWith(bytes.NewReader(b), int64(len(b)), c.open)
		if err != nil {
			report(Damage{Detail: err.Error()})
			continue
		}
		if err := f.Check(context.Background(), true, report); err != nil {
			c.t.Fatal(err)
		}
	}
	return all
}

// grow adds a random layer: a disk that grows, shrinks, ends anywhere.
func (c *chain) grow(r *rapid.T) {
	k, disk := c.made, []byte(nil)
	if n := len(c.disks); n > 0 {
		disk = bytes.Clone(c.disks[n-1])
	}
	base := len(c.layers) == 0 || rapid.IntRange(0, 7).Draw(r, "base") == 0
	size := len(disk)
	if len(c.layers) == 0 || rapid.IntRange(0, 2).Draw(r, "resize") == 0 {
		size = rapid.IntRange(0, 40).Draw(r, "grains")*Grain + rapid.SampledFrom([]int{0, 0, 1, 511, 512, Grain - 1}).Draw(r, "odd")
	}
	if base {
		disk = nil
	}
	disk = append(disk, make([]byte, max(size-len(disk), 0))...)[:size]
	sequence := 0
	if n := len(c.layers); n > 0 {
		sequence = c.file(c.layers[n-1]).Header().Sequence + 1
	}
	b := write(c.t, header(sequence, int64(size), base), Options{Codec: Codec(rapid.IntRange(0, 1).Draw(r, "codec"))}, func(w *Writer) error {
		for at := 0; at < size; {
			n := min(rapid.IntRange(1, 12).Draw(r, "run")*Grain, size-at)
			var err error
			switch rapid.IntRange(0, 4).Draw(r, "what") {
			case 0:
				err = w.Zero(int64(at), int64(n))
				clear(disk[at : at+n])
			case 1:
				copy(disk[at:at+n], noise(n, uint64(at+k)))
				clear(disk[at : at+min(n, Grain)*(k%2)])
				err = w.Data(int64(at), disk[at:at+n])
			case 2:
				copy(disk[at:at+n], text(n, fmt.Sprintf("word %d ", k)))
				err = w.Data(int64(at), disk[at:at+n])
			}
			if err != nil {
				return err
			}
			at += n
		}
		return nil
	})
	c.add(b, disk)
}

// TestMerges: whatever neighbours of whatever chain are merged, in whatever order
// and way, merged ones again among them, every point that is left is what it was.
func TestMerges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newChain(r)
		for range rapid.IntRange(1, 7).Draw(r, "layers") {
			c.grow(r)
		}
		for range rapid.IntRange(1, 5).Draw(r, "merges") {
			from := rapid.IntRange(0, len(c.layers)-1).Draw(r, "from")
			to := min(from+rapid.IntRange(1, 3).Draw(r, "more"), len(c.layers)-1)
			c.merge(from, to, rapid.Bool().Draw(r, "share"))
			c.sound()
			if rapid.Bool().Draw(r, "grow") {
				c.grow(r)
			}
		}
		c.merge(0, len(c.layers)-1, rapid.Bool().Draw(r, "share"))
		c.sound()
	})
}
