package executor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
)

// hooked is a world whose hooks write lines into a file.
type hooked struct {
	*world
	t   *testing.T
	log string
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	h := &hooked{world: newWorld(t, t.TempDir(), 1), t: t, log: filepath.Join(t.TempDir(), "log")}
	h.define(map[string]int64{"vda": 1 << 20})
	return h
}

// set makes a hook of a shell script, which has $LOG.
func (h *hooked) set(when, onFail, script string) {
	h.policy().Hooks = append(h.policy().Hooks, config.Hook{When: when, Command: []string{"/bin/sh", "-c", script},
		Env: map[string]string{"LOG": h.log, "TOKEN": "hunter2"}, Timeout: config.Duration(time.Minute), OnFail: onFail})
}

// told is what the hooks have written, and the run's warnings and failures.
func (h *hooked) told() (lines, problems string) {
	h.t.Helper()
	text, err := os.ReadFile(h.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	var all []string
	for _, e := range h.events {
		if e.Kind == executor.Warned || e.Kind == executor.Failed {
			all = append(all, string(e.Kind)+": "+e.Err.Error())
		}
	}
	return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "; "), strings.Join(all, "; ")
}

const tell = `echo "$VBK_HOOK $VBK_DOMAIN $VBK_HOST ${VBK_POINT%%@*} $VBK_KIND $VBK_ERROR" >>"$LOG"`

func TestHooks(t *testing.T) {
	for name, c := range map[string]struct {
		hooks           [][3]string
		broken          bool // the backup fails
		lines, problems string
		points          int
	}{
		"all is well": {[][3]string{{"pre", "abort", tell}, {"post", "warn", tell}, {"fail", "warn", tell}}, false,
			"pre web01 local  full ; post web01 local web01 full", "", 1},
		"pre fails": {[][3]string{{"pre", "abort", tell + "; echo first; echo no: $TOKEN; exit 3"}, {"post", "warn", tell}, {"fail", "warn", tell}}, false,
			`pre web01 local  full ; fail web01 local   hook "pre": exit status 3: no: (from env)`, `failed: hook "pre": exit status 3: no: (from env)`, 0},
		"pre warns": {[][3]string{{"pre", "warn", "exit 3"}, {"post", "warn", tell}}, false,
			"post web01 local web01 full", `warned: hook "pre": exit status 3`, 1},
		"post fails": {[][3]string{{"post", "abort", "exit 4"}, {"fail", "warn", tell}}, false,
			`fail web01 local   hook "post": exit status 4`, `failed: hook "post": exit status 4`, 1},
		"post warns": {[][3]string{{"post", "warn", "exit 4"}, {"fail", "warn", tell}}, false, "", `warned: hook "post": exit status 4`, 1},
		"the backup fails": {[][3]string{{"pre", "abort", tell}, {"post", "warn", tell}, {"fail", "abort", tell + "; exit 5"}}, true,
			"pre web01 local  full ; fail web01 local   it does not begin", `failed: it does not begin; warned: hook "fail": exit status 5`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHooked(t)
			for _, hook := range c.hooks {
				h.set(hook[0], hook[1], hook[2])
			}
			if c.broken {
				h.step = func(op string) error {
					if op == "BeginBackup" {
						return errors.New("it does not begin")
					}
					return nil
				}
			}
			h.run(t.Context(), h.plan(plan.Options{}))
			lines, problems := h.told()
			if lines != c.lines || problems != c.problems {
				t.Errorf("hooks wrote\n%s\nwant\n%s\nproblems\n%s\nwant\n%s", lines, c.lines, problems, c.problems)
			}
			if n := len(h.points()); n != c.points {
				t.Errorf("%d points, want %d", n, c.points)
			}
		})
	}
}

// TestHookTakesTooLong: it is killed with what it started.
func TestHookTakesTooLong(t *testing.T) {
	h := newHooked(t)
	h.set("pre", "abort", "sleep 1000 & echo waiting; wait")
	h.policy().Hooks[0].Timeout = config.Duration(50 * time.Millisecond)
	h.run(t.Context(), h.plan(plan.Options{}))
	if _, problems := h.told(); !strings.Contains(problems, `hook "pre": it took longer than its timeout of 50ms`) {
		t.Error(problems)
	}
}

// TestHookAfterAnInterrupt: what pre stopped is begun again.
func TestHookAfterAnInterrupt(t *testing.T) {
	h := newHooked(t)
	h.set("pre", "abort", tell)
	h.set("fail", "warn", tell)
	ctx, cancel := context.WithCancel(t.Context())
	h.begun = cancel
	h.run(ctx, h.plan(plan.Options{}))
	if lines, _ := h.told(); !strings.HasPrefix(lines, "pre web01 local  full ; fail web01 local") {
		t.Error(lines)
	}
}

// TestInterruptAtTheCommit: an interrupt when all is read makes no point, and is told as
// what it is.
func TestInterruptAtTheCommit(t *testing.T) {
	h := newHooked(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupted by signal: interrupt")
	h.step = func(op string) error {
		if op == "EndBackup" {
			cancel(interrupt)
		}
		return nil
	}
	h.run(ctx, h.plan(plan.Options{}))
	if _, problems := h.told(); problems != "failed: "+interrupt.Error() || len(h.points()) > 0 {
		t.Errorf("%d points, %s", len(h.points()), problems)
	}
}

// TestHookThatChangesTheMachine: the plan has to hold after pre, too.
func TestHookThatChangesTheMachine(t *testing.T) {
	h := newHooked(t)
	h.set("pre", "abort", "true")
	p := h.plan(plan.Options{})
	looks := 0
	h.step = func(op string) error {
		if op == "Domain" {
			if looks++; looks == 3 {
				h.world.host.Resize(uuid, "vda", 2<<20)
			}
		}
		return nil
	}
	h.run(t.Context(), p)
	if _, problems := h.told(); !strings.Contains(problems, "after its pre hook") {
		t.Errorf("looked %d times: %s", looks, problems)
	}
}

// TestHookThatFails: what is told of it can be acted on, and shown on a terminal.
func TestHookThatFails(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain, bare := file("plain", "#!/bin/sh\n", 0o644), file("bare", "exit 1\n", 0o755)
	file("here", "#!/bin/sh\nread x; echo \"in $(pwd -P): '$x'\"; exit 1\n", 0o755)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command        []string
		want, wantHint string // of the error, behind the hook's name
	}{
		"missing":        {[]string{"/nonexistent/hook"}, "run /nonexistent/hook: no such file or directory", "ls -l /nonexistent/hook "},
		"not in PATH":    {[]string{"no-such-program"}, "run no-such-program: it is in no directory of PATH", "name the program with its directory"},
		"not executable": {[]string{plain}, "run " + plain + ": permission denied", "chmod +x " + plain},
		"no script":      {[]string{bare}, "run " + bare + ": exec format error", "sed -i '1i #!/bin/sh' " + bare},
		"relative":       {[]string{"./not-here"}, "run " + filepath.Join(dir, "not-here") + ": no such file", "ls -l "},
		"in its folder":  {[]string{"./here"}, "exit status 1: in " + real + ": ''", ""},
		"escapes":        {[]string{"sh", "-c", `printf '\033[31mred\007\n\033]0;title\007\302\233'; exit 1`}, `exit status 1: \x1b]0;title\a\u009b`, ""},
		"a long line":    {[]string{"sh", "-c", `head -c 300000 /dev/zero | tr '\000' x; echo end; exit 1`}, "exit status 1: ..." + strings.Repeat("x", 297) + "end", ""},
		"much":           {[]string{"sh", "-c", `yes | head -c 3000000; echo end; exit 1`}, "exit status 1: end", ""},
		"a short secret": {[]string{"sh", "-c", `echo "pin $PIN, port 12345"; exit 1`}, "exit status 1: pin (from env), port 12345", ""},
		"killed":         {[]string{"sh", "-c", `kill -9 $$`}, "signal: killed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHooked(t)
			h.policy().Hooks = []config.Hook{{When: "pre", Command: c.command, Env: map[string]string{"PIN": "1234"}, Timeout: config.Duration(time.Minute), OnFail: "abort"}}
			h.bind = func(b *executor.Bindings) { b.Dir = dir }
			h.run(t.Context(), h.plan(plan.Options{}))
			var failed *executor.Event
			for _, e := range h.events {
				if e.Kind == executor.Failed {
					failed = &e
				}
			}
			if failed == nil || !strings.HasPrefix(failed.Err.Error(), `hook "pre": `+c.want) || !strings.HasPrefix(failed.Hint, c.wantHint) || c.wantHint == "" && failed.Hint != "" {
				t.Errorf("failed with %+v", failed)
			}
		})
	}
}

// TestHookLeavesAChild: what a hook leaves running does not hold the backup up.
func TestHookLeavesAChild(t *testing.T) {
	h := newHooked(t)
	h.set("pre", "abort", "sleep 1000 & echo $! >\"$LOG\"")
	h.run(t.Context(), h.plan(plan.Options{}))
	child, problems := h.told()
	if len(h.points()) != 1 || problems != "" {
		t.Errorf("%d points, %s", len(h.points()), problems)
	}
	pid, err := strconv.Atoi(child)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Error(err)
	}
}
