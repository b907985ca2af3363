package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/nbd"
)

func (env *environment) serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "export the disks of a point by NBD", ArgsUsage: "POINT",
		UsageText: "vbk serve POINT [-socket PATH | -listen ADDR] [-writable] [-disk TARGET]\n" +
			"          [-run COMMAND | -while IMAGE]\n" +
			"       vbk serve -i PATH [-until POINT] ...",
		Description: points + "\n\nEach disk is an export of its name. Nothing is ever written to the store: with -writable, what\n" +
			"clients write is kept in temporary files and forgotten at the end. vbk serves until it is\ninterrupted, until COMMAND has ended, or until no qcow2 IMAGE lies on anything any more.\n\n" +
			"  vbk serve web01@latest -socket /run/web01.sock\n" +
			"  vbk serve web01@latest -run \\\n    'guestfish --ro --format=raw -a \"nbd:///vda?socket=$socket\" -i'\n" +
			"  vbk serve -i /mnt/usb/web01-4c1f9d2a -listen localhost:10809\n\n" + pathHelp,
		Flags: []cli.Flag{
			pathFlag(),
			&cli.StringFlag{Name: "until", Usage: "with -i: the `POINT` to serve instead of the newest"},
			&cli.StringFlag{Name: "socket", Usage: "listen on the unix socket `PATH`; default: one in a temporary folder"},
			&cli.StringFlag{Name: "listen", Usage: "listen on `HOST:PORT`; not only on localhost: with -tls"},
			&cli.StringFlag{Name: "tls", Usage: "take server-cert.pem, server-key.pem and, for clients, ca-cert.pem from `DIR`"},
			&cli.StringSliceFlag{Name: "disk", Usage: "only the disk `TARGET`; repeatable"},
			&cli.BoolFlag{Name: "writable", Usage: "let clients write, into temporary files"},
			&cli.StringFlag{Name: "overlays", Usage: "with -writable: make these files in `DIR`", DefaultText: "TMPDIR"},
			&cli.StringSliceFlag{Name: "while", Usage: "end when the qcow2 `IMAGE` stands alone; repeatable: when all do"},
			&cli.StringFlag{Name: "run", Usage: "run `COMMAND` in sh and end with it; it has $uri, $uri_vda and $socket"},
		},
		Action: func(c *cli.Context) error {
			if err := checkServe(c); err != nil {
				return err
			}
			p, err := env.openPoint(c)
			if err != nil {
				return err
			}
			defer p.Close()
			if p.warning != "" {
				env.complain(errors.New("warning: " + p.warning))
			}
			return env.serve(c, p)
		},
	}
}

// servingFailed tells what a client of ours ran into. A panic ended its connection
// alone, and shows in the exit code.
func (env *environment) servingFailed(err error) {
	var bug *nbd.PanicError
	if errors.As(err, &bug) {
		env.buggy.Store(true)
	}
	env.complain(err)
}

// checkServe looks at the arguments alone.
func checkServe(c *cli.Context) error {
	_, err := pointArgument(c)
	switch {
	case err != nil:
		return err
	case c.IsSet("socket") && c.IsSet("listen"):
		return errors.New("flags -socket and -listen exclude each other")
	case c.IsSet("run") && c.IsSet("while"):
		return errors.New("flags -run and -while exclude each other")
	case c.IsSet("overlays") && !c.Bool("writable"):
		return errors.New("flag -overlays belongs to -writable")
	case c.IsSet("tls") && !c.IsSet("listen"):
		return errors.New("flag -tls belongs to -listen")
	}
	return nil
}

func (env *environment) serve(c *cli.Context, p opened) error {
	targets := c.StringSlice("disk")
	for _, t := range targets {
		if all := p.Targets(); !slices.Contains(all, t) {
			return fmt.Errorf("flag -disk: the point %s has no disk %s, only %s", p.name, t, strings.Join(all, ", "))
		}
	}
	if len(targets) == 0 {
		targets = p.Targets()
	}
	images := env.paths(c.StringSlice("while"))
	if len(images) > 0 && !slices.ContainsFunc(images, func(path string) bool { return !missing(path) }) {
		return fmt.Errorf("flag -while: %s is not there", images[0])
	}
	d, err := env.door(c)
	if err != nil {
		return err
	}
	defer d.remove()
	s := executor.Serving{Disks: targets, Listener: d.listener, Exact: p.exact}
	s.Server = nbd.Server{TLS: d.tls, Report: env.servingFailed}
	if c.Bool("writable") {
		s.Overlays = c.String("overlays")
		if s.Overlays == "" {
			s.Overlays = os.TempDir()
		}
	}
	fmt.Fprintf(env.stdout, "Serving %s of %s:\n", p.name, p.when)
	for _, t := range targets {
		fmt.Fprintf(env.stdout, "  %s\n", d.uri(t))
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	var ran error
	done := make(chan struct{})
	env.beside(func() {
		defer close(done)
		switch {
		case c.IsSet("run"):
			defer cancel()
			ran = env.runBeside(ctx, c.String("run"), d, targets)
		case c.IsSet("while"):
			defer cancel()
			executor.AwaitAlone(ctx, images)
		}
	})
	err = p.failed(executor.Serve(ctx, p, s))
	cancel()
	<-done
	return errors.Join(err, ran)
}

// door is where clients come in.
type door struct {
	listener net.Listener
	socket   string // "" if it is TCP
	tls      *tls.Config
	folder   string // made for the socket
}

func (env *environment) door(c *cli.Context) (d door, err error) {
	if address := c.String("listen"); address != "" {
		return d, d.listen(address, env.path(c.String("tls")), c.IsSet("tls"))
	}
	if d.socket = c.String("socket"); d.socket == "" {
		if d.folder, err = os.MkdirTemp("", "vbk-serve-*"); err != nil {
			return d, fmt.Errorf("make folder for the socket: %w", err)
		}
		d.socket = filepath.Join(d.folder, "nbd")
	}
	d.socket = env.path(d.socket)
	if n := len(d.socket); n > longestSocket {
		d.remove()
		return d, fmt.Errorf("flag -socket: %s has %d bytes, and the path of a socket has at most %d", d.socket, n, longestSocket)
	}
	if d.listener, err = net.Listen("unix", d.socket); err != nil {
		d.remove()
		return d, mendListening(err, "unix", d.socket)
	}
	if err := os.Chmod(d.socket, 0o600); err != nil {
		return d, errors.Join(err, d.listener.Close())
	}
	return d, nil
}

func (d *door) listen(address, dir string, secure bool) (err error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("flag -listen: %w", err)
	}
	if ip := net.ParseIP(host); !secure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return hint(fmt.Errorf("flag -listen: who can reach %s could read the disks", address), "add -tls DIR, or listen on localhost and forward it by ssh -L")
	}
	if secure {
		if d.tls, err = readTLS(dir); err != nil {
			return fmt.Errorf("flag -tls: %w", err)
		}
	}
	d.listener, err = net.Listen("tcp", address)
	return mendListening(err, "tcp", address)
}

// longestSocket is the longest path of a unix socket, bytes (unix(7)).
const longestSocket = 107

// mendListening adds to an error what to do about it.
func mendListening(err error, network, at string) error {
	switch unix := network == "unix"; {
	case errors.Is(err, syscall.EADDRINUSE) && unix:
		return hint(err, "fuser -v %s shows who listens there; if nobody does: rm %s", at, at)
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(at) // it was taken apart before
		return hint(err, "ss -ltnp 'sport = :%s' shows who listens there; -listen localhost:0 takes a free port", port)
	case errors.Is(err, os.ErrNotExist) && unix:
		return hint(err, "mkdir -p %s", filepath.Dir(at))
	case err != nil && !unix:
		return fmt.Errorf("flag -listen: %w", err)
	}
	return mended(err, filepath.Dir(at))
}

// readTLS reads certificates under the names that QEMU and libvirt give them.
func readTLS(dir string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server-cert.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	authority, err := os.ReadFile(filepath.Join(dir, "ca-cert.pem"))
	if errors.Is(err, os.ErrNotExist) {
		return config, nil
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if err == nil && !config.ClientCAs.AppendCertsFromPEM(authority) {
		err = fmt.Errorf("%s holds no certificate", filepath.Join(dir, "ca-cert.pem"))
	}
	return config, err
}

func (d door) remove() {
	if d.folder != "" {
		_ = os.RemoveAll(d.folder)
	}
}

// uri is how clients name a disk (NBD URI specification).
func (d door) uri(target string) string {
	if d.socket != "" {
		return "nbd+unix:///" + target + "?socket=" + d.socket
	}
	scheme := "nbd"
	if d.tls != nil {
		scheme = "nbds"
	}
	return scheme + "://" + d.listener.Addr().String() + "/" + target
}

// runBeside runs a command that uses what is served.
func (env *environment) runBeside(ctx context.Context, line string, d door, targets []string) error {
	command := exec.CommandContext(ctx, "sh", "-c", line)
	command.Dir, command.Stdout, command.Stderr = env.dir, env.stdout, env.stderr
	command.Env = append(os.Environ(), "uri="+d.uri(targets[0]), "socket="+d.socket)
	for _, t := range targets {
		command.Env = append(command.Env, "uri_"+t+"="+d.uri(t))
	}
	if err := command.Run(); err != nil {
		return failWith(exitFailed, fmt.Errorf("flag -run: %w", err))
	}
	return nil
}
