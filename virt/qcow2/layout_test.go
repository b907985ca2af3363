package qcow2_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vbk/virt"
	"vbk/virt/qcow2"
)

// disk is content to lay out: a size, and data in ranges of it.
type disk struct {
	size int64
	data []qcow2.Range
}

// scattered is a disk with data in n ranges of up to length bytes.
func scattered(size int64, n int, length int64, seed uint64) disk {
	random, d, at := rand.New(rand.NewPCG(seed, 0)), disk{size: size}, int64(0)
	for k := range n {
		at += random.Int64N(size/int64(n)-length+1) &^ 511
		r := qcow2.Range{Offset: at, Length: min(1+random.Int64N(length), size-at)}
		d.data = append(d.data, r)
		at = max(r.Offset+r.Length, size/int64(n)*int64(k+1))
	}
	return d
}

// write writes the image and beside it the same disk as a raw file.

func (d disk) write(t *testing.T, o virt.ImageOptions, preallocate bool) (image, raw string) {
	t.Helper()
	dir := t.TempDir()
	image, raw = filepath.Join(dir, "image"), filepath.Join(dir, "raw")
	l, err := qcow2.NewLayout(d.size, d.data, o, preallocate)
	if err != nil {
		t.Fatal(err)
	}
	i, r := create(t, image, l.FileSize()), create(t, raw, (d.size+511)/512*512)
	defer i.Close()
	defer r.Close()
	if err := l.WriteMetadata(i); err != nil {
		t.Fatal(err)
	}
	if info, _ := i.Stat(); info.Size() != l.FileSize() {
		t.Errorf("the metadata made the file %d bytes long, not %d", info.Size(), l.FileSize())
	}
	for n := range d.data {
		x := d.data[len(d.data)-1-n] // any order will do
		content := bytes.Repeat([]byte{byte(n%255 + 1)}, int(x.Length))
		for offset := x.Offset; offset < x.Offset+x.Length; {
			at, length, ok := l.Place(offset)
			if !ok || length <= 0 {
				t.Fatalf("byte %d has no place", offset)
			}
			length = min(length, x.Offset+x.Length-offset)
			if _, err := i.WriteAt(content[:length], at); err != nil {
				t.Fatal(err)
			}
			offset += length
		}
		if _, err := r.WriteAt(content, x.Offset); err != nil {
			t.Fatal(err)
		}
	}
	return image, raw
}

func create(t *testing.T, path string, size int64) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wantSound asks QEMU.
func wantSound(t *testing.T, image, raw string) {
	t.Helper()
	if said := qemu(t, "qemu-img", "check", "-f", "qcow2", image); !strings.Contains(said, "No errors were found") {
		t.Errorf("qemu-img check: %s", said)
	}
	qemu(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, image)
}

// TestLayout lets QEMU check and read images of all cluster sizes.
func TestLayout(t *testing.T) {
	needQEMU(t)
	for bits := 9; bits <= 21; bits++ {
		cluster := int64(1) << bits
		for name, d := range map[string]disk{
			"empty":      {},
			"tiny":       {512, []qcow2.Range{{0, 512}}},
			"odd":        {3*cluster + 7, []qcow2.Range{{cluster + 5, cluster}, {3 * cluster, 7}}},
			"nothing":    {64 << 20, nil},
			"whole":      {100 * cluster, []qcow2.Range{{0, 100 * cluster}}},
			"neighbours": {40 * cluster, []qcow2.Range{{0, 1}, {1, 1}, {cluster - 1, 1}, {cluster, 1}, {3 * cluster, cluster/2 + 1}, {3*cluster + cluster/2 + 1, cluster}, {39*cluster + 1, cluster - 1}}},
			"far":        scattered(min(100<<30, cluster*cluster*1000), 40, 3*cluster, uint64(bits)),
		} {
			if d.data == nil && bits%6 != 3 { // it is the same for all
				continue
			}
			for _, preallocate := range []bool{name == "odd", false}[min(1, bits%3):] {
				t.Run(fmt.Sprintf("%d/%s/%v", cluster, name, preallocate), func(t *testing.T) {
					t.Parallel()
					image, raw := d.write(t, virt.ImageOptions{ClusterSize: cluster}, preallocate)
					wantSound(t, image, raw)
				})
			}
		}
	}
}

// TestLayoutOptions: what the options say is in the header, and QEMU agrees, with more
// refcounts than fit into one block, and more blocks than fit into one cluster of
// their table.
func TestLayoutOptions(t *testing.T) {
	needQEMU(t)
	d := scattered(1<<30, 300, 80<<10, 1)
	for _, c := range []struct {
		o    virt.ImageOptions
		info string
	}{
		{virt.ImageOptions{Compat: "0.10"}, "compat: 0.10"},
		{virt.ImageOptions{ClusterSize: 512, RefcountBits: 64}, "refcount bits: 64"}, // 64 refcounts a block, 64 blocks a cluster of the table
		{virt.ImageOptions{ClusterSize: 512, RefcountBits: 1}, "refcount bits: 1\n"},
		{virt.ImageOptions{ClusterSize: 1024, RefcountBits: 2}, "refcount bits: 2\n"},
		{virt.ImageOptions{ClusterSize: 512, RefcountBits: 4}, "refcount bits: 4\n"},
		{virt.ImageOptions{ClusterSize: 4096, RefcountBits: 8}, "refcount bits: 8\n"},
		{virt.ImageOptions{RefcountBits: 32, LazyRefcounts: true}, "lazy refcounts: true"},
		{virt.ImageOptions{CompressionType: "zstd"}, "compression type: zstd"},
		{virt.ImageOptions{ClusterSize: 16 << 10, ExtendedL2: true}, "extended l2: true"},
		{virt.ImageOptions{ClusterSize: 128 << 10, ExtendedL2: true, CompressionType: "zstd", LazyRefcounts: true}, "extended l2: true"},
		{virt.ImageOptions{ClusterSize: 2 << 20, ExtendedL2: true}, "extended l2: true"},
	} {
		t.Run(fmt.Sprintf("%+v", c.o), func(t *testing.T) {
			t.Parallel()
			image, raw := d.write(t, c.o, false)
			wantSound(t, image, raw)
			if said := qemu(t, "qemu-img", "info", image); !strings.Contains(said, c.info) {
				t.Errorf("want %q:\n%s", c.info, said)
			}
			f, err := os.Open(image)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			found, err := qcow2.Read(f)
			if want := merged(c.o); err != nil || found.Options != want || found.Size != d.size {
				t.Errorf("%+v %v, want %+v", found, err, want)
			}
		})
	}
}

func merged(o virt.ImageOptions) virt.ImageOptions {
	d := qcow2.DefaultOptions
	if o.ClusterSize != 0 {
		d.ClusterSize = o.ClusterSize
	}
	if o.Compat != "" {
		d.Compat = o.Compat
	}
	if o.RefcountBits != 0 {
		d.RefcountBits = o.RefcountBits
	}
	if o.CompressionType != "" {
		d.CompressionType = o.CompressionType
	}
	d.ExtendedL2, d.LazyRefcounts = o.ExtendedL2, o.LazyRefcounts
	return d
}

// TestLayoutIsThin: a sparse disk of 1 TiB takes what it holds, QEMU maps nothing else,
// and an image of QEMU's own has no smaller file.
func TestLayoutIsThin(t *testing.T) {
	needQEMU(t)
	d := scattered(1<<40, 64, 1<<20, 2)
	image, raw := d.write(t, virt.ImageOptions{}, false)
	wantSound(t, image, raw)
	peer := raw + ".qcow2"
	qemu(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, peer)
	ours, theirs := stat(t, image).Size(), stat(t, peer).Size()
	if ours > theirs {
		t.Errorf("the file has %d bytes, one of qemu-img %d", ours, theirs)
	}
}

// TestLayoutRefuses what QEMU could not open.
func TestLayoutRefuses(t *testing.T) {
	whole := []qcow2.Range{{0, 1 << 20}}
	for want, c := range map[string]struct {
		size int64
		data []qcow2.Range
		o    virt.ImageOptions
	}{
		"cluster_size=256":     {1 << 20, whole, virt.ImageOptions{ClusterSize: 256}},
		"cluster_size=4194304": {1 << 20, whole, virt.ImageOptions{ClusterSize: 4 << 20}},
		"cluster_size=65537":   {1 << 20, whole, virt.ImageOptions{ClusterSize: 65537}},
		"refcount_bits=3":      {1 << 20, whole, virt.ImageOptions{RefcountBits: 3}},
		"refcount_bits=128":    {1 << 20, whole, virt.ImageOptions{RefcountBits: 128}},
		"compression_type=lz4": {1 << 20, whole, virt.ImageOptions{CompressionType: "lz4"}},
		"extended_l2=on":       {1 << 20, whole, virt.ImageOptions{ClusterSize: 8 << 10, ExtendedL2: true}},
		"compat=0.10":          {1 << 20, whole, virt.ImageOptions{Compat: "0.10", ExtendedL2: true}},
		"compat=2":             {1 << 20, whole, virt.ImageOptions{Compat: "2"}},
		"too large":            {1 << 40, nil, virt.ImageOptions{ClusterSize: 512}},
		"data 0+1048576":       {1<<20 - 512, whole, virt.ImageOptions{}},
		"data 5+10 after 10":   {1 << 20, []qcow2.Range{{0, 10}, {5, 10}}, virt.ImageOptions{}},
	} {
		if _, err := qcow2.NewLayout(c.size, c.data, c.o, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
