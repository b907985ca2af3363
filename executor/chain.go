package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"vbk/format"
	"vbk/store"
	"vbk/virt"
)

// checkFooters compares the footer of every file of a chain with the hash in
// its manifest: an increment is never built on a broken base.
func checkFooters(s Store, folder string, m store.Manifest) error {
	c, err := s.OpenChain(folder, m.Chain)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, p := range m.Points {
		for _, d := range p.Disks {
			if err := errors.Join(checkFooter(c, d), checkShares(c, d)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFooter(c Chain, d store.PointDisk) error {
	f, err := c.Open(d.File)
	if err != nil {
		return err
	}
	defer f.Close()
	hashOf := format.TailHash
	if c.Manifest().Stream == store.V3 {
		hashOf = format.FooterHash
	}
	hash, err := hashOf(f, f.Size())
	if err != nil {
		return damaged(fmt.Errorf("%s: %w", d.File, err))
	}
	if found := fmt.Sprintf("%016x", hash); found != d.FooterHash {
		return &DamageError{fmt.Errorf("%s: footer hash is %s, the manifest says %s", d.File, found, d.FooterHash)}
	}
	return nil
}

// ChainPoint is a point of an open chain.
type ChainPoint struct {
	chain    Chain
	point    store.Point
	compared map[string]bool // disks whose files are what was written, by the sums beside them
}

// PointOf is the point of an open chain with this sequence.
func PointOf(c Chain, sequence int) (ChainPoint, error) {
	m := c.Manifest()
	for _, p := range m.Points {
		if p.Sequence == sequence {
			return ChainPoint{c, p, map[string]bool{}}, nil
		}
	}
	return ChainPoint{}, fmt.Errorf("chain %s has no point %d", m.Chain, sequence)
}

// Targets lists the disks of the point.
func (p ChainPoint) Targets() []string {
	var all []string
	for _, d := range p.point.Disks {
		all = append(all, d.Target)
	}
	return all
}

// OpenDisk is OpenDisk at the point. Files that have no sums but beside them are
// compared with these first.
func (p ChainPoint) OpenDisk(ctx context.Context, target string) (*DiskImage, error) {
	if !p.compared[target] {
		if err := checkSums(ctx, p.chain, p.point.Sequence, target); err != nil {
			return nil, err
		}
		p.compared[target] = true
	}
	return OpenDisk(p.chain, p.point.Sequence, target)
}

// XML reads the domain's definition as it was at the point.
func (p ChainPoint) XML() ([]byte, error) {
	name := p.point.DomainXML()
	if name == "" {
		return nil, nil
	}
	text, err := p.chain.ReadFile(name)
	if err != nil {
		return nil, damaged(err)
	}
	return text, nil
}

// Extra reads another file of the point: "nvram", "kernel" or "initrd"; nil if it
// has none.
func (p ChainPoint) Extra(what string) ([]byte, error) {
	name := store.ExtraFileName(p.point.Sequence, p.point.Attempt, what)
	if !slices.ContainsFunc(p.point.Files, func(f store.File) bool { return f.Name == name }) {
		return nil, nil
	}
	data, err := p.chain.ReadFile(name)
	if err != nil {
		return nil, damaged(err)
	}
	return data, nil
}

// DiskImage is a disk at a point: files laid over one another. Close releases
// them.
type DiskImage struct {
	*format.Image
	io.Closer
	Options virt.ImageOptions // of the qcow2 image that it was, if they are known
}

// chainFiles are the open files of a disk.
type chainFiles []io.Closer

func (files chainFiles) Close() error {
	var all []error
	for _, f := range files {
		all = append(all, f.Close())
	}
	return errors.Join(all...)
}

// OpenDisk opens a disk as it was at the point with this sequence. It reads the
// files from the newest back to the first that stands alone, and refuses one
// that is not the file the manifest names.
func OpenDisk(c Chain, sequence int, target string) (*DiskImage, error) {
	files, err := layers(c.Manifest(), sequence, target)
	if err != nil {
		return nil, err
	}
	return openLayers(c, files)
}

// openLayers lays files of a disk over one another, oldest first.
func openLayers(c Chain, files []diskLayer) (_ *DiskImage, err error) {
	var open chainFiles
	defer func() {
		if err != nil {
			_ = open.Close()
		}
	}()
	var parsed []format.Layer
	for _, l := range files {
		layer, file, err := openLayer(c, l)
		if err != nil {
			return nil, err
		}
		open = append(open, file)
		parsed = append(parsed, layer)
	}
	image, err := format.NewImage(parsed...)
	if err != nil {
		return nil, damaged(err)
	}
	newest := files[len(files)-1]
	return &DiskImage{image, open, virt.ImageOptions(newest.Image)}, nil
}

// diskLayer is a disk at the point that has stored it.
type diskLayer struct {
	store.PointDisk
	point store.Point
}

// layers lists the files that make a disk at a point, oldest first.
func layers(m store.Manifest, sequence int, target string) ([]diskLayer, error) {
	var files []diskLayer
	for n := len(m.Points) - 1; n >= 0; n-- {
		p := m.Points[n]
		if p.Sequence != sequence {
			continue
		}
		d, ok := p.Disk(target)
		if !ok {
			return nil, fmt.Errorf("point %s.%d has no disk %s", m.Chain, p.Sequence, target)
		}
		files = append([]diskLayer{{d, p}}, files...)
		if d.Base {
			return files, nil
		}
		sequence = p.Parent
	}
	return nil, fmt.Errorf("point %s.%d: disk %s has no base in the chain", m.Chain, sequence, target)
}
