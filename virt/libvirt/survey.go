//go:build cgo

package libvirt

import (
	"context"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// Domain surveys one domain: its definition, the sizes of its disks, its
// checkpoints with the health of their bitmaps, and its job. An unknown UUID is
// virt.ErrNoDomain.
func (h *Host) Domain(ctx context.Context, uuid string) (virt.Domain, error) {
	return withDomain(ctx, h, "survey domain", uuid, survey)
}

func survey(d *libvirt.Domain) (virt.Domain, error) {
	v, err := definition(d)
	if err != nil {
		return virt.Domain{}, err
	}
	for i, disk := range v.Disks {
		// An empty drive or a missing image has no size.
		if info, err := d.GetBlockInfo(disk.Target, 0); err == nil {
			v.Disks[i].Size, v.Disks[i].Allocated = int64(info.Capacity), int64(info.Allocation)
		}
	}
	v.Checkpoints, err = checkpoints(d, v.State.Active())
	if isCode(err, libvirt.ERR_OPERATION_TIMEOUT) {
		// One domain that is held must not hide the others of the host.
		v.Job = &virt.Job{Operation: virt.ClientCall}
		v.Checkpoints, err = checkpoints(d, false)
		return v, err
	}
	if err != nil {
		return virt.Domain{}, err
	}
	readImages(&v)
	if v.State.Active() {
		v.Job, err = activeJob(d, v.Disks)
	}
	return v, err
}

// definition is what libvirt tells without asking QEMU, less the checkpoints.
func definition(d *libvirt.Domain) (virt.Domain, error) {
	doc, err := d.GetXMLDesc(0)
	if err != nil {
		return virt.Domain{}, err
	}
	v, err := virt.ParseDomain(doc)
	if err != nil {
		return virt.Domain{}, err
	}
	state, _, err := d.GetState()
	if err != nil {
		return virt.Domain{}, err
	}
	v.State = stateOf(state)
	return v, nil
}

// outline is a survey that asks QEMU for nothing.
func outline(d *libvirt.Domain) (virt.Domain, error) {
	v, err := definition(d)
	if err == nil {
		v.Checkpoints, _ = checkpoints(d, false) // better without them than not at all
	}
	return v, err
}

func stateOf(s libvirt.DomainState) virt.State {
	switch s {
	case libvirt.DOMAIN_RUNNING, libvirt.DOMAIN_BLOCKED, libvirt.DOMAIN_SHUTDOWN:
		return virt.Running
	case libvirt.DOMAIN_PAUSED:
		return virt.Paused
	case libvirt.DOMAIN_SHUTOFF:
		return virt.ShutOff
	case libvirt.DOMAIN_CRASHED:
		return virt.Crashed
	case libvirt.DOMAIN_PMSUSPENDED:
		return virt.PMSuspended
	}
	return virt.Unknown
}

// checkpoints lists them, parents first. One that vanishes meanwhile is left
// out.
func checkpoints(d *libvirt.Domain, active bool) ([]virt.Checkpoint, error) {
	list, err := d.ListAllCheckpoints(libvirt.DOMAIN_CHECKPOINT_LIST_TOPOLOGICAL)
	if isCode(err, libvirt.ERR_NO_SUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range list {
			list[i].Free()
		}
	}()
	flags := libvirt.DOMAIN_CHECKPOINT_XML_NO_DOMAIN
	if active {
		flags |= libvirt.DOMAIN_CHECKPOINT_XML_SIZE
	}
	var all []virt.Checkpoint
	for i := range list {
		doc, err := list[i].GetXMLDesc(flags)
		if isCode(err, libvirt.ERR_NO_DOMAIN_CHECKPOINT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := virt.ParseCheckpoint(doc, active)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// activeJob looks for a backup job, then for another job of the domain, then
// for a block job of a disk. A block job of type backup without a backup job is
// what a failed begin leaves.
func activeJob(d *libvirt.Domain, disks []virt.Disk) (*virt.Job, error) {
	job, err := backupJob(d)
	if job != nil || err != nil {
		return job, err
	}
	stats, err := d.GetJobStats(0)
	if err == nil && stats.Type != libvirt.DOMAIN_JOB_NONE {
		return &virt.Job{Operation: operation(stats)}, nil
	}
	for _, disk := range disks {
		info, err := d.GetBlockJobInfo(disk.Target, 0)
		if err == nil && info.Type != libvirt.DOMAIN_BLOCK_JOB_TYPE_UNKNOWN {
			return &virt.Job{Operation: blockOperation(info.Type)}, nil
		}
	}
	return nil, nil
}

// backupJob returns the active backup job, nil if there is none.
func backupJob(d *libvirt.Domain) (*virt.Job, error) {
	doc, err := d.BackupGetXMLDesc(0)
	if isCode(err, libvirt.ERR_NO_DOMAIN_BACKUP, libvirt.ERR_OPERATION_INVALID, libvirt.ERR_NO_SUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	job, err := virt.ParseJob(doc)
	return &job, err
}

func operation(stats *libvirt.DomainJobInfo) string {
	names := map[libvirt.DomainJobOperationType]string{
		libvirt.DOMAIN_JOB_OPERATION_START:           "start",
		libvirt.DOMAIN_JOB_OPERATION_SAVE:            "save",
		libvirt.DOMAIN_JOB_OPERATION_RESTORE:         "restore",
		libvirt.DOMAIN_JOB_OPERATION_MIGRATION_IN:    "migration in",
		libvirt.DOMAIN_JOB_OPERATION_MIGRATION_OUT:   "migration out",
		libvirt.DOMAIN_JOB_OPERATION_SNAPSHOT:        "snapshot",
		libvirt.DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: "snapshot revert",
		libvirt.DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE: "snapshot delete",
		libvirt.DOMAIN_JOB_OPERATION_DUMP:            "dump",
		libvirt.DOMAIN_JOB_OPERATION_BACKUP:          "backup",
	}
	if name := names[stats.Operation]; stats.OperationSet && name != "" {
		return name
	}
	return "unknown job"
}

func blockOperation(t libvirt.DomainBlockJobType) string {
	switch t {
	case libvirt.DOMAIN_BLOCK_JOB_TYPE_PULL:
		return "block pull"
	case libvirt.DOMAIN_BLOCK_JOB_TYPE_COPY:
		return "block copy"
	case libvirt.DOMAIN_BLOCK_JOB_TYPE_COMMIT, libvirt.DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT:
		return "block commit"
	case libvirt.DOMAIN_BLOCK_JOB_TYPE_BACKUP:
		return "block backup"
	}
	return "block job"
}

// DomainXML returns the domain's stored definition: what a restore defines
// again. A transient domain has only a live one.
func (h *Host) DomainXML(ctx context.Context, uuid string) (string, error) {
	return withDomain(ctx, h, "read definition of domain", uuid, func(d *libvirt.Domain) (string, error) {
		persistent, err := d.IsPersistent()
		if err != nil {
			return "", err
		}
		if !persistent {
			return d.GetXMLDesc(0)
		}
		return d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
	})
}

// CheckpointXML returns libvirt's whole record of a checkpoint. An unknown name
// is virt.ErrNoCheckpoint.
func (h *Host) CheckpointXML(ctx context.Context, uuid, name string) (string, error) {
	return withDomain(ctx, h, "read checkpoint "+name+" of domain", uuid, func(d *libvirt.Domain) (string, error) {
		c, err := d.CheckpointLookupByName(name, 0)
		if err != nil {
			return "", err
		}
		defer c.Free()
		return c.GetXMLDesc(0)
	})
}
