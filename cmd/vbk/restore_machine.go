package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
)

// machines is what restore and drill do to a host.
type machines interface {
	executor.Machines
	executor.Drills
	executor.Recovers
	Unpause(ctx context.Context, uuid string) error
}

const machineHelp = "-define defines the machine on its new disks, under another name and UUID and with new MAC\n" +
	"addresses. Whoever wrote the definition in the backup chose what it names: an emulator, firmware,\ndevices and paths of the host are left out and listed, unless -trust-xml keeps them."

// machineFlags say what becomes of the machine whose disks are restored.
func machineFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: "define", Usage: "define the machine, under another name, UUID and MAC addresses"},
		&cli.BoolFlag{Name: "start", Usage: "with -define: start it"},
		&cli.StringFlag{Name: "name", Usage: "with -define: call it `NAME`", DefaultText: "the old name and -restored"},
		&cli.BoolFlag{Name: "keep-identity", Usage: "with -define: it gets its name, UUID and MAC addresses back"},
	}, hostFlags()...)
}

// hostFlags say where a machine is to be, and what it may do there.
func hostFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "trust-xml", Usage: "keep what reaches out to the host: emulator, host devices, paths"},
		&cli.StringFlag{Name: "host", Usage: "on the host `NAME` of the configuration", DefaultText: "the only one"},
		&cli.StringFlag{Name: "connect", Usage: "on the host that libvirt has at `URI`", DefaultText: "with -i: qemu:///system"},
	}
}

// checkMachine looks at the arguments alone.
func checkMachine(c *cli.Context) error {
	if !c.Bool("define") && !c.Bool("instant") {
		for _, name := range []string{"start", "name", "keep-identity", "trust-xml", "host", "connect"} {
			if c.IsSet(name) {
				return fmt.Errorf("flag -%s belongs to -define", name)
			}
		}
		return nil
	}
	if c.IsSet("name") && (c.Bool("keep-identity") || c.String("name") == "" || strings.ContainsAny(c.String("name"), "/\n")) {
		return errors.New("flag -name: a name without a slash, and not with -keep-identity")
	}
	return checkHost(c)
}

func checkHost(c *cli.Context) error {
	switch {
	case c.IsSet("host") && c.IsSet("connect"):
		return errors.New("flags -host and -connect exclude each other")
	case c.IsSet("host") && c.IsSet("i"):
		return errors.New("flag -host names a host of the configuration, and -i reads none: -connect URI")
	}
	return nil
}

// openMachines opens the host that -host and -connect mean.
func (env *environment) openMachines(c *cli.Context) (hypervisor, string, error) {
	uri := c.String("connect")
	if uri == "" && c.IsSet("i") {
		uri = "qemu:///system"
	}
	if uri == "" {
		cfg, err := env.load()
		if err != nil {
			return nil, "", err
		}
		if uri, err = hostURI(cfg, c.String("host")); err != nil {
			return nil, "", err
		}
	}
	host, err := env.openHost(c.Context, uri, false)
	if err != nil {
		return nil, "", failWith(exitFailed, err)
	}
	return host, uri, nil
}

// hostURI is the URI of a host of the configuration: of the only one, if name is
// empty.
func hostURI(cfg *config.Config, name string) (string, error) {
	var names []string
	for _, h := range cfg.Hosts {
		if h.Name == name || name == "" && len(cfg.Hosts) == 1 {
			return h.URI, nil
		}
		names = append(names, h.Name)
	}
	if name == "" {
		return "", fmt.Errorf("the configuration has the hosts %s: -host names one, or -connect URI", strings.Join(names, ", "))
	}
	return "", fmt.Errorf("flag -host: the configuration has no host %s, only %s", name, strings.Join(names, ", "))
}

// drawUUID draws a random UUID (RFC 9562, version 4).
func drawUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw UUID: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// rebuild is a machine that is defined after its disks are restored.
type rebuild struct {
	executor.Definition
	host  hypervisor // nil: this build has no libvirt
	uri   string
	start bool
}

func (b rebuild) close() {
	if b.host != nil {
		_ = b.host.Close() // nothing is pending on it
	}
}

// machine is what the flags want a machine to be.
func (env *environment) machine(c *cli.Context) (m executor.Machine, err error) {
	m = executor.Machine{Name: c.String("name"), Trust: c.Bool("trust-xml")}
	if !c.Bool("keep-identity") {
		m.UUID, err = drawUUID(env.random)
	}
	return m, err
}

// prepareMachine finds out before hours of work whether the machine can be defined.
func (env *environment) prepareMachine(c *cli.Context, p opened, r executor.Restoration) (b rebuild, err error) {
	m, err := env.machine(c)
	if err != nil {
		return b, err
	}
	b.start = c.Bool("start")
	if b.Definition, err = m.Define(p, r); err != nil {
		return b, failWith(exitFailed, err)
	}
	if !hasLibvirt {
		return b, nil
	}
	if b.host, b.uri, err = env.openMachines(c); err != nil {
		return b, err
	}
	if _, err := b.Check(c.Context, b.host); err != nil {
		return b, failWith(exitFailed, errors.Join(err, b.host.Close()))
	}
	return b, nil
}

// finish defines the machine once its disks are there.
func (b rebuild) finish(c *cli.Context, env *environment) error {
	if err := b.Write(); err != nil {
		return failWith(exitFailed, err)
	}
	fmt.Fprintf(env.stdout, "  %s\n\nThe machine is not quite what it was:\n", b.Path)
	for _, change := range b.Changes {
		fmt.Fprintf(env.stdout, "  %s\n", change)
	}
	if b.host == nil {
		fmt.Fprintf(env.stdout, "\nThis is the static build of vbk, which has no libvirt: virsh define %s\n", b.Path)
		return nil
	}
	if err := b.Register(c.Context, b.host, b.uri, b.start); err != nil {
		return failWith(exitFailed, hint(err, "%s", cmp.Or(hintOf(err), "the definition is in "+b.Path)))
	}
	done := "Defined"
	if b.start {
		done = "Defined and started"
	}
	fmt.Fprintf(env.stdout, "\n%s %s, UUID %s, on %s.\n", done, b.Name, b.UUID, b.uri)
	return nil
}
