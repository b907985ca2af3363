package executor_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/virt"
	"vbk/virt/libvirt/embedtest"
)

// startup is what the firmware's shell runs: it shows a variable, and sets it. A
// firmware whose variables are new has none to show.
const startup = "setvar Kept -guid 5e0c1f0e-3d1c-4c55-9d0e-0f3c1e1c9a11\r\n" +
	"setvar Kept -guid 5e0c1f0e-3d1c-4c55-9d0e-0f3c1e1c9a11 -nv -bs =0102beef\r\n" +
	"echo firmware: ready\r\n"

const (
	unknown = "Unable to get"
	known   = "01 02 BE EF"
)

// TestUEFI: a point holds the variables of the machine's firmware as they were, a
// restored machine gets them byte for byte, and its firmware starts with them. So
// does that of a drill, on a copy: nothing that it writes lasts.
func TestUEFI(t *testing.T) {
	for _, program := range []string{"mkfs.vfat", "mcopy"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("VBK_REQUIRE_PEERS") != "1" {
			t.Skip(err)
		}
	}
	m := machineOf(t, "uefi-other", embedtest.DiskSpec{Target: "vda", Size: 1 << 20})
	m.quiet = true
	m.uuid = m.root.Define(t, embedtest.Machine{Name: "uefi", UEFI: true, Disks: []embedtest.DiskSpec{{Target: "vda", From: startupDisk(t)}}})
	m.root.Resume(t, m.uuid)
	m.root.WaitConsole(t, m.uuid, "\nfirmware: ready")
	if said := m.root.Console(m.uuid); !bytes.Contains(said, []byte(unknown)) || bytes.Contains(said, []byte(known)) {
		t.Fatalf("the first start says\n%s", said)
	}
	m.config.Domains[0].UUIDs = []string{m.uuid}
	m.config.Domains[0].Policy.Extra = config.Extra{NVRAM: true}
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	vars, was := m.variables(m.uuid)
	p := m.open()
	stored, err := p.Extra("nvram")
	if err != nil || !bytes.Equal(stored, was) || len(m.head().Notes) > 0 {
		t.Fatalf("stored are %d bytes, the firmware has %d: %v %v", len(stored), len(was), err, m.head().Notes)
	}
	started := m.startRestored(p, was)

	drill := executor.Drill{Name: "uefi-drill", UUID: drillUUID, URI: m.root.URI(), Scratch: m.root.Dir(), Boot: known, Now: time.Now, Report: func(err error) { t.Error(err) }}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	result, err := drill.Run(ctx, p, m.host)
	if err != nil || bytes.Contains(result.Console, []byte(unknown)) {
		t.Fatalf("drill: %v\n%s", err, result.Console)
	}
	if now, err := os.ReadFile(vars); err != nil || !bytes.Equal(now, was) {
		t.Errorf("the drill has touched the original's variables: %v", err)
	}
	waitText(t, started, known)

	m.config.Domains[0].Policy.Extra = config.Extra{}
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	drill.Boot = "never said"
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	result, err = drill.Run(ctx, m.open(), peeking{m.host, stop})
	var silent *executor.NotBootedError
	if text := strings.Join(result.Changes, "\n"); !errors.As(err, &silent) || !strings.Contains(text, "firmware's variables: new ones") {
		t.Errorf("drill without variables: %v\n%s", err, text)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(vars), "*drill*")); len(left) > 0 {
		t.Errorf("the drill leaves %v", left)
	}
}

const drillUUID = "7d0c5f5e-30a4-4f7b-9d0e-0f3c1e1c9a12"

// startupDisk is a raw image with a FAT file system that holds startup.nsh.
func startupDisk(t *testing.T) string {
	t.Helper()
	disk, script := filepath.Join(t.TempDir(), "fat.raw"), filepath.Join(t.TempDir(), "startup.nsh")
	if err := os.WriteFile(script, []byte(startup), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"mkfs.vfat", "-C", disk, "4096"}, {"mcopy", "-i", disk, script, "::startup.nsh"}} {
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", line, err, out)
		}
	}
	return disk
}

// variables are the firmware's variables of a machine: their file, and its bytes.
func (m *machine) variables(uuid string) (file string, data []byte) {
	m.Helper()
	doc, err := m.host.DomainXML(m.Context(), uuid)
	if err != nil {
		m.Fatal(err)
	}
	files, err := virt.HostFiles(doc)
	if file = files["nvram"]; file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(strings.TrimPrefix(m.root.URI(), "qemu:///embed?root="), "lib", "qemu", "nvram", file)
	}
	if err == nil {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		m.Fatalf("%v: %s", err, doc)
	}
	return file, data
}

// startRestored restores, defines and starts the machine. It returns the file of
// its console.
func (m *machine) startRestored(p executor.ChainPoint, vars []byte) (console string) {
	m.Helper()
	r := executor.Restoration{Dir: filepath.Join(m.root.Dir(), "restored"), Format: "qcow2", Enter: true}
	d, err := executor.Machine{Name: "uefi-again", UUID: otherUUID}.Define(p, r)
	if err != nil {
		m.Fatal(err)
	}
	if _, err := executor.Restore(m.Context(), p, r, func(string, int64, int64) {}); err != nil {
		m.Fatal(err)
	}
	console = filepath.Join(r.Dir, "console")
	// A pty is what a restored serial port leads to; the test reads a file.
	d.XML = strings.Replace(d.XML, `<serial type="pty">`, `<serial type="file"><source path="`+console+`"/>`, 1)
	if err := d.Register(m.Context(), m.host, m.root.URI(), false); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		if err := m.host.Destroy(context.Background(), otherUUID); err != nil {
			m.Error(err)
		}
		if err := m.root.Undefine(otherUUID); err != nil {
			m.Error(err)
		}
	})
	if file, now := m.variables(otherUUID); file != filepath.Join(r.Dir, "nvram") || !bytes.Equal(now, vars) {
		m.Fatalf("the restored machine's variables are in %s, and others", file)
	}
	if err := m.host.StartDomain(m.Context(), otherUUID); err != nil {
		m.Fatal(err)
	}
	return console
}

// waitText waits until a file holds a text.
func waitText(t *testing.T, file, text string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(2 * time.Minute); ; {
		said, _ := os.ReadFile(file) // none yet
		if bytes.Contains(said, []byte(text)) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s does not say %q:\n%s", file, text, said)
		}
	}
}
