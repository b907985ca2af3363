package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"vbk/config"
	"vbk/executor"
)

func main() {
	os.Exit(realMain())
}

func realMain() int {
	// Of what cannot be recovered, such as no memory, Go makes exit code 2, which
	// means changes; so it ends by SIGABRT.
	debug.SetTraceback("crash")
	env := &environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv,
		root: os.Geteuid() == 0, terminal: term.IsTerminal(int(os.Stdout.Fd())), errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		size: func() (int, int, error) { return term.GetSize(int(os.Stdout.Fd())) },
		now:  time.Now, random: rand.Reader, dial: dialNBD, guard: guard, detach: detach, exit: os.Exit,
	}
	env.openHost = env.openLibvirt
	ctx, stop := env.interruptible(context.Background())
	defer stop()
	return env.main(ctx, os.Args)
}

// terminalSize is how large the terminal is now.
func (env *environment) terminalSize() (width, height int) {
	if env.size == nil {
		return 80, 24
	}
	width, height, err := env.size()
	if err != nil || width < 20 || height < 2 {
		return 80, 24
	}
	return width, height
}

// diagnosticWidth is where explanations on stderr are wrapped.
func (env *environment) diagnosticWidth() int {
	if !env.errTerminal {
		return 80
	}
	width, _ := env.terminalSize()
	return width
}

// dumb says whether the terminal knows neither colours nor a cursor that moves.
func (env *environment) dumb() bool { return env.getenv("TERM") == "dumb" }

// environment is everything outside that a command uses; tests bring their own.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	root           bool                                  // the user is
	terminal       bool                                  // stdout is one
	errTerminal    bool                                  // stderr is one
	size           func() (width, height int, err error) // of the terminal, in characters
	now            func() time.Time
	random         io.Reader
	openHost       func(ctx context.Context, uri string, readOnly bool) (hypervisor, error)
	guard          func(command string, args ...string) (release func() error, err error)
	detach         func(args []string, log string) (detached, error)
	dial           func(ctx context.Context, socket, export, bitmap string) (executor.Export, error)
	exit           func(int)

	color    bool    // on stdout
	errColor bool    // on stderr
	dir      string  // the directory to work in; -chdir changes it
	vars     varArgs // -var and -var-file
	files    config.Files
	bars     atomic.Pointer[bars] // nil while none are on the terminal

	running atomic.Pointer[runView] // nil while nothing is applied

	streams []*stream   // of -json and -json-into
	log     *journal    // nil before it is opened
	buggy   atomic.Bool // a goroutine that served a client ended in a panic
}

// main runs one command line and returns its exit code.
func (env *environment) main(ctx context.Context, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			code = env.bug(p)
		}
		if ctx.Err() != nil {
			code = exitInterrupted
		}
	}()
	began := time.Now()
	err := env.openLog()
	if err == nil {
		err = env.run(ctx, args)
	}
	if err != nil {
		env.complain(err)
	}
	code = codeOf(err)
	if env.buggy.Load() {
		code = graver(code, exitPanic)
	}
	if err := env.closeStreams(); err != nil {
		env.complain(err)
		code = graver(code, exitFailed)
	}
	env.logs().ended(code, time.Since(began))
	if err := env.log.close(); err != nil {
		env.complain(err)
		code = graver(code, exitFailed)
	}
	return code
}

func (env *environment) run(ctx context.Context, args []string) error {
	app := env.app()
	args, err := arrange(app, args, env.getenv)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, args)
}

// bug tells of a panic.
func (env *environment) bug(p any) int {
	if b := env.bars.Load(); b != nil {
		b.pane.still()
	}
	env.logs().Error("internal error", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	fmt.Fprintf(env.stderr, "vbk: internal error: %v\n%s", p, debug.Stack())
	fmt.Fprintf(env.stderr, "vbk: hint: this is a bug in vbk, please report it with the lines above; points that exist are not affected: vbk verify\n")
	return exitPanic
}

// beside runs f in a goroutine of its own. A panic in it ends vbk as one anywhere
// else does: Go's own exit code for it is 2, which means changes.
func (env *environment) beside(f func()) {
	go func() {
		defer func() {
			if p := recover(); p != nil {
				env.exit(env.bug(p))
			}
		}()
		f()
	}()
}

// complain prints an error and its hint, once.
func (env *environment) complain(err error) {
	next := env.unitHint(err)
	if next == "" {
		next = hintOf(err)
	}
	if err.Error() != "" {
		env.tellProblem("error", err.Error(), next)
		env.logs().Error("error", "error", err)
	}
	if b := env.bars.Load(); b != nil {
		b.pane.aside(func() { env.printProblem(err, next) })
		return
	}
	env.printProblem(err, next)
}

func (env *environment) printProblem(err error, next string) {
	paint, text := painter(env.errColor), err.Error()
	who := paint.red("vbk:")
	if strings.HasPrefix(text, "warning: ") {
		who = paint.yellow("vbk:")
	}
	if text != "" {
		fmt.Fprintf(env.stderr, "%s %s\n", who, strings.ReplaceAll(text, "\n", "\n"+who+" ")) // joined errors are several
	}
	if next != "" {
		fmt.Fprintf(env.stderr, "vbk: hint: %s\n", next)
	}
}

// complainOf prints several errors, and a hint that they share once, after the last.
func (env *environment) complainOf(all []error) {
	for n, err := range all {
		if n+1 < len(all) && hintOf(err) == hintOf(all[n+1]) {
			err = errors.New(err.Error())
		}
		env.complain(err)
	}
}

// interruptError is why a command ends before its end.
type interruptError struct{ signal os.Signal }

func (e *interruptError) Error() string { return "interrupted by signal: " + e.signal.String() }

// interruptible cancels the context at the first signal, so that jobs end
// cleanly; the second exits at once.
func (env *environment) interruptible(parent context.Context) (context.Context, func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endings()...)
	// Nobody reads the output any more: what has begun goes on all the same, and
	// writing fails. Go would end the process in the middle of a job.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := env.heed(parent, signals)
	return ctx, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

func (env *environment) heed(parent context.Context, signals <-chan os.Signal) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	env.beside(func() {
		s, ok := <-signals
		if !ok {
			return
		}
		env.announce(fmt.Sprintf("\nvbk: %v: ending cleanly; a second one exits at once\n", s))
		cancel(&interruptError{s})
		if _, ok := <-signals; ok {
			env.lastWords(func() string { return "\n" + wrapped("vbk: "+env.leftBehind(), env.columns(), "  ") + "\n" })
			env.exit(exitInterrupted)
		}
	})
	return ctx, cancel
}

// leftBehind says what an exit at once leaves as it is.
func (env *environment) leftBehind() string {
	v := env.running.Load()
	if v == nil {
		return "stopped at once: what was being written is incomplete"
	}
	all := v.working()
	if len(all) == 0 {
		return "stopped at once: nothing was being done"
	}
	return fmt.Sprintf("left as they are, with backup job, checkpoint, run folder and files: %s; the next vbk apply cleans them up", strings.Join(all, ", "))
}

// endings are the signals that end vbk, but those that whoever started it has
// told it to ignore, as nohup does.
func endings() []os.Signal {
	return slices.DeleteFunc([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}, signal.Ignored)
}

// path is a path from the command line, seen from the directory to work in.
func (env *environment) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(env.dir, p)
}

func (env *environment) paths(all []string) (paths []string) {
	for _, p := range all {
		paths = append(paths, env.path(p))
	}
	return paths
}

func (env *environment) app() *cli.App {
	app := &cli.App{
		Name: "vbk", Usage: "Backups of libvirt virtual machines, declared and reconciled",
		UsageText: "vbk [-chdir DIR] [-no-color] COMMAND [FLAGS] [ARGUMENTS]",
		Writer:    env.stdout, ErrWriter: env.stderr,
		HideHelpCommand: true, HideVersion: true, DisableSliceFlagSeparator: true,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   usageError,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "chdir", Usage: "work in `DIR`", Value: "."},
			&cli.BoolFlag{Name: noColor, Usage: "print without colours; may stand behind the command, too"},
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
		},
		Action: func(c *cli.Context) error { // without a command nothing is backed up
			return errors.Join(cli.ShowAppHelp(c), exit(exitUsage))
		},
		Before: func(c *cli.Context) error {
			env.dir = env.path(c.String("chdir"))
			if info, err := os.Stat(env.dir); err != nil || !info.IsDir() {
				return fmt.Errorf("flag -chdir: %s is no directory", c.String("chdir"))
			}
			colors := !env.dumb() && !c.Bool(noColor) && env.getenv("NO_COLOR") == ""
			env.color, env.errColor = env.terminal && colors, env.errTerminal && colors
			return nil
		},
		Commands: env.commands(),
	}
	for _, command := range app.Commands {
		if loadsConfiguration(command.Name) {
			command.Flags = append(command.Flags, env.vars.flags(env.path)...)
		}
		if action := command.Action; action != nil {
			command.Action = func(c *cli.Context) error {
				env.logs().began(c, env.dir)
				return action(c)
			}
		}
		command.OnUsageError = usageError
		command.HideHelpCommand = true
	}
	setHelp(app)
	return app
}

func (env *environment) commands() []*cli.Command {
	return append(env.guardCommands(),
		env.initCommand(), env.fmtCommand(), env.validateCommand(),
		env.planCommand(), env.surveyCommand(), env.simulateCommand(),
		env.applyCommand(), env.showCommand(), env.statusCommand(), env.listCommand(),
		env.restoreCommand(), env.serveCommand(), env.drillCommand(), env.verifyCommand(), env.importCommand(), env.protectCommand(), env.convertCommand(), env.dumpCommand(), env.versionCommand(), env.completionCommand(), env.manualCommand(), env.completeCommand(),
	)
}

func usageError(_ *cli.Context, err error, _ bool) error { return failWith(exitUsage, err) }
