package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vbk/virt"
)

// Machine says what a restored domain is to be.
type Machine struct {
	Name  string // "": the old one's, and "-restored"
	UUID  string // a fresh one; "": the machine gets its name, UUID and MAC addresses back
	Trust bool   // its definition may reach out to the host; see virt.Rewrite
}

// Machines is a host on which restored machines are defined. libvirt.Host is one.
type Machines interface {
	Known(ctx context.Context, name, uuid string) ([]virt.Domain, error)
	DomainXML(ctx context.Context, uuid string) (string, error)
	DefineXML(ctx context.Context, doc string) error
	StartDomain(ctx context.Context, uuid string) error
}

// Definition is a machine that can be defined once its disks are restored.
type Definition struct {
	Name, UUID string
	XML        string
	Changes    []string // to what the point holds, each a sentence
	Path       string   // where Write puts it
	replaces   bool     // the machine itself may be defined, shut off
	tpm        []byte   // the state of its TPM; nil: none is stored
}

// Define makes the definition that a machine gets from a point, with the disks
// where r puts them. Nothing is written. What the machine cannot be without and
// may be harmful is a virt.UnsafeError.
func (m Machine) Define(p RestorePoint, r Restoration) (d Definition, err error) {
	doc, err := p.XML()
	if err != nil {
		return d, err
	}
	if doc == nil {
		return d, errors.New("no definition of the domain is stored with the point")
	}
	old, err := virt.ParseDomain(string(doc))
	if err != nil {
		return d, err
	}
	if r.Dir, err = filepath.Abs(r.Dir); err != nil {
		return d, err
	}
	targets, err := chooseDisks(p.Targets(), r.Disks)
	if err != nil {
		return d, err
	}
	w := virt.Rewriting{Name: m.Name, UUID: m.UUID, Disks: map[string]virt.Image{}, Files: map[string]string{}, Trust: m.Trust}
	for _, t := range targets {
		w.Disks[t] = virt.Image{Path: r.path(t), Format: r.Format}
	}
	var tpm []byte
	for _, what := range extraNames {
		data, err := p.Extra(what)
		if err != nil {
			return d, err
		} else if data != nil {
			w.Files[what] = filepath.Join(r.Dir, what)
		}
		if what == tpmFile {
			tpm = data
		}
	}
	if m.UUID != "" && m.Name == "" {
		w.Name = old.Name + "-restored"
	}
	d = Definition{Name: w.Name, UUID: w.UUID, Path: filepath.Join(r.Dir, "restored.xml"), replaces: m.UUID == "", tpm: tpm}
	if d.replaces {
		d.Name, d.UUID = old.Name, old.UUID
	}
	if _, err := os.Lstat(d.Path); err == nil {
		return d, &hintError{fmt.Errorf("%s exists already", d.Path), "restore into another folder with -o"}
	}
	d.XML, d.Changes, err = virt.Rewrite(string(doc), w)
	return d, trustHint(err)
}

// trustHint says what to do about a definition that is not safe.
func trustHint(err error) error {
	var unsafe *virt.UnsafeError
	if errors.As(err, &unsafe) {
		return &hintError{fmt.Errorf("the machine needs %w", err), "if you trust its definition, which a restore writes as domain.xml: -trust-xml"}
	}
	return err
}

// Check wants the name and the UUID to be free on a host. A machine that gets its
// identity back may be defined there, under both, as long as it does not run:
// then it is replaced.
func (d Definition) Check(ctx context.Context, host Machines) (replaced bool, err error) {
	known, err := host.Known(ctx, d.Name, d.UUID)
	if err != nil {
		return false, err
	}
	for _, k := range known {
		same := k.Name == d.Name && k.UUID == d.UUID
		switch {
		case same && d.replaces && k.State == virt.ShutOff:
		case same && d.replaces:
			return false, &hintError{fmt.Errorf("domain %s is %s", k.Name, k.State), "shut it off first, or leave -keep-identity out"}
		case k.Name == d.Name:
			return false, &hintError{fmt.Errorf("a domain %s is there already, with UUID %s", k.Name, k.UUID), "-name gives the restored one another name"}
		default:
			return false, &hintError{fmt.Errorf("domain %s has the UUID %s already", k.Name, k.UUID), "leave -keep-identity out"}
		}
	}
	return len(known) > 0, nil
}

// Write saves the definition beside the disks, for virsh define.
func (d Definition) Write() error {
	return errors.Join(writeSmall(d.Path, []byte(d.XML)), syncDir(filepath.Dir(d.Path)))
}

// Register defines the machine on the host of a URI, after another Check, gives it
// its TPM's state, and starts it if asked. A definition that it replaces is kept
// beside the disks, as replaced.xml.
func (d Definition) Register(ctx context.Context, host Machines, uri string, start bool) error {
	if err := d.enter(ctx, host, uri, d.XML); err != nil || !start {
		return err
	}
	return d.launch(ctx, host)
}

// enter defines the machine by a document of its, and gives it its TPM's state.
func (d Definition) enter(ctx context.Context, host Machines, uri, doc string) error {
	replaced, err := d.Check(ctx, host)
	if err != nil {
		return err
	}
	if replaced {
		old, err := host.DomainXML(ctx, d.UUID)
		if err == nil {
			err = writeSmall(filepath.Join(filepath.Dir(d.Path), "replaced.xml"), []byte(old))
		}
		if err != nil {
			return fmt.Errorf("keep the definition that is replaced: %w", err)
		}
	}
	if err := host.DefineXML(ctx, doc); err != nil {
		return err
	}
	return d.restoreTPM(uri)
}

func (d Definition) launch(ctx context.Context, host Machines) error {
	err := host.StartDomain(ctx, d.UUID)
	if err != nil && strings.Contains(err.Error(), "Permission denied") {
		err = &hintError{err, "QEMU's user must be able to enter " + filepath.Dir(d.Path) + " and the folders above it (chmod o+x), then: virsh start " + d.Name}
	}
	return err
}
