package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"vbk/format"
	"vbk/virt"
)

// peerBackup does what virtnbdbackup --no-sparse-detection does: a full into a
// folder that holds none, an increment by the last checkpoint's bitmap else.
func (m machine) peerBackup(dir string) {
	ctx, dir := context.Background(), m.ts.MkAbs(dir)
	m.ts.Check(os.MkdirAll(filepath.Join(dir, "checkpoints"), 0o755))
	made, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	m.ts.Check(err)
	name, parent := fmt.Sprintf("virtnbdbackup.%d", len(made)), ""
	if len(made) > 0 {
		parent = fmt.Sprintf("virtnbdbackup.%d", len(made)-1)
	}
	b := virt.Backup{Socket: "/peer/socket", Checkpoint: name}
	for _, d := range m.survey().Disks {
		disk := virt.BackupDisk{Target: d.Target, Incremental: parent, Scratch: "/peer/" + d.Target}
		if parent != "" {
			disk.Bitmap = "since"
		}
		b.Disks = append(b.Disks, disk)
	}
	m.ts.Check(m.BeginBackup(ctx, m.uuid, b))
	for _, d := range b.Disks {
		m.peerDisk(dir, b, d)
	}
	m.ts.Check(m.EndBackup(ctx, m.uuid, b.Socket))
	config, err := m.DomainXML(ctx, m.uuid)
	m.ts.Check(err)
	checkpoint, err := m.CheckpointXML(ctx, m.uuid, name)
	m.ts.Check(err)
	m.ts.Check(os.WriteFile(filepath.Join(dir, "vmconfig."+name+".xml"), []byte(config), 0o644))
	m.ts.Check(os.WriteFile(filepath.Join(dir, "checkpoints", name+".xml"), []byte(checkpoint), 0o644))
}

func (m machine) peerDisk(dir string, b virt.Backup, d virt.BackupDisk) {
	name := d.Target + ".full.data"
	if d.Incremental != "" {
		name = d.Target + ".inc." + b.Checkpoint + ".data"
	}
	e, err := m.Open(b.Socket, d.Target, d.Bitmap)
	m.ts.Check(err)
	extents, err := e.Extents(0, e.Size())
	m.ts.Check(err)
	h := format.StreamHeader{
		Size: e.Size(), Date: m.th.clock().Truncate(time.Second), Disk: d.Target, Format: "qcow2",
		Checkpoint: b.Checkpoint, Parent: d.Incremental, Incremental: d.Incremental != "",
	}
	for _, x := range extents {
		if x.Dirty {
			h.Data += x.Length
		}
	}
	f, err := os.Create(filepath.Join(dir, name))
	m.ts.Check(err)
	w, err := format.NewStreamWriter(f, h, format.Options{Codec: format.LZ4})
	m.ts.Check(err)
	for _, x := range extents {
		for at, end := x.Offset, x.Offset+x.Length; x.Dirty && at < end; {
			p := make([]byte, min(format.MaxChunk, end-at))
			_, err := e.ReadAt(p, at)
			m.ts.Check(err)
			m.ts.Check(w.Data(at, p))
			at += int64(len(p))
		}
	}
	_, err = w.Close()
	m.ts.Check(err)
	m.ts.Check(f.Close())
}
