package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vbk/plan"
	"vbk/virt"
	"vbk/virt/qcow2"
)

// Instant is a machine that runs before its disks are restored: each disk is a
// qcow2 image in Dir that lies on an export of the point, and QEMU pulls what is
// missing from there into the image while the guest uses it. All that is to last is
// in the images from the first moment; the server of the exports only reads. So
// whatever ends, whenever, the same steps again complete it.
type Instant struct {
	Definition
	Rate        int64                                    // at which each disk is copied at most, bytes a second; 0: any
	Guard       func() (release func() error, err error) // starts what lets the machine run on if this process ends before release; may be nil
	restoration Restoration
	targets     []string
	exact       string // see Serving
	resumed     bool   // Write had been done before
}

// Recovers is a host on which machines run from their backup. libvirt.Host is one.
type Recovers interface {
	Machines
	Domain(ctx context.Context, uuid string) (virt.Domain, error)
	QEMUUser(ctx context.Context) (uid, gid int, err error)
	Pull(ctx context.Context, uuid, target string, rate int64) error
	Pulling(ctx context.Context, uuid, target string) (done, total int64, active bool, err error)
	Continue(ctx context.Context, uuid string) error
	Flush(ctx context.Context, uuid string) error
}

// Instant plans to run the machine from a point whose disks are served as
// exact/TARGET. With r.Resume, one that was begun in r.Dir is gone on with, as the
// machine that it is.
func (m Machine) Instant(p RestorePoint, r Restoration, exact string) (i Instant, err error) {
	if r.Dir, err = filepath.Abs(r.Dir); err != nil {
		return i, err
	}
	r.Format, r.Enter = "qcow2", true
	i = Instant{restoration: r, exact: exact}
	if i.targets, err = chooseDisks(p.Targets(), r.Disks); err != nil {
		return i, err
	}
	if len(i.Socket()) > 107 { // sun_path of unix(7)
		return i, &hintError{fmt.Errorf("%s is too long for the path of a socket", i.Socket()), "restore into a folder with a shorter path"}
	}
	path := filepath.Join(r.Dir, "restored.xml")
	doc, err := os.ReadFile(path)
	if !r.Resume || errors.Is(err, os.ErrNotExist) {
		i.Definition, err = m.Define(p, r)
		return i, err
	}
	if err != nil {
		return i, err
	}
	old, err := virt.ParseDomain(string(doc))
	if err != nil {
		return i, err
	}
	i.resumed = true
	i.Definition = Definition{Name: old.Name, UUID: old.UUID, XML: string(doc), Path: path, replaces: true}
	i.tpm, err = p.Extra(tpmFile)
	return i, err
}

// Socket is where the point has to be served.
func (i Instant) Socket() string { return filepath.Join(i.restoration.Dir, "nbd") }

// Disks are the targets of the disks.
func (i Instant) Disks() []string { return i.targets }

// Images are the images of the disks.
func (i Instant) Images() (paths []string) {
	for _, t := range i.targets {
		paths = append(paths, i.restoration.path(t))
	}
	return paths
}

// backing is what the image of a disk lies on: an NBD URI, as QEMU and libvirt both
// take it apart. It names the point, so that no other is ever taken for it.
func (i Instant) backing(target string) string {
	return "nbd+unix:///" + escapeURI(i.exact+"/"+target) + "?socket=" + escapeURI(i.Socket())
}

// escapeURI escapes all that means something anywhere in a URI, but slashes.
func escapeURI(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Check wants the name and the UUID to be free, as Definition.Check does. The
// machine itself may be there if it was begun, running or not.
func (i Instant) Check(ctx context.Context, host Machines) error {
	known, err := host.Known(ctx, i.Name, i.UUID)
	if err != nil {
		return err
	}
	if !i.itself(known) {
		_, err = i.Definition.Check(ctx, host)
		return err
	}
	for _, path := range i.Images() { // a new one would not have what the machine has written
		if _, err := os.Lstat(path); err != nil {
			return fmt.Errorf("domain %s is defined, but: %w", i.Name, err)
		}
	}
	return nil
}

// itself says whether what is known of the name and the UUID is this machine.
func (i Instant) itself(known []virt.Domain) bool {
	return i.resumed && len(known) == 1 && known[0].Name == i.Name && known[0].UUID == i.UUID
}

// Lock keeps other commands away from the folder until the file is closed.
func (i Instant) Lock() (io.Closer, error) {
	if err := os.MkdirAll(i.restoration.Dir, 0o711); err != nil {
		return nil, err
	}
	dir, err := os.Open(i.restoration.Dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another vbk is at work in %s: %w", i.restoration.Dir, err), dir.Close())
	}
	return dir, nil
}

// Alone says whether all images lie on nothing any more.
func (i Instant) Alone() bool {
	for _, path := range i.Images() {
		if backing, err := readBacking(path); err != nil || backing != "" {
			return false
		}
	}
	return true
}

// Write makes the images, the definition and what else the machine needs, in a
// folder that Lock has made. What is there stays if the recovery is resumed, and is
// in the way otherwise.
func (i Instant) Write(ctx context.Context, p RestorePoint) error {
	rest, err := i.restoration.besides(p)
	if err != nil {
		return err
	}
	if !i.resumed {
		if err := errors.Join(i.restoration.checkFree(i.targets, rest), i.checkRoom(ctx, p)); err != nil {
			return err
		}
		if err := i.Definition.Write(); err != nil {
			return err
		}
	}
	for _, f := range rest {
		if err := f.write(); err != nil {
			return err
		}
	}
	for _, t := range i.targets {
		if err := i.image(ctx, p, t); err != nil {
			return fmt.Errorf("disk %s: %w", t, err)
		}
	}
	return syncDir(i.restoration.Dir)
}

// checkRoom compares what the disks hold with the space there is.
func (i Instant) checkRoom(ctx context.Context, p RestorePoint) error {
	var data int64
	for _, t := range i.targets {
		image, err := p.OpenDisk(ctx, t)
		if err != nil {
			return fmt.Errorf("disk %s: %w", t, err)
		}
		for x := range image.Extents(0, image.Size()) {
			if !x.Zero {
				data += x.Length
			}
		}
		if err := image.Close(); err != nil {
			return err
		}
	}
	free, _, err := statfs(i.restoration.Dir)
	if err == nil && free < data {
		err = &hintError{fmt.Errorf("%s has %s free, the disks hold %s", i.restoration.Dir, plan.Bytes(free), plan.Bytes(data)),
			"the machine would pause as soon as it is full: restore into another folder with -o"}
	}
	return err
}

// image makes the image of a disk, or looks whether the one that is there is of
// this point. It has its name only when it is whole.
func (i Instant) image(ctx context.Context, p RestorePoint, target string) error {
	path := i.restoration.path(target)
	backing, err := readBacking(path)
	switch {
	case err == nil && backing != "" && backing != i.backing(target):
		return &hintError{fmt.Errorf("%s was begun from another point or in another folder: it lies on %s", path, backing),
			"name that point, as CHAIN.N, instead of the newest"}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	disk, err := p.OpenDisk(ctx, target)
	if err != nil {
		return err
	}
	size := strconv.FormatInt(disk.Size(), 10)
	if err := disk.Close(); err != nil {
		return err
	}
	partial := path + ".partial"
	output, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o", "compat=1.1",
		"-F", "raw", "-b", i.backing(target), partial, size).CombinedOutput()
	if err != nil {
		return toolError("qemu-img", err, string(output))
	}
	return renameNew(partial, path)
}

// readBacking reads what an image lies on, "" if it stands alone.
func readBacking(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return qcow2.ReadBacking(f)
}

// Served says whether a server answers on the socket.
func (i Instant) Served(ctx context.Context) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", i.Socket())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// RemoveSocket removes what a dead server has left, before another begins: it is not for
// one that begins just now and does not answer yet.
func (i Instant) RemoveSocket() error {
	if err := os.Remove(i.Socket()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
