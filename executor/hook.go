package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vbk/plan"
	"vbk/store"
)

// When hooks run. After a pre that did not fail follows exactly one of post, when
// the point is durable, and fail, whatever happens but the death of vbk itself.
const (
	hookPre  = "pre"
	hookPost = "post"
	hookFail = "fail"
)

// hook is a program that a policy has.
type hook struct {
	command []string
	env     map[string]string // may hold secrets
	timeout time.Duration
	aborts  bool // its failure is that of the backup
}

func hookOf(w plan.Want, when string) (hook, bool) {
	for _, h := range w.Policy.Hooks {
		if h.When == when {
			return hook{h.Command, h.Env, time.Duration(h.Timeout), h.OnFail == "abort"}, true
		}
	}
	return hook{}, false
}

// hook runs the program that the policy has for when, with vars beside what every
// hook gets. It returns the failure of one that aborts, and warns of others. It
// runs to its own timeout even where ctx has ended: what pre stopped, post or fail
// begins again.
func (r *run) hook(ctx context.Context, w plan.Want, when string, vars map[string]string) error {
	h, ok := hookOf(w, when)
	if !ok {
		return nil
	}
	env := map[string]string{
		"VBK_HOOK": when, "VBK_DOMAIN": w.Domain, "VBK_UUID": w.UUID, "VBK_HOST": w.Host.Name, "VBK_URI": w.Host.URI,
		"VBK_STORE": w.Store.Address(), "VBK_ADDRESS": w.Address,
	}
	maps.Copy(env, vars)
	began := r.Now()
	err := runHook(context.WithoutCancel(ctx), r.Dir, h, env)
	r.trace("hook", "address", w.Address, "when", when, "program", h.command[0], "took", r.Now().Sub(began), "error", err)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("hook %q: %w", when, err)
	if h.aborts {
		return err
	}
	r.emit(Event{Kind: Warned, Address: w.Address, Err: err})
	return nil
}

// ready runs the pre hook, and looks again after it: it may have taken minutes.
func (x *instance) ready(ctx context.Context, a plan.Action) error {
	if _, ok := hookOf(x.want, hookPre); !ok {
		return nil
	}
	if err := x.hook(ctx, x.want, hookPre, map[string]string{"VBK_KIND": string(a.Backup.Kind)}); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now, err := x.decide(ctx)
	if err != nil {
		return err
	}
	if _, verdict, why := plan.Check(a, now); verdict != plan.Holds {
		return &StaleError{Why: "after its pre hook: " + why}
	}
	return nil
}

func pointVars(domain, chain string, p store.Point) map[string]string {
	return map[string]string{
		"VBK_POINT": fmt.Sprintf("%s@%s.%d", domain, chain, p.Sequence), "VBK_KIND": string(p.Kind),
		"VBK_STORED_BYTES": strconv.FormatInt(p.Stored(), 10),
	}
}

// failed runs the fail hook of an instance that was to be backed up.
func (r *run) failed(ctx context.Context, i plan.Instance, failure error) {
	if err := r.hook(ctx, i.Want, hookFail, map[string]string{"VBK_ERROR": failure.Error()}); err != nil {
		r.emit(Event{Kind: Warned, Address: i.Want.Address, Err: err}) // more than failed it cannot be
	}
}

// hookOutput bounds what is kept of what a hook prints.
const hookOutput = 4 << 10

// runHook runs a program and what it starts, for as long as it may. The error has
// the end of what it printed, without the values of its own environment, which
// may be secrets.
func runHook(ctx context.Context, dir string, h hook, env map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.command[0], h.command[1:]...)
	cmd.Dir = dir
	cmd.Env = cmd.Environ()
	for _, vars := range []map[string]string{h.env, env} { // the last one counts
		for name, value := range vars {
			cmd.Env = append(cmd.Env, name+"="+strings.ReplaceAll(value, "\x00", ""))
		}
	}
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for vbk
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for children that keep its output open
	err := cmd.Run()
	if cmd.Process == nil && err != nil {
		return notBegun(h.command[0], dir, err)
	}
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("it took longer than its timeout of %s", h.timeout)
	}
	if said := out.lastLine(h.env); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// notBegun says why a program cannot be run, and what to do about it.
func notBegun(program, dir string, err error) error {
	var about *fs.PathError
	if errors.As(err, &about) { // fork/exec
		err = about.Err
	}
	path := program
	if strings.Contains(path, "/") && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	failed := fmt.Errorf("run %s: %w", path, err)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return &hintError{fmt.Errorf("run %s: it is in no directory of PATH", program), "name the program with its directory, or set PATH where vbk is started"}
	case errors.Is(err, fs.ErrNotExist):
		return &hintError{failed, "ls -l " + path + " shows whether it is there; its first line may name an interpreter that is not"}
	case errors.Is(err, fs.ErrPermission):
		return &hintError{failed, "chmod +x " + path}
	case errors.Is(err, syscall.ENOEXEC):
		return &hintError{failed, "sed -i '1i #!/bin/sh' " + path + ", if it is a script of the shell"}
	}
	return failed
}

// tail keeps the end of what is written.
type tail struct{ bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	_, _ = t.Buffer.Write(p) // never fails
	if more := t.Len() - hookOutput; more > 0 {
		t.Next(more)
	}
	return len(p), nil
}

// longestLine bounds what of it is told, bytes: its end.
const longestLine = 300

func (t *tail) lastLine(secrets map[string]string) string {
	text := Masked(strings.TrimSpace(t.String()), slices.Collect(maps.Values(secrets)), "(from env)")
	line := text[strings.LastIndexByte(text, '\n')+1:]
	cut := ""
	if more := len(line) - longestLine; more > 0 {
		line, cut = line[more:], "..."
	}
	quoted := strconv.Quote(strings.ToValidUTF8(line, "?"))
	return cut + quoted[1:len(quoted)-1]
}
