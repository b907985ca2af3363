//go:build cgo

package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"vbk/virt"
)

// EndLeftover ends what QEMU still has of a backup job that libvirt does not know,
// because it was killed in the middle of BeginBackup: NBD server, block jobs and their
// bitmaps, scratch nodes. It is ours only if a node of this QEMU has a file in folder;
// else nothing is touched, and the answer is false. Beside a job it is virt.ErrBusy. libvirt has no
// call for it: QEMU is asked directly, which marks the domain as tainted (custom-monitor).
func (h *Host) EndLeftover(ctx context.Context, uuid, folder string) (ended bool, err error) {
	const what = "end leftover of a backup job of domain"
	ended, err = withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (bool, error) {
		if stats, err := d.GetJobStats(0); err == nil && stats.Type != libvirt.DOMAIN_JOB_NONE {
			return false, fmt.Errorf("%w: %s, not a leftover", virt.ErrBusy, operation(stats))
		}
		nodes, err := nodesIn(d, folder)
		if len(nodes) == 0 || err != nil {
			return false, err
		}
		return true, stopServer(d)
	})
	if !ended || err != nil {
		return false, err
	}
	if err := h.wait(ctx, what, uuid, dismissBackups); err != nil {
		return false, err
	}
	_, err = withDomain(ctx, h, what, uuid, func(d *libvirt.Domain) (struct{}, error) {
		return struct{}{}, errors.Join(removeJobBitmaps(d), removeNodes(d, folder))
	})
	return true, err
}

// blockNode is one of query-named-block-nodes.
type blockNode struct {
	Name    string `json:"node-name"`
	File    string `json:"file"`
	Bitmaps []struct {
		Name       string `json:"name"`
		Persistent bool   `json:"persistent"`
	} `json:"dirty-bitmaps"`
}

func nodes(d *libvirt.Domain) (all []blockNode, err error) {
	return all, monitor(d, "query-named-block-nodes", map[string]any{"flat": true}, &all)
}

// nodesIn are the nodes whose file is in folder; QEMU may describe it in JSON.
func nodesIn(d *libvirt.Domain, folder string) ([]blockNode, error) {
	all, err := nodes(d)
	return slices.DeleteFunc(all, func(n blockNode) bool { return !strings.Contains(n.File, folder+"/") }), err
}

// stopServer ends the NBD server with its exports, and tells the backup jobs to end.
func stopServer(d *libvirt.Domain) error {
	if err := monitor(d, "nbd-server-stop", nil, nil); err != nil && !strings.Contains(err.Error(), "not running") {
		return err
	}
	var jobs []struct{ Type, Device string }
	if err := monitor(d, "query-block-jobs", nil, &jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Type == "backup" {
			if err := monitor(d, "block-job-cancel", map[string]any{"device": j.Device, "force": true}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// dismissBackups dismisses the backup jobs that have ended; true if there are others.
func dismissBackups(d *libvirt.Domain) (pending bool, err error) {
	var jobs []struct{ Type, ID, Status string }
	if err := monitor(d, "query-jobs", nil, &jobs); err != nil {
		return false, err
	}
	for _, j := range jobs {
		switch {
		case j.Type != "backup":
		case j.Status == "concluded":
			if err := monitor(d, "job-dismiss", map[string]any{"id": j.ID}, nil); err != nil {
				return false, err
			}
		default:
			pending = true
		}
	}
	return pending, nil
}

// removeJobBitmaps removes the bitmaps that libvirt makes for the time of a job: the
// next one could not make them again.
func removeJobBitmaps(d *libvirt.Domain) error {
	v, err := survey(d)
	if err != nil {
		return err
	}
	all, err := nodes(d)
	if err != nil {
		return err
	}
	for _, n := range all {
		for _, b := range n.Bitmaps {
			mine := slices.ContainsFunc(v.Disks, func(disk virt.Disk) bool { return b.Name == "backup-"+disk.Target })
			if !mine || b.Persistent {
				continue
			}
			if err := monitor(d, "block-dirty-bitmap-remove", map[string]any{"node": n.Name, "name": b.Name}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeNodes removes the nodes that have files in folder, those on others first.
func removeNodes(d *libvirt.Domain, folder string) error {
	var kept error
	for left := -1; ; {
		all, err := nodesIn(d, folder)
		if err != nil || len(all) == 0 {
			return err
		}
		if len(all) == left {
			return fmt.Errorf("QEMU still uses %s: %w", all[0].File, kept)
		}
		left, kept = len(all), nil
		for _, n := range all {
			if err := monitor(d, "blockdev-del", map[string]any{"node-name": n.Name}, nil); err != nil {
				kept = err // by another one: the next round
			}
		}
	}
}

// monitor has QEMU do a command of QMP.
func monitor(d *libvirt.Domain, command string, arguments map[string]any, result any) error {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	answer, err := d.QemuMonitorCommand(string(text), libvirt.DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT)
	if err != nil {
		return fmt.Errorf("%s: %w", command, plain(err))
	}
	var m struct {
		Return json.RawMessage
		Error  *struct{ Desc string }
	}
	if err := json.Unmarshal([]byte(answer), &m); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if m.Error != nil {
		return fmt.Errorf("%s: %s", command, m.Error.Desc)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, result); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}
