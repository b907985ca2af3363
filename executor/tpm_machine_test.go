package executor_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/virt/libvirt/embedtest"
)

// TestTPM: a point holds the state of the machine's TPM, and libvirt starts the
// restored machine with it: under another name, and in the place of the old one,
// whose own state is kept.
func TestTPM(t *testing.T) {
	if _, err := exec.LookPath("swtpm"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skip(err)
	}
	m := machineOf(t, "tpm-other", embedtest.DiskSpec{Target: "vda", Size: 1 << 20})
	m.quiet = true
	m.uuid = m.root.Define(t, embedtest.Machine{Name: "tpm", TPM: true, Devices: "<serial type='null'/>", Disks: []embedtest.DiskSpec{{Target: "vda", Size: 1 << 20}}})
	m.config.Domains[0].UUIDs = []string{m.uuid}
	policy := &m.config.Domains[0].Policy
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	if data, err := m.open().Extra("tpm.tar"); data != nil || err != nil {
		t.Errorf("extra { tpm = false } stores %d bytes: %v", len(data), err)
	}
	m.drillTPM("tpm-drill-new", m.open())
	policy.Extra = config.Extra{TPM: true}
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	state := func(uuid string) []byte {
		t.Helper()
		dir := strings.TrimPrefix(m.root.URI(), "qemu:///embed?root=")
		data, err := os.ReadFile(filepath.Join(dir, "lib", "swtpm", uuid, "tpm2", "tpm2-00.permall"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	was := state(m.uuid)
	p := m.open()
	packed, err := p.Extra("tpm.tar")
	if err != nil || !bytes.Contains(packed, was) || len(m.head().Notes) > 0 {
		t.Fatalf("stored are %d bytes, the state has %d: %v %v", len(packed), len(was), err, m.head().Notes)
	}
	m.drillTPM("tpm-drill", p)
	if !bytes.Equal(state(m.uuid), was) {
		t.Error("the drill has touched the original's TPM")
	}
	m.root.Stop(t, m.uuid)
	dirs := 0
	restore := func(machine executor.Machine, change func(string)) string {
		t.Helper()
		dirs++
		r := executor.Restoration{Dir: filepath.Join(m.root.Dir(), fmt.Sprint("restored", dirs)), Format: "qcow2", Enter: true}
		d, err := machine.Define(p, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := executor.Restore(t.Context(), p, r, func(string, int64, int64) {}); err != nil {
			t.Fatal(err)
		}
		change(d.UUID)
		if err := d.Register(t.Context(), m.host, m.root.URI(), false); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(state(d.UUID), was) {
			t.Error("libvirt finds another state than was stored")
		}
		if err := m.host.StartDomain(t.Context(), d.UUID); err != nil {
			t.Fatalf("start with the restored TPM: %v", err)
		}
		if err := m.host.Destroy(context.Background(), d.UUID); err != nil {
			t.Fatal(err)
		}
		if made := m.manufactured(d.Name); made != (d.UUID == m.uuid) {
			t.Errorf("a new TPM was made for %s: %v", d.Name, made)
		}
		return r.Dir
	}
	restore(executor.Machine{Name: "tpm-again", UUID: otherUUID}, func(string) {})
	if err := m.root.Undefine(otherUUID); err != nil {
		t.Fatal(err)
	}
	dir := restore(executor.Machine{}, func(uuid string) {
		file := filepath.Join(strings.TrimPrefix(m.root.URI(), "qemu:///embed?root="), "lib", "swtpm", uuid, "tpm2", "tpm2-00.permall")
		if err := os.WriteFile(file, []byte("what the machine has now"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	kept, err := os.ReadFile(filepath.Join(dir, "replaced-tpm.tar"))
	if err != nil || !bytes.Contains(kept, []byte("what the machine has now")) {
		t.Errorf("the state that was replaced: %d bytes, %v", len(kept), err)
	}
	if _, err := tar.NewReader(bytes.NewReader(kept)).Next(); err != nil {
		t.Error(err)
	}
}

// manufactured says whether swtpm_setup has made a TPM for a machine.
func (m *machine) manufactured(name string) bool {
	m.Helper()
	log, err := os.ReadFile(filepath.Join(strings.TrimPrefix(m.root.URI(), "qemu:///embed?root="), "log", "swtpm", name+"-swtpm.log"))
	if err != nil {
		m.Fatal(err)
	}
	return strings.Contains(string(log), "manufactur")
}

// drillTPM wants the machine of a drill to have the TPM of the point, or a new one if
// it holds none, and to leave nothing of it.
func (m *machine) drillTPM(name string, p executor.ChainPoint) {
	m.Helper()
	ctx, stop := context.WithCancel(m.Context())
	defer stop()
	d := executor.Drill{Name: name, UUID: drillUUID, URI: m.root.URI(), Scratch: m.root.Dir(), Boot: "never said", Now: time.Now, Report: func(err error) { m.Error(err) }}
	result, err := d.Run(ctx, p, peeking{m.host, stop})
	var silent *executor.NotBootedError
	if !errors.As(err, &silent) {
		m.Errorf("%v %v", result, err)
	}
	if stored, err := p.Extra("tpm.tar"); err != nil || m.manufactured(name) != (stored == nil) {
		m.Errorf("the machine of the drill got a new TPM, %d bytes are stored: %v", len(stored), err)
	}
	folder := filepath.Join(strings.TrimPrefix(m.root.URI(), "qemu:///embed?root="), "lib", "swtpm", drillUUID)
	if _, err := os.Lstat(folder); !errors.Is(err, os.ErrNotExist) {
		m.Errorf("%s is left: %v", folder, err)
	}
}
