package virtnbdbackup

import (
	"encoding/json"
	"io/fs"
)

// ImageOptions are how a qcow2 image was made, by the names of qemu-img create -o. They
// are what a file says: nobody has looked whether such an image can be.
type ImageOptions struct {
	ClusterSize     int64 // bytes
	Compat          string
	RefcountBits    int
	ExtendedL2      bool
	LazyRefcounts   bool
	CompressionType string
}

// imageInfo is what qemu-img info said of a disk, in T.ID.qcow.json.
type imageInfo struct {
	Size        int64  `json:"virtual-size"`
	Format      string `json:"format"`
	ClusterSize int64  `json:"cluster-size"`
	Specific    struct {
		Data struct {
			Compat          string `json:"compat"`
			CompressionType string `json:"compression-type"`
			LazyRefcounts   bool   `json:"lazy-refcounts"`
			RefcountBits    int    `json:"refcount-bits"`
			ExtendedL2      bool   `json:"extended-l2"`
		} `json:"data"`
	} `json:"format-specific"`
}

// readImageInfo reads such a file; false if there is none, or it says no size.
func readImageInfo(fsys fs.FS, name string) (info imageInfo, ok bool) {
	info.Size = -1
	b, err := readSmall(fsys, name)
	return info, err == nil && json.Unmarshal(b, &info) == nil && info.Size >= 0
}

// options are those of the image that a file was read from, or of the nearest below it
// of which they are recorded.
func (f *Folder) options(x *file) ImageOptions {
	for ; x != nil && x.problem == nil; x = x.parent { // those with a problem may build on each other
		id := x.checkpoint()
		switch x.kind {
		case Copy:
			id = "copy"
		case Difference:
			id = x.id
		}
		if i, ok := readImageInfo(f.fsys, x.target+"."+id+".qcow.json"); ok && i.Format == "qcow2" {
			d := i.Specific.Data
			return ImageOptions{i.ClusterSize, d.Compat, d.RefcountBits, d.ExtendedL2, d.LazyRefcounts, d.CompressionType}
		}
	}
	return ImageOptions{}
}
