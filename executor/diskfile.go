package executor

import (
	"context"
	"fmt"
	"io"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// diskFile is the file of one disk at a new point, while it is written.
type diskFile struct {
	Sink
	close func() (store.PointDisk, error) // completes it; what it holds
}

// createDisk makes the file of a disk in the version that the chain has. source
// is what will be copied into it.
func (a *attempt) createDisk(_ context.Context, d plan.DiskBackup, _ Source) (*diskFile, error) {
	switch a.chain.Stream {
	case store.V3:
		return a.createV3(d)
	default:
		return nil, fmt.Errorf("this version writes no stream %q", a.chain.Stream)
	}
}

func (a *attempt) createV3(d plan.DiskBackup) (*diskFile, error) {
	name := store.DataFileName(d.Target, d.Base, a.point.Sequence, a.point.Attempt)
	file, err := a.create(name)
	if err != nil {
		return nil, err
	}
	options, err := a.options()
	if err != nil {
		return nil, err
	}
	writer, err := format.NewWriter(file, a.header(d), options)
	if err != nil {
		return nil, err
	}
	return &diskFile{Sink: writer, close: func() (store.PointDisk, error) {
		s, err := writer.Close()
		return store.PointDisk{
			Target: d.Target, File: name, Base: d.Base, Size: d.Size, Source: d.Source, Format: d.Format,
			FileSize: s.FileSize, Data: s.Data, Stored: s.Stored, FooterHash: fmt.Sprintf("%016x", s.FooterHash),
		}, err
	}}, nil
}

// create makes a file of the attempt, which commit will sync.
func (a *attempt) create(name string) (io.Writer, error) {
	file, err := a.folder.Create(a.chain.Chain, name)
	if err != nil {
		return nil, err
	}
	a.files = append(a.files, file)
	return file, nil
}

func (a *attempt) header(d plan.DiskBackup) format.Header {
	h := format.Header{
		StoreID: a.want.StoreID, Chain: a.chain.Chain, Sequence: a.point.Sequence, Attempt: a.point.Attempt,
		Domain: a.want.Domain, UUID: a.want.UUID, Disk: d.Target, Size: d.Size, Source: d.Source,
		Base: d.Base, Covers: [2]int{a.point.Sequence, a.point.Sequence}, HashKey: a.chain.HashKey,
		Time: a.point.Start, Version: a.Version,
	}
	for _, disk := range a.plan.Disks {
		h.Disks = append(h.Disks, disk.Target)
	}
	return h
}

func (a *attempt) options() (format.Options, error) {
	c := a.want.Policy.Compression
	codec, err := format.ParseCodec(c.Codec)
	return format.Options{Codec: codec, Level: c.Level}, err
}
