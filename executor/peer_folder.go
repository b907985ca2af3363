package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"vbk/format"
	"vbk/store"
	"vbk/store/virtnbdbackup"
	"vbk/virt"
)

// Origin is a point that is to be written for virtnbdbackup.
type Origin struct {
	Name  string
	Start time.Time
	RestorePoint
}

// PeerFolder says what is to be written, and where to.
type PeerFolder struct {
	Dir      string       // must not exist
	Stream   store.Stream // VirtNBDBackup, or Raw: then the newest point only
	Options  format.Options
	Progress func(disk string, done, total int64) // bytes of a disk at a point; called from several goroutines at once
}

// WritePeerFolder writes points, each the parent of the next, as a folder that
// virtnbdrestore restores, and reads every byte of it back before the folder gets
// its name. It holds as many of the newest points as can be one chain there; n is
// their number, and why says what keeps the one before them out.
func WritePeerFolder(ctx context.Context, points []Origin, f PeerFolder) (n int, why string, err error) {
	if _, err := os.Lstat(f.Dir); err == nil {
		return 0, "", &hintError{fmt.Errorf("%s exists already", f.Dir), "name a folder that does not, with -o"}
	}
	disks, err := originDisks(ctx, points)
	if err != nil {
		return 0, "", err
	}
	first, why := f.firstPoint(disks)
	partial := f.Dir + ".partial"
	if err := os.Mkdir(partial, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			err = &hintError{err, "another vbk convert is at work there, or one was killed: then remove the folder"}
		}
		return 0, "", err
	}
	w := peerWriter{PeerFolder: f, dir: partial, points: points[first:], disks: disks[first:], began: time.Now().Add(-time.Duration(len(points)) * time.Second)}
	err = w.write(ctx)
	if err == nil {
		err = w.verify(ctx)
	}
	if err == nil {
		err = errors.Join(syncDir(partial), renameNew(partial, f.Dir), syncDir(filepath.Dir(f.Dir)))
	}
	if err != nil {
		_ = os.RemoveAll(partial) // it is of no use, and the error says why
		return 0, "", err
	}
	return len(w.points), why, nil
}

// originDisk is what decides how a disk at a point can be written.
type originDisk struct {
	size   int64
	layers int
	raw    bool
}

// originDisks looks at all disks of all points.
func originDisks(ctx context.Context, points []Origin) ([]map[string]originDisk, error) {
	var all []map[string]originDisk
	for _, p := range points {
		targets, err := chooseDisks(p.Targets(), nil)
		if err == nil {
			err = apart(targets)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		raw, err := p.rawDisks()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		disks := map[string]originDisk{}
		for _, t := range targets {
			image, err := p.OpenDisk(ctx, t)
			if err != nil {
				return nil, fmt.Errorf("%s, disk %s: %w", p.Name, t, err)
			}
			disks[t] = originDisk{image.Size(), len(image.Layers()), raw[t]}
			if err := image.Close(); err != nil {
				return nil, err
			}
		}
		all = append(all, disks)
	}
	return all, nil
}

// rawDisks are the disks that virtnbdrestore takes for raw images.
func (p Origin) rawDisks() (map[string]bool, error) {
	text, err := p.XML()
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, errors.New("no definition of the domain is stored with it, and virtnbdrestore needs one")
	}
	d, err := virt.ParseDomain(string(text))
	if err != nil {
		return nil, err
	}
	raw := map[string]bool{}
	for _, disk := range d.Disks {
		raw[disk.Target] = disk.Format == "raw"
	}
	return raw, nil
}

// firstPoint is the first of the newest points that can be one chain, and why
// the one before it is not.
func (f PeerFolder) firstPoint(disks []map[string]originDisk) (first int, why string) {
	first = len(disks) - 1
	if f.Stream == store.Raw {
		return first, "a folder of raw images holds one point"
	}
	for ; first > 0; first-- {
		if why := apartFrom(disks[first-1], disks[first:]); why != "" {
			return first, why
		}
	}
	return 0, ""
}

// apartFrom says why a point cannot come before those of a chain.
func apartFrom(before map[string]originDisk, chain []map[string]originDisk) string {
	for t, d := range chain[0] {
		b, ok := before[t]
		switch {
		case !ok:
		case d.raw || b.raw:
			return fmt.Sprintf("disk %s is a raw image, of which only whole copies can be stored", t)
		case d.size != b.size:
			return fmt.Sprintf("disk %s had another size", t)
		case d.layers != b.layers+1:
			return fmt.Sprintf("disk %s was stored anew after it", t)
		}
	}
	for t := range before {
		if _, ok := chain[0][t]; !ok && slices.ContainsFunc(chain, func(p map[string]originDisk) bool { _, ok := p[t]; return ok }) {
			return fmt.Sprintf("disk %s was gone after it for a while", t)
		}
	}
	return ""
}

// peerWriter writes a folder.
type peerWriter struct {
	PeerFolder
	dir    string
	points []Origin
	disks  []map[string]originDisk
	began  time.Time
}

// pointID is what virtnbdbackup would call a point.
func (w *peerWriter) pointID(n int) string {
	if w.Stream == store.Raw {
		return "copy"
	}
	return "virtnbdbackup." + strconv.Itoa(n)
}

func (w *peerWriter) write(ctx context.Context) error {
	for n, p := range w.points {
		for _, t := range p.Targets() {
			if err := w.disk(ctx, n, t); err != nil {
				return fmt.Errorf("%s, disk %s: %w", p.Name, t, err)
			}
		}
		text, err := p.XML()
		if err == nil {
			err = w.file(n, store.ConfigFileName(w.pointID(n)), func(f *os.File) error { return writeText(f, text) })
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

func writeText(f *os.File, text []byte) error {
	_, err := f.Write(text)
	return err
}

// file writes a durable file. Files of later points are younger: virtnbdrestore
// goes by that.
func (w *peerWriter) file(n int, name string, write func(*os.File) error) error {
	path := filepath.Join(w.dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	at := w.began.Add(time.Duration(n) * time.Second)
	return errors.Join(write(f), f.Sync(), f.Close(), os.Chtimes(path, at, at))
}

// disk writes a disk at a point: whole, or what differs from the point before.
func (w *peerWriter) disk(ctx context.Context, n int, target string) error {
	image, err := w.points[n].OpenDisk(ctx, target)
	if err != nil {
		return err
	}
	defer image.Close()
	before, follows := originDisk{}, false
	if n > 0 {
		before, follows = w.disks[n-1][target]
	}
	l, err := list(ctx, newLayerSource(image.Image, !follows, before.size))
	if err != nil {
		return err
	}
	if w.Stream == store.Raw || w.disks[n][target].raw {
		return w.rawImage(ctx, n, target, l)
	}
	h := format.StreamHeader{
		Size: image.Size(), Data: l.bytes(follows), Date: w.points[n].Start, Disk: target, Format: "qcow2",
		Checkpoint: w.pointID(n), Incremental: follows,
	}
	name := target + ".full.data"
	if follows {
		h.Parent, name = w.pointID(n-1), target+".inc."+h.Checkpoint+".data"
	}
	var sum format.StreamSummary
	err = w.file(n, name, func(f *os.File) error {
		out, err := format.NewStreamWriter(f, h, w.Options)
		if err == nil {
			err = w.copy(ctx, n, target, out, l)
		}
		if err == nil {
			sum, err = out.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.file(n, store.ChecksumFileName(name), func(f *os.File) error { return writeText(f, strconv.AppendUint(nil, uint64(sum.Adler32), 10)) })
}

// rawImage writes a disk byte for byte, and beside it what says that it is one.
func (w *peerWriter) rawImage(ctx context.Context, n int, target string, source listed) error {
	err := w.file(n, target+".copy.data", func(f *os.File) error {
		out, err := format.NewRawWriter(f, source.Size())
		if err == nil {
			err = w.copy(ctx, n, target, out, source)
		}
		if err == nil {
			_, err = out.Close()
		}
		return err
	})
	if err != nil {
		return err
	}
	return w.file(n, target+".copy.qcow.json", func(f *os.File) error {
		return writeText(f, fmt.Appendf(nil, "{\"virtual-size\": %d, \"format\": \"raw\"}\n", source.Size()))
	})
}

func (w *peerWriter) copy(ctx context.Context, n int, target string, out Sink, source listed) error {
	var done counter
	name, total := target+" at "+w.points[n].Name, source.bytes(true)
	return Copy(ctx, out, source, func(bytes int64) { w.Progress(name, done.add(bytes), total) })
}

// verify reads the folder as a stranger would, and compares every disk at every
// point with what was to be written.
func (w *peerWriter) verify(ctx context.Context) error {
	folder, err := virtnbdbackup.Open(os.DirFS(w.dir))
	if err != nil {
		return err
	}
	if len(folder.Problems) > 0 || len(folder.Points) != len(w.points) {
		return fmt.Errorf("as written the folder has %d points, expected %d: %v", len(folder.Points), len(w.points), folder.Problems)
	}
	for n, p := range w.points {
		for _, t := range p.Targets() {
			if err := w.same(ctx, folder, n, t); err != nil {
				return fmt.Errorf("%s, disk %s, as written: %w", p.Name, t, err)
			}
		}
	}
	return nil
}

func (w *peerWriter) same(ctx context.Context, folder *virtnbdbackup.Folder, n int, target string) error {
	if err := folder.CheckSums(ctx, w.pointID(n), target); err != nil {
		return err
	}
	found, err := folder.OpenDisk(w.pointID(n), target)
	if err != nil {
		return err
	}
	defer found.Close()
	want, err := w.points[n].OpenDisk(ctx, target)
	if err != nil {
		return err
	}
	defer want.Close()
	return wantSame(ctx, found.Image, want.Image)
}
