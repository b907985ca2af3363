package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
)

func (env *environment) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "check hosts and scratch space, mark new stores, write a starter configuration",
		UsageText:   "vbk init [-from-host URI]",
		Description: "Without a configuration it writes a starter, backup.vbk.hcl. With one it marks each new\nstore with vbk.json (nothing else ever does) and looks whether the hosts answer.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "from-host", Usage: "for the starter: the libvirt `URI` to look at", Value: "qemu:///system"}},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			wrote, err := env.starter(c.Context, c.String("from-host"))
			if err != nil || wrote {
				return err
			}
			cfg, err := env.load()
			if err != nil {
				return err
			}
			return env.prepare(c.Context, cfg)
		},
	}
}

// prepare marks the stores and looks at the hosts, and tells of each.
func (env *environment) prepare(ctx context.Context, cfg *config.Config) error {
	failed := false
	for _, s := range cfg.Stores {
		if err := env.prepareStore(s); err != nil {
			failed = true
			env.complain(hint(fmt.Errorf("%s: %w", s.Address(), err), "%s", hintOf(err)))
		}
	}
	for _, h := range cfg.Hosts {
		if err := env.prepareHost(ctx, h); err != nil {
			failed = true
			env.complain(hint(fmt.Errorf("host.%s: %w", h.Name, err), "%s", hintOf(err)))
		}
	}
	if failed {
		return exit(exitUsage)
	}
	fmt.Fprintln(env.stdout, "\nReady. Next: vbk plan")
	return nil
}

func (env *environment) prepareStore(s config.Store) error {
	if s.Kind != "local" {
		fmt.Fprintf(env.stdout, "%s: left alone: %s\n", s.Address(), s.Pending[0])
		return nil
	}
	marked := "is new, marked"
	opened, err := local.Open(s.Path)
	switch {
	case err == nil:
		marked = "is a store already"
	case errors.Is(err, store.ErrNotMarked), errors.Is(err, fs.ErrNotExist):
		opened, err = local.Init(s.Path, env.now(), env.random)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return hint(err, "mkdir -p %s", filepath.Dir(s.Path))
		}
		return err
	}
	if err := opened.Writable(); err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "%s: %s %s (id %s)\n", s.Address(), s.Path, marked, opened.ID())
	return nil
}

func (env *environment) prepareHost(ctx context.Context, h config.Host) error {
	opened, err := env.openHost(ctx, h.URI, true)
	if err != nil {
		return err
	}
	defer opened.Close()
	domains, err := opened.Domains(ctx)
	if err != nil {
		return err
	}
	info, err := os.Stat(h.ScratchDir)
	if err != nil || !info.IsDir() {
		return hint(fmt.Errorf("scratch_dir %s is no directory", h.ScratchDir), "mkdir -p %s", h.ScratchDir)
	}
	owners := map[[2]int]bool{}
	for _, d := range domains {
		if d.ProcessUID >= 0 {
			owners[[2]int{d.ProcessUID, d.ProcessGID}] = true
		}
	}
	if !env.root && strings.Contains(h.URI, "/system") {
		return hint(errors.New("not root, who alone can give run folders to QEMU's user"), "run vbk as root")
	}
	free, err := tryScratch(h.ScratchDir, owners)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "host.%s: %s answers, %s; scratch files go to %s, %s free\n", h.Name, h.URI, count(len(domains), "domain"), h.ScratchDir, plan.Bytes(free))
	return nil
}

// tryScratch does what a backup does there: it makes a run folder, gives it to each
// of QEMU's users (UID, GID) and removes it. It returns the bytes that are free.
func tryScratch(dir string, owners map[[2]int]bool) (free int64, err error) {
	run, err := os.MkdirTemp(dir, "vbk-init-") // with mode 0700
	switch {
	case errors.Is(err, fs.ErrPermission):
		return 0, hint(fmt.Errorf("scratch_dir: make a run folder: %w", err), "run vbk as root")
	case err != nil:
		return 0, hint(fmt.Errorf("scratch_dir: make a run folder: %w", err), "scratch_dir of the host block names a directory that can be written")
	}
	defer func() { err = errors.Join(err, os.Remove(run)) }()
	for o := range owners {
		if err := os.Chown(run, o[0], o[1]); err != nil {
			return 0, hint(fmt.Errorf("scratch_dir: give a run folder to QEMU's user: %w", err), "run vbk as root")
		}
	}
	var space syscall.Statfs_t
	if err := syscall.Statfs(dir, &space); err != nil {
		return 0, fmt.Errorf("scratch_dir: free space of %s: %w", dir, err)
	}
	return int64(space.Bavail) * space.Bsize, nil
}

// starter writes a first configuration where there is none, with the domains
// that the host has.
func (env *environment) starter(ctx context.Context, uri string) (wrote bool, err error) {
	for _, pattern := range []string{"*.vbk.hcl", "*.vbk.json"} {
		if found, _ := filepath.Glob(filepath.Join(env.dir, pattern)); len(found) > 0 { // the pattern is well formed
			return false, nil
		}
	}
	path := filepath.Join(env.dir, "backup.vbk.hcl")
	names := env.domainNames(ctx, uri)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false, fmt.Errorf("write starter configuration: %w", err)
	}
	_, err = f.WriteString(starterText(uri, names))
	if err = errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("write starter configuration: %w", err)
	}
	fmt.Fprintf(env.stdout, "Wrote %s. Set the path of the store in it, then run vbk init again: it marks the store.\n", path)
	return true, nil
}

// domainNames are the domains on a host; a host that does not answer is told,
// and the starter names an example instead.
func (env *environment) domainNames(ctx context.Context, uri string) []string {
	opened, err := env.openHost(ctx, uri, true)
	if err != nil {
		env.complain(hint(fmt.Errorf("%s does not answer, so the starter names an example: %w", uri, err), "%s", hintOf(err)))
		return nil
	}
	defer opened.Close()
	domains, err := opened.Domains(ctx)
	if err != nil {
		env.complain(err)
		return nil
	}
	var names []string
	for _, d := range domains {
		names = append(names, d.Name)
	}
	return names
}

func starterText(uri string, names []string) string {
	if len(names) == 0 {
		names = []string{"web01"}
	}
	host := ""
	if uri != "qemu:///system" {
		host = fmt.Sprintf("host \"local\" {\n  uri = %q\n}\n\n", uri)
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return fmt.Sprintf(`# What to back up, and how long to keep it. vbk plan shows what follows from it.

%sstore "local" "backup" {
  path = "/srv/backup"
}

domain "machines" {
  match = [%s]
  store = store.local.backup
  retention { keep_daily = 7 }
}
`, host, strings.Join(quoted, ", "))
}
