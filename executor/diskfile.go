package executor

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"vbk/format"
	"vbk/plan"
	"vbk/store"
)

// diskFile is the file of one disk at a point, while it is written.
type diskFile struct {
	Sink
	source Source                          // what is to be copied into it
	close  func() (store.PointDisk, error) // completes it; what it holds
}

// recipe is all that a file of a disk says besides the disk's content.
type recipe struct {
	chain   store.Manifest
	point   store.Point // to which the file belongs
	parent  store.Point // on which that is built; zero if on none
	disk    store.PointDisk
	targets []string // of all disks of the point
	options format.Options
	version string
	tag     string // makes the file's name unique: the attempt that writes it

	create func(name string) (NewFile, error)
	write  func(name string, data []byte) error // another file of the point
}

// createDisk makes the file of a disk in the version that the chain has. source
// is what will be copied into it.
func (a *attempt) createDisk(ctx context.Context, d plan.DiskBackup, source Source) (*diskFile, error) {
	options, err := a.options()
	if err != nil {
		return nil, err
	}
	m := a.chain
	m.Domain = a.want.Domain
	r := recipe{
		chain: m, point: a.point, parent: pointAt(m, a.point.Parent), tag: a.point.Attempt, options: options, version: a.Version,
		disk: store.PointDisk{Target: d.Target, Base: d.Base, Size: d.Size, Source: d.Source, Format: d.Format,
			Identity: d.Identity, DataState: d.DataState, Image: store.ImageOptions(d.Image)},
		create: func(name string) (NewFile, error) { return a.create(ctx, name) }, write: a.save,
	}
	for _, disk := range a.plan.Disks {
		r.targets = append(r.targets, disk.Target)
	}
	if m.Stream == store.VirtNBDBackup {
		if err := errors.Join(holds(m, a.point, r.disk), apart(r.targets)); err != nil {
			return nil, err
		}
	}
	return r.open(ctx, source)
}

// pointAt is the point of a chain with this sequence; zero if there is none.
func pointAt(m store.Manifest, sequence int) store.Point {
	for _, p := range m.Points {
		if p.Sequence == sequence {
			return p
		}
	}
	return store.Point{}
}

// open begins the file.
func (r recipe) open(ctx context.Context, source Source) (*diskFile, error) {
	switch {
	case r.chain.Stream == store.V3:
		return r.openV3(source)
	case r.chain.Stream == store.Raw, r.disk.Format == "raw": // virtnbdbackup has no streams of raw disks
		return r.openRaw(source)
	case r.chain.Stream == store.VirtNBDBackup:
		return r.openStream(ctx, source)
	}
	return nil, fmt.Errorf("this version writes no stream %q", r.chain.Stream)
}

func (r recipe) openV3(source Source) (*diskFile, error) {
	d := r.disk
	d.File = store.DataFileName(d.Target, d.Base, r.point.Sequence, r.tag)
	file, err := r.create(d.File)
	if err != nil {
		return nil, err
	}
	writer, err := format.NewWriter(file, r.headerV3(), r.options)
	if err != nil {
		return nil, err
	}
	return &diskFile{Sink: writer, source: source, close: func() (store.PointDisk, error) {
		s, err := writer.Close()
		d.FileSize, d.Data, d.Stored, d.FooterHash = s.FileSize, s.Data, s.Stored, hashText(s.FooterHash)
		return d, err
	}}, nil
}

// headerV3 is the header of a v3 file. What an increment covers begins behind its
// parent: sequences of points on which it does not build may lie between.
func (r recipe) headerV3() format.Header {
	m, p := r.chain, r.point
	h := format.Header{
		StoreID: m.StoreID, Chain: m.Chain, Sequence: p.Sequence, Attempt: p.Attempt,
		Domain: m.Domain, UUID: m.UUID, Disk: r.disk.Target, Size: r.disk.Size, Source: r.disk.Source,
		Base: r.disk.Base, Covers: [2]int{p.Sequence, p.Sequence}, Disks: r.targets, HashKey: m.HashKey,
		Time: p.Start, Version: r.version,
	}
	if !h.Base {
		h.Covers[0] = p.Parent + 1
	}
	return h
}

func (r recipe) openRaw(source Source) (*diskFile, error) {
	d := r.disk
	d.RawImage, d.File = true, store.StreamFileName(d.Target, "copy", r.name())
	file, err := r.create(d.File)
	if err != nil {
		return nil, err
	}
	writer, err := format.NewRawWriter(file, d.Size)
	if err != nil {
		return nil, err
	}
	return r.summed(d, writer, source, writer.Close), nil
}

func (r recipe) openStream(ctx context.Context, source Source) (*diskFile, error) {
	d := r.disk
	kind := "inc"
	if d.Base {
		kind = "full"
	}
	d.File = store.StreamFileName(d.Target, kind, r.name())
	listed, err := list(ctx, source)
	if err != nil {
		return nil, err
	}
	file, err := r.create(d.File)
	if err != nil {
		return nil, err
	}
	writer, err := format.NewStreamWriter(file, streamHeader(d, r.chain, r.point, r.parent, listed), r.options)
	if err != nil {
		return nil, err
	}
	return r.summed(d, writer, listed, writer.Close), nil
}

// streamHeader is the header of a stream. An image that is restored of it is
// qcow2, the only format that virtnbdrestore fills.
func streamHeader(d store.PointDisk, m store.Manifest, p, parent store.Point, source listed) format.StreamHeader {
	h := format.StreamHeader{
		Size: d.Size, Data: source.bytes(!d.Base), Date: p.Start, Disk: d.Target, Format: "qcow2",
		Checkpoint: streamCheckpoint(m, p), Incremental: !d.Base,
	}
	if h.Incremental {
		h.Parent = streamCheckpoint(m, parent)
	}
	return h
}

// streamCheckpoint is what the streams of a point call it.
func streamCheckpoint(m store.Manifest, p store.Point) string {
	if p.Checkpoint != "" {
		return p.Checkpoint
	}
	return store.CheckpointName(m.StoreID, m.Chain, p.Attempt, p.Sequence)
}

// name is the part of a file's name that stands for the point.
func (r recipe) name() string { return streamName(r.chain, r.point, r.tag) }

func streamName(m store.Manifest, p store.Point, tag string) string {
	return store.CheckpointName(m.StoreID, m.Chain, tag, p.Sequence)
}

// domainFileName is the name of the file with the domain's XML at a point.
func domainFileName(m store.Manifest, p store.Point, tag string) string {
	if m.Stream == store.V3 {
		return store.ExtraFileName(p.Sequence, tag, "domain.xml")
	}
	return store.ConfigFileName(streamName(m, p, tag))
}

// summed is a file with its Adler-32 beside it.
func (r recipe) summed(d store.PointDisk, sink Sink, source Source, end func() (format.StreamSummary, error)) *diskFile {
	return &diskFile{Sink: sink, source: source, close: func() (store.PointDisk, error) {
		s, err := end()
		if err != nil {
			return d, err
		}
		d.FileSize, d.Data, d.Stored, d.FooterHash = s.FileSize, s.Data, s.Stored, hashText(s.TailHash)
		return d, r.write(store.ChecksumFileName(d.File), []byte(strconv.FormatUint(uint64(s.Adler32), 10)))
	}}
}

func hashText(hash uint64) string { return fmt.Sprintf("%016x", hash) }

// create makes a file of the attempt, which commit will sync.
func (a *attempt) create(ctx context.Context, name string) (NewFile, error) {
	file, err := a.newFile(ctx, a.chain.Chain, name, a.alive)
	if err != nil {
		return nil, err
	}
	a.files = append(a.files, file)
	return frugal{file, a}, nil
}

func (a *attempt) options() (format.Options, error) {
	c := a.want.Policy.Compression
	codec, err := format.ParseCodec(c.Codec)
	return format.Options{Codec: codec, Level: c.Level}, err
}
