package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detached is a vbk that outlives this one.
type detached struct {
	pid   int
	ended <-chan error
}

// detach starts a vbk that Ctrl-C and the end of the terminal do not reach. What it
// says goes to a file.
func detach(args []string, log string) (d detached, err error) {
	program, err := os.Executable()
	if err != nil {
		return d, err
	}
	out, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return d, err
	}
	defer out.Close()
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = out, out
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return d, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	return detached{command.Process.Pid, ended}, nil
}
