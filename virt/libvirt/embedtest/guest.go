package embedtest

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
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
	out, err := qmp(r.socket(uuid), "human-monitor-command", map[string]any{"command-line": line})
	if err != nil {
		t.Fatalf("%s %s: %s: %v", r.machines[uuid].Name, target, command, err)
	}
	// The monitor hears of a missing device or a bad command. What qemu-io
	// prints about the request itself goes to QEMU's log.
	if out != "" {
		t.Fatalf("%s %s: %s: %s", r.machines[uuid].Name, target, command, strings.TrimSpace(out))
	}
}

// qmp runs one command on a QMP socket and returns the string it gives.
func qmp(socket, command string, arguments map[string]any) (string, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	answer := ""
	for _, request := range []map[string]any{{"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}} {
		if err := out.Encode(request); err != nil {
			return "", err
		}
		for answered := false; !answered; {
			var m struct {
				Return json.RawMessage
				Error  *struct{ Desc string }
			}
			if err := in.Decode(&m); err != nil {
				return "", err
			}
			if m.Error != nil {
				return "", fmt.Errorf("%s: %s", request["execute"], m.Error.Desc)
			}
			answered = m.Return != nil // not the greeting, not an event
			_ = json.Unmarshal(m.Return, &answer)
		}
	}
	return answer, nil
}
