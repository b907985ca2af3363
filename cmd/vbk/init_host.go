package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vbk/config"
	"vbk/plan"
	"vbk/virt"
)

// prepareHost looks whether a host answers as plan and apply ask it, is new enough, and
// has a scratch directory that serves. It returns its machines, and all that is wrong.
func (env *environment) prepareHost(ctx context.Context, h config.Host) (domains []virt.Domain, problems []error) {
	reading, err := env.openHost(ctx, h.URI, true)
	if err != nil {
		return nil, []error{mendConnection(err)}
	}
	defer reading.Close()
	writing, err := env.openHost(ctx, h.URI, false)
	if err != nil {
		problems = append(problems, mendConnection(fmt.Errorf("vbk plan may use libvirt, and vbk apply may not: %w", err)))
		writing = reading
	} else {
		defer writing.Close()
	}
	can, err := writing.Abilities(ctx)
	if err == nil {
		err = ableEnough(can)
	}
	if err != nil {
		problems = append(problems, mendConnection(err))
	}
	if domains, err = reading.Domains(ctx); err != nil {
		return nil, append(problems, mendConnection(err))
	}
	if len(problems) == 0 {
		env.fine("host."+h.Name, "%s answers: libvirt %s, QEMU %s, %s", h.URI, spellVersion(can.Libvirt), spellVersion(can.QEMU), count(len(domains), "machine"))
	}
	free, err := env.tryScratch(h, qemuUsers(can, domains))
	if err != nil {
		return domains, append(problems, fmt.Errorf("scratch_dir: %w", err))
	}
	env.fine("host."+h.Name, "scratch files go to %s, %s free", h.ScratchDir, plan.Bytes(free))
	return domains, problems
}

// The oldest versions whose backups are incremental without being told to: since
// 7.6.0 libvirt has them on, for a QEMU with a stable blockdev-reopen.
const (
	oldestLibvirt = 7_006_000
	oldestQEMU    = 6_001_000
)

func ableEnough(can virt.Abilities) error {
	switch {
	case can.Libvirt < oldestLibvirt:
		return hint(fmt.Errorf("libvirt %s is too old: its backups are not incremental before %s", spellVersion(can.Libvirt), spellVersion(oldestLibvirt)),
			"upgrade the host; virsh version shows what runs")
	case can.QEMU < oldestQEMU:
		return hint(fmt.Errorf("QEMU %s is too old: its backups are not incremental before %s", spellVersion(can.QEMU), spellVersion(oldestQEMU)),
			"upgrade the host, then restart its machines; virsh version shows what runs")
	case can.NoBackup:
		return hint(fmt.Errorf("libvirt %s has no backup jobs with this QEMU %s", spellVersion(can.Libvirt), spellVersion(can.QEMU)),
			"virsh domcapabilities | grep '<backup' shows what libvirt has: upgrade the host, then restart its machines")
	}
	return nil
}

func spellVersion(v uint32) string { return fmt.Sprintf("%d.%d.%d", v/1_000_000, v/1000%1000, v%1000) }

// qemuUser is the user and group of a QEMU.
type qemuUser struct{ uid, gid int }

// qemuUsers are those of the machines that run, and of those that will be started.
func qemuUsers(can virt.Abilities, domains []virt.Domain) map[qemuUser]bool {
	users := map[qemuUser]bool{}
	if can.UID >= 0 {
		users[qemuUser{can.UID, can.GID}] = true
	}
	for _, d := range domains {
		if d.ProcessUID >= 0 {
			users[qemuUser{d.ProcessUID, d.ProcessGID}] = true
		}
	}
	return users
}

var errNotRoot = errors.New("only root can give run folders to QEMU's user")

// isSystem says whether a libvirt is the host's, whose QEMU runs as a user of its own.
func isSystem(uri string) bool { return strings.Contains(uri, "/system") }
