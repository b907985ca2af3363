package embedtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// virsh is the driver of a detached root: a process for each call.
type virsh struct{ uri string }

func (v virsh) run(args ...string) error {
	_, err := v.output(args...)
	return err
}

func (v virsh) output(args ...string) (string, error) {
	cmd := exec.Command("virsh", append([]string{"-q", "-c", v.uri}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("virsh %s: %v: %s", args[0], exit, strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

func (v virsh) define(xml string) error {
	f, err := os.CreateTemp("", "vbk*.xml")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.WriteString(xml); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return v.run("define", f.Name())
}

func (v virsh) start(uuid string) error { return v.run("start", uuid, "--paused") }
func (v virsh) undefine(uuid string) error {
	return v.run("undefine", uuid, "--checkpoints-metadata", "--nvram")
}

// active asks again where virsh fails: it has been seen to end without a word
// while a QEMU of its root ended.
func (v virsh) active(uuid string) (bool, error) {
	var state string
	var err error
	for range 3 {
		if state, err = v.output("domstate", uuid); err == nil {
			break
		}
	}
	if err != nil && strings.Contains(err.Error(), "failed to get domain") { // one that was undefined while it ran
		return false, nil
	}
	return state != "shut off", err
}
