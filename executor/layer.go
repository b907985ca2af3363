package executor

import (
	"context"
	"fmt"
	"io"
	"slices"

	"vbk/format"
	"vbk/store"
)

// openLayer opens the file of a disk at a point, in the version that the chain
// has, and refuses one that is not the file the manifest names.
func openLayer(c Chain, l diskLayer) (format.Layer, io.Closer, error) {
	switch stream := c.Manifest().Stream; stream {
	case store.V3:
		return openV3(c, l.PointDisk)
	case store.VirtNBDBackup, store.Raw:
		return openStream(c, l)
	default:
		return nil, nil, fmt.Errorf("chain %s has files of stream %q, which this version cannot read", c.Manifest().Chain, stream)
	}
}

// checkSums compares the files that make a disk at a point with the sums beside
// them: what is not compressed has no other, and restores wrong without a word.
// v3 files have their own.
func checkSums(ctx context.Context, c Chain, sequence int, target string) error {
	if c.Manifest().Stream == store.V3 {
		return nil
	}
	files, err := layers(c.Manifest(), sequence, target)
	if err != nil {
		return err
	}
	for _, l := range files {
		if err := checkSum(ctx, c, l); err != nil {
			return fmt.Errorf("%s: %w", l.File, err)
		}
	}
	return nil
}

func checkSum(ctx context.Context, c Chain, l diskLayer) error {
	name := store.ChecksumFileName(l.File)
	if !slices.ContainsFunc(l.point.Files, func(f store.File) bool { return f.Name == name }) {
		return nil // virtnbdbackup wrote none for years
	}
	text, err := c.ReadFile(name)
	if err != nil {
		return damaged(err)
	}
	f, err := c.Open(l.File)
	if err != nil {
		return err
	}
	defer f.Close()
	err = format.CompareAdler(ctx, io.NewSectionReader(f, 0, f.Size()), text)
	if err != nil && ctx.Err() == nil {
		err = damaged(err)
	}
	return err
}

// openStream opens a stream of virtnbdbackup or a raw image.
func openStream(c Chain, l diskLayer) (format.Layer, io.Closer, error) {
	if err := checkFooter(c, l.PointDisk); err != nil {
		return nil, nil, err
	}
	f, err := c.Open(l.File)
	if err != nil {
		return nil, nil, err
	}
	s, err := parseStream(c.Manifest(), l, f)
	if err != nil {
		_ = f.Close()
		return nil, nil, damaged(fmt.Errorf("%s: %w", l.File, err))
	}
	return s, f, nil
}

func parseStream(m store.Manifest, l diskLayer, f ChainFile) (*format.Stream, error) {
	if l.RawImage {
		return format.NewRaw(f, f.Size(), format.StreamHeader{Disk: l.Target, Checkpoint: streamCheckpoint(m, l.point)})
	}
	s, err := format.OpenStream(f, f.Size())
	if err != nil {
		return nil, err
	}
	if h := s.Header(); h.Disk != l.Target || h.Size != l.Size || h.Incremental == l.Base {
		return nil, fmt.Errorf("is of disk %s with %d bytes, incremental: %v; the manifest says %s, %d, %v", h.Disk, h.Size, h.Incremental, l.Target, l.Size, !l.Base)
	}
	return s, nil
}
