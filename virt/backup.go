package virt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"libvirt.org/go/libvirtxml"
)

// checkpointName keeps to what libvirt, file systems and QEMU agree on. A
// longer name fails half-way and leaves a bitmap behind.
var checkpointName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)

// maxSocketPath is the room in sockaddr_un, less the terminating NUL.
const maxSocketPath = 107

// XML gives the two documents of virDomainBackupBegin. checkpointXML is empty
// if there is no checkpoint to create. A Backup that libvirt would refuse, or
// accept and do something else with, is an error: every target at most once,
// absolute paths, a bitmap for every increment.
func (b Backup) XML() (backupXML, checkpointXML string, err error) {
	if err := b.check(); err != nil {
		return "", "", fmt.Errorf("backup XML: %w", err)
	}
	backup := libvirtxml.DomainBackup{Pull: &libvirtxml.DomainBackupPull{
		Server: &libvirtxml.DomainBackupPullServer{UNIX: &libvirtxml.DomainBackupPullServerUNIX{Socket: b.Socket}},
		Disks:  &libvirtxml.DomainBackupPullDisks{},
	}}
	checkpoint := libvirtxml.DomainCheckpoint{Name: b.Checkpoint, Disks: &libvirtxml.DomainCheckpointDisks{}}
	tracked := func(target string, yes bool) {
		how := map[bool]string{true: "bitmap", false: "no"}[yes]
		checkpoint.Disks.Disks = append(checkpoint.Disks.Disks, libvirtxml.DomainCheckpointDisk{Name: target, Checkpoint: how})
	}
	for _, d := range b.Disks {
		x := d.xml()
		if b.Reuse {
			x.Driver = &libvirtxml.DomainBackupDiskDriver{Type: "qcow2"}
		}
		backup.Pull.Disks.Disks = append(backup.Pull.Disks.Disks, x)
		tracked(d.Target, !d.Untracked)
	}
	for _, target := range b.Others {
		backup.Pull.Disks.Disks = append(backup.Pull.Disks.Disks, libvirtxml.DomainBackupPullDisk{Name: target, Backup: "no"})
		tracked(target, false)
	}
	if backupXML, err = backup.Marshal(); err != nil {
		return "", "", fmt.Errorf("backup XML: %w", err)
	}
	if b.Checkpoint == "" {
		return backupXML, "", nil
	}
	if checkpointXML, err = checkpoint.Marshal(); err != nil {
		return "", "", fmt.Errorf("backup XML: checkpoint %s: %w", b.Checkpoint, err)
	}
	return backupXML, checkpointXML, nil
}

func (d BackupDisk) xml() libvirtxml.DomainBackupPullDisk {
	x := libvirtxml.DomainBackupPullDisk{
		Name:       d.Target,
		Backup:     "yes",
		BackupMode: "full",
		ExportName: d.Target,
		Scratch:    &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: d.Scratch}},
	}
	if d.Secret != "" {
		x.Scratch.Encryption = &libvirtxml.DomainDiskEncryption{Format: "luks", Secrets: []libvirtxml.DomainDiskSecret{{Type: "passphrase", UUID: d.Secret}}}
	}
	if d.Incremental != "" {
		x.BackupMode, x.Incremental, x.ExportBitmap = "incremental", d.Incremental, d.Bitmap
	}
	return x
}

func (b Backup) check() error {
	if len(b.Disks) == 0 {
		return errors.New("no disk takes part")
	}
	if err := checkPath("socket", b.Socket); err != nil {
		return err
	}
	if len(b.Socket) > maxSocketPath {
		return fmt.Errorf("socket %s: %d bytes, a socket's path has at most %d", b.Socket, len(b.Socket), maxSocketPath)
	}
	seen := map[string]bool{}
	once := func(what, name string) error {
		if name == "" || seen[what+name] {
			return fmt.Errorf("%s %q is empty or there twice", what, name)
		}
		seen[what+name] = true
		return nil
	}
	tracked := 0
	for _, d := range b.Disks {
		if err := errors.Join(once("target", d.Target), once("scratch file", d.Scratch), checkPath("scratch file", d.Scratch)); err != nil {
			return err
		}
		if (d.Incremental == "") != (d.Bitmap == "") {
			return fmt.Errorf("disk %s: incremental %q and bitmap %q go together", d.Target, d.Incremental, d.Bitmap)
		}
		if !d.Untracked {
			tracked++
		}
	}
	for _, target := range b.Others {
		if err := once("target", target); err != nil {
			return err
		}
	}
	if b.Checkpoint != "" && (tracked == 0 || !checkpointName.MatchString(b.Checkpoint)) {
		return fmt.Errorf("checkpoint %q: needs a disk, a letter first, and at most 100 of A-Z a-z 0-9 . _ -", b.Checkpoint)
	}
	return nil
}

// checkPath also refuses what encoding/xml would replace in silence.
func checkPath(what, path string) error {
	control := strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0xfffe || r == 0xffff })
	if !filepath.IsAbs(path) || control || !utf8.ValidString(path) {
		return fmt.Errorf("%s %q: not an absolute path of printable characters", what, path)
	}
	return nil
}

// jobXML is the part of a <domainbackup> that tells whose job it is.
type jobXML struct {
	XMLName xml.Name `xml:"domainbackup"`
	Mode    string   `xml:"mode,attr"`
	Server  struct {
		Socket string `xml:"socket,attr"`
	} `xml:"server"`
}

// ParseJob reads the XML of an active backup job, as virDomainBackupGetXMLDesc
// gives it. Socket is empty for a push-mode backup or one over TCP.
func ParseJob(doc string) (Job, error) {
	var x jobXML
	if err := xml.Unmarshal([]byte(doc), &x); err != nil {
		return Job{}, fmt.Errorf("parse backup job XML: %w", err)
	}
	return Job{Operation: "backup", Socket: x.Server.Socket}, nil
}
