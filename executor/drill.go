package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vbk/nbd"
	"vbk/virt"
)

// Drills is a host on which points are tried. libvirt.Host is one.
type Drills interface {
	QEMUUser(ctx context.Context) (uid, gid int, err error)
	StartTransient(ctx context.Context, doc string) error
	Domain(ctx context.Context, uuid string) (virt.Domain, error)
	Destroy(ctx context.Context, uuid string) error
}

// Drill boots a machine from a point, apart from everything: a transient domain
// with another name and UUID, without network and devices of the host, on disks that
// are served from the point and whose changes are forgotten.
type Drill struct {
	Name, UUID string
	URI        string // of the host's libvirt
	Scratch    string // folder for changes of the disks and the console, on the host
	Boot       string // text on the serial console that says it has booted; "": the guest agent says it
	Trust      bool   // see virt.Rewrite; there is no network all the same
	Now        func() time.Time
	Report     func(error)                                           // what clients of the disks run into
	Guard      func(folder string) (release func() error, err error) // starts what calls EndDrill if this process ends before release; may be nil
}

// Drilled is how a drill went.
type Drilled struct {
	Took    time.Duration // from the start until it had booted
	Console []byte        // the end of what the serial console said
	Changes []string      // what of the definition was changed
}

// NotBootedError says that a machine was started, and has not booted.
type NotBootedError struct{ error }

// Unwrap gives the cause.
func (e *NotBootedError) Unwrap() error { return e.error }

// Run boots the machine, waits for as long as ctx allows, and destroys it. A
// NotBootedError is about the point; any other error about the host or the store.
func (d Drill) Run(ctx context.Context, p RestorePoint, host Drills) (result Drilled, err error) {
	folder, err := d.folder(ctx, host)
	if err != nil {
		return result, err
	}
	release := nothing
	if d.Guard != nil {
		if release, err = d.Guard(folder.path); err != nil {
			return result, errors.Join(fmt.Errorf("start what would end the drill after a crash: %w", err), os.Remove(folder.path))
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder.path), release()) }()
	doc, err := d.definition(p, folder, &result)
	if err != nil {
		return result, err
	}
	removeTPM, err := d.lendTPM(p, doc)
	defer func() { err = errors.Join(err, removeTPM()) }()
	if err != nil {
		return result, err
	}
	listener, err := net.Listen("unix", folder.file("nbd"))
	if err != nil {
		return result, fmt.Errorf("listen for QEMU: %w", err)
	}
	if err := folder.give("nbd"); err != nil {
		return result, errors.Join(err, listener.Close())
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // for as long as the machine is there
	served := make(chan error, 1)
	go func() {
		served <- guarded(func() error {
			return Serve(serving, p, Serving{Listener: listener, Overlays: folder.path, Server: nbd.Server{Report: d.Report}})
		})()
	}()
	err = d.boot(ctx, host, doc, folder.file("console"), &result, served)
	stop()
	return result, errors.Join(err, <-served)
}

// EndDrill ends a drill whose process is gone: the machine, the state of its TPM, and
// its folder.
func EndDrill(ctx context.Context, host Drills, uri, uuid, folder string) error {
	if !strings.HasPrefix(filepath.Base(folder), drillPrefix) {
		return fmt.Errorf("%s is no folder of a drill", folder)
	}
	if len(uuid) != 36 || strings.Trim(uuid, "0123456789abcdef-") != "" { // it becomes the name of a folder
		return fmt.Errorf("%q is no UUID", uuid)
	}
	if err := host.Destroy(ctx, uuid); err != nil {
		return err
	}
	if own, err := tpmFolder(uri, uuid, ""); err == nil { // else it got none
		if err := os.RemoveAll(own); err != nil {
			return err
		}
	}
	return os.RemoveAll(folder)
}

// drillPrefix begins the names of the folders of drills.
const drillPrefix = "vbk-drill-"

// boot starts the machine, waits, and destroys it whatever happened.
func (d Drill) boot(ctx context.Context, host Drills, doc, console string, result *Drilled, served chan error) (err error) {
	began := d.Now()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
		defer cancel()
		err = errors.Join(err, host.Destroy(ctx, d.UUID))
		said, _ := os.ReadFile(console) // it may have said nothing
		result.Console = said[max(0, len(said)-consoleEnd):]
	}()
	if err := start(ctx, host, doc); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		booted, err := d.booted(ctx, host, console)
		if booted {
			result.Took = d.Now().Sub(began)
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case err := <-served:
			served <- nil
			return fmt.Errorf("serve the disks: %w", err)
		case <-ctx.Done():
			return &NotBootedError{fmt.Errorf("the machine has not booted: %w", context.Cause(ctx))}
		}
	}
}

// start waits for libvirt also when ctx ends: a start that is given up goes on, and
// its machine would outlive us.
func start(ctx context.Context, host Drills, doc string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTime)
	defer cancel()
	return host.StartTransient(ctx, doc)
}

// consoleEnd is how much of the console's end is told, bytes.
const consoleEnd = 2000

func (d Drill) booted(ctx context.Context, host Drills, console string) (bool, error) {
	found, err := host.Domain(ctx, d.UUID)
	if errors.Is(err, virt.ErrNoDomain) {
		return false, &NotBootedError{errors.New("the machine ended by itself before it had booted")}
	}
	if err != nil || d.Boot == "" {
		return err == nil && found.Agent, err
	}
	said, err := os.ReadFile(console)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return bytes.Contains(said, []byte(d.Boot)), err
}

// definition is what the machine is for the drill.
func (d Drill) definition(p RestorePoint, folder drillFolder, result *Drilled) (string, error) {
	doc, err := p.XML()
	if err == nil && doc == nil {
		err = errors.New("no definition of the domain is stored with the point")
	}
	if err != nil {
		return "", err
	}
	serial, agent := virt.Ports(string(doc))
	switch {
	case !serial && !agent:
		return "", &hintError{errors.New("the machine has neither a serial port nor a channel for a guest agent: nothing would tell that it has booted"),
			"virsh edit adds <serial type='pty'/>, and the next point has it"}
	case d.Boot == "" && !agent:
		return "", &hintError{errors.New("the machine has no channel for a guest agent"), "-wait boot waits for a text on its console"}
	case d.Boot != "" && !serial:
		return "", &hintError{errors.New("the machine has no serial port"), "-wait agent waits for its guest agent"}
	}
	targets, err := chooseDisks(p.Targets(), nil)
	if err != nil {
		return "", err
	}
	w := virt.Rewriting{Name: d.Name, UUID: d.UUID, Trust: d.Trust, Isolated: true, Console: folder.file("console"),
		Disks: map[string]virt.Image{}, Files: map[string]string{}}
	for _, t := range targets {
		w.Disks[t] = virt.Image{Path: t, Format: "raw", Socket: folder.file("nbd")}
	}
	for _, what := range extraNames {
		if what == tpmFile { // libvirt keeps it, see lendTPM
			continue
		}
		data, err := p.Extra(what)
		if err == nil && data != nil {
			w.Files[what] = folder.file(what)
			err = errors.Join(os.WriteFile(w.Files[what], data, 0o600), folder.give(what))
		}
		if err != nil {
			return "", err
		}
	}
	fresh := w.Files["nvram"] == ""
	w.Files["nvram"] = folder.file("nvram") // else libvirt would make some where they stay
	rewritten, changes, err := virt.Rewrite(string(doc), w)
	if named, _ := virt.HostFiles(string(doc)); fresh && named["nvram"] != "" {
		changes = append(changes, "firmware's variables: new ones, the point does not hold them")
	}
	result.Changes = changes
	return rewritten, trustHint(err)
}

// drillFolder is a folder that belongs to QEMU's user.
type drillFolder struct {
	path     string
	uid, gid int
}

func (d Drill) folder(ctx context.Context, host Drills) (f drillFolder, err error) {
	if f.uid, f.gid, err = host.QEMUUser(ctx); err != nil {
		return f, err
	}
	if f.path, err = os.MkdirTemp(d.Scratch, drillPrefix); err != nil {
		return f, fmt.Errorf("make folder for the drill: %w", err)
	}
	return f, f.give("")
}

func (f drillFolder) file(name string) string { return filepath.Join(f.path, name) }

// give makes a file QEMU's.
func (f drillFolder) give(name string) error {
	if err := os.Chown(f.file(name), f.uid, f.gid); err != nil {
		return fmt.Errorf("give it to QEMU's user: %w", err)
	}
	return nil
}
