package embedtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Write fills n bytes at an offset with a pattern byte, as the guest would.
func (r *Root) Write(t testing.TB, uuid, target string, off, n int64, pattern byte) {
	t.Helper()
	r.io(t, uuid, target, fmt.Sprintf("write -P %d %d %d", pattern, off, n))
}

// WriteZero writes n zero bytes without data (write -z): dirty and zero.
func (r *Root) WriteZero(t testing.TB, uuid, target string, off, n int64) {
	t.Helper()
	r.io(t, uuid, target, fmt.Sprintf("write -z %d %d", off, n))
}

// Discard gives n bytes back; they read as zero.
func (r *Root) Discard(t testing.TB, uuid, target string, off, n int64) {
	t.Helper()
	r.io(t, uuid, target, fmt.Sprintf("discard %d %d", off, n))
}

// io runs one command of qemu-io inside the machine's QEMU.
func (r *Root) io(t testing.TB, uuid, target, command string) {
	t.Helper()
	device := fmt.Sprintf("/machine/peripheral/virtio-disk%d/virtio-backend", target[len(target)-1]-'a')
	line := fmt.Sprintf("qemu-io -d %s \"%s\"", device, command)
	answer, err := qmp(r.socket(uuid), "human-monitor-command", map[string]any{"command-line": line})
	if err != nil {
		t.Fatalf("%s %s: %s: %v", r.machines[uuid].Name, target, command, err)
	}
	var out string
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatalf("%s %s: %s: %v", r.machines[uuid].Name, target, command, err)
	}
	// The monitor hears of a missing device or a bad command. What qemu-io
	// prints about the request itself goes to QEMU's log.
	if out != "" {
		t.Fatalf("%s %s: %s: %s", r.machines[uuid].Name, target, command, strings.TrimSpace(out))
	}
}

// TakeExports lets QEMU have block exports with the ids that libvirt gives to those of
// its next jobs, which then fail when all else of them is done, until free.
func (r *Root) TakeExports(t testing.TB, uuid string) (free func()) {
	t.Helper()
	socket := r.socket(uuid)
	ask := func(command string, arguments map[string]any) {
		t.Helper()
		if _, err := qmp(socket, command, arguments); err != nil {
			t.Fatalf("%s: %s: %v", r.machines[uuid].Name, command, err)
		}
	}
	// libvirt counts nodes, and names exports by them.
	all := func(ask func(id string)) {
		for n := range 60 {
			ask(fmt.Sprintf("libvirt-nbd-libvirt-%d-format", n))
		}
	}
	ask("blockdev-add", map[string]any{"driver": "null-co", "node-name": "taken", "size": 1 << 20})
	all(func(id string) {
		ask("block-export-add", map[string]any{"type": "vhost-user-blk", "id": id, "node-name": "taken",
			"addr": map[string]any{"type": "unix", "path": filepath.Join(filepath.Dir(socket), id)}})
	})
	return func() {
		t.Helper()
		all(func(id string) { ask("block-export-del", map[string]any{"id": id, "mode": "hard"}) })
	}
}

// LeaveBackup lets QEMU have what a libvirt leaves that is killed in the middle of a
// begin: scratch nodes over the disks and an NBD server at socket; if it was killed
// late, block jobs with bitmaps, and exports, too. stop ends the server.
func (r *Root) LeaveBackup(t testing.TB, uuid, socket string, scratch map[string]string, late bool) (stop func()) {
	t.Helper()
	ask := func(command string, arguments map[string]any) json.RawMessage {
		t.Helper()
		answer, err := qmp(r.socket(uuid), command, arguments)
		if err != nil {
			t.Fatalf("%s: %s: %v", r.machines[uuid].Name, command, err)
		}
		return answer
	}
	var nodes []struct {
		Name   string `json:"node-name"`
		File   string `json:"file"`
		Driver string `json:"drv"`
	}
	if err := json.Unmarshal(ask("query-named-block-nodes", map[string]any{"flat": true}), &nodes); err != nil {
		t.Fatal(err)
	}
	ask("nbd-server-start", map[string]any{"addr": map[string]any{"type": "unix", "data": map[string]any{"path": socket}}})
	for target, file := range scratch {
		disk := ""
		for _, n := range nodes {
			if n.File == r.Image(uuid, target) && n.Driver != "file" {
				disk = n.Name
			}
		}
		run(t, "qemu-img", "create", "-q", "-f", "qcow2", file, fmt.Sprint(r.disk(uuid, target).Size))
		info, err := os.Stat(filepath.Dir(file)) // QEMU's
		if err != nil {
			t.Fatal(err)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
		ask("blockdev-add", map[string]any{"driver": "file", "node-name": "left-" + target + "-storage", "filename": file})
		ask("blockdev-add", map[string]any{"driver": "qcow2", "node-name": "left-" + target + "-format", "file": "left-" + target + "-storage", "backing": disk})
		if !late {
			continue
		}
		ask("block-dirty-bitmap-add", map[string]any{"node": disk, "name": "backup-" + target})
		ask("blockdev-backup", map[string]any{"job-id": "backup-" + target + "-" + disk, "device": disk, "target": "left-" + target + "-format", "sync": "none", "auto-dismiss": false})
		ask("block-export-add", map[string]any{"type": "nbd", "id": "left-" + target, "node-name": "left-" + target + "-format", "name": target})
	}
	return func() { t.Helper(); ask("nbd-server-stop", map[string]any{}) }
}

// RemoveBitmap takes a disk's bitmap of a checkpoint away behind libvirt's back.
func (r *Root) RemoveBitmap(t testing.TB, uuid, target, checkpoint string) {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		t.Fatalf("%s %s: remove bitmap %s: %v", r.machines[uuid].Name, target, checkpoint, err)
	}
	answer, err := qmp(r.socket(uuid), "query-named-block-nodes", map[string]any{"flat": true})
	if err != nil {
		fail(err)
	}
	var nodes []struct {
		Name    string `json:"node-name"`
		File    string `json:"file"`
		Bitmaps []struct {
			Name string `json:"name"`
		} `json:"dirty-bitmaps"`
	}
	if err := json.Unmarshal(answer, &nodes); err != nil {
		fail(err)
	}
	removed := false
	for _, node := range nodes {
		for _, bitmap := range node.Bitmaps {
			if node.File != r.Image(uuid, target) || bitmap.Name != checkpoint {
				continue
			}
			if _, err := qmp(r.socket(uuid), "block-dirty-bitmap-remove", map[string]any{"node": node.Name, "name": bitmap.Name}); err != nil {
				fail(err)
			}
			removed = true
		}
	}
	if !removed {
		fail(errors.New("there is none"))
	}
}

// qmp runs one command on a QMP socket and returns what it gives.
func qmp(socket, command string, arguments map[string]any) (answer json.RawMessage, err error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	for _, request := range []map[string]any{{"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}} {
		if err := out.Encode(request); err != nil {
			return nil, err
		}
		for answered := false; !answered; {
			var m struct {
				Return json.RawMessage
				Error  *struct{ Desc string }
			}
			if err := in.Decode(&m); err != nil {
				return nil, err
			}
			if m.Error != nil {
				return nil, fmt.Errorf("%s: %s", request["execute"], m.Error.Desc)
			}
			answered = m.Return != nil // not the greeting, not an event
			answer = m.Return
		}
	}
	return answer, nil
}
