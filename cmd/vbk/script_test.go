package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"vbk/virt/libvirt/embedtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("VBK_TEST_PROGRAM") != "" { // see program
		os.Exit(realMain())
	}
	os.Exit(embedtest.Main{M: m}.Run())
}

// TestScripts runs testdata/script. The command vbk of a script is the main
// function of this package with a hypervisor in memory (script_machine_test.go)
// and a clock that stands still. It must exit 0; "exit 3 vbk apply" must
// exit 3.
//
//	vbk ARGS...            as typed
//	exit CODE vbk ARGS...  the same, with another exit code
//	answer TEXT            is what the next vbk reads on its standard input
//	clock +25h             time passes
//	screen 80x24, off      vbk prints to a terminal; what is on it at the end is its stdout
//	styles                 lists what was coloured there
//	start vbk ARGS...      runs until the first byte of a disk is asked for
//	hold 8M [deaf]         ... that many bytes into it; an interrupt does not end deaf reads
//	look [8M] [60x20]      prints the screen when bars tell so many bytes; another size
//	page FILE, next        run the commands of a page of the documentation
//	typed COMMAND          runs a command that stands in a sentence
//	pipeline FILE JOB      runs a job of a CI file of the examples
//	program DIR            puts a vbk there for programs that run it; it knows no hypervisor in memory
//	interrupt [twice]      is Ctrl-C for what start began
//	resume 2               lets it go on when the second survey from now begins
//	finish CODE            lets it go on, and wants its exit code
//
// $EXAMPLES is the folder of the examples. With $CANARY set, no output of vbk may hold that. With $NOT_ROOT set, vbk takes itself for another user's.
//
// In *.vbk.hcl files $WORK is replaced. Paths of flip, truncate and so on may
// be patterns that match one file.
func TestScripts(t *testing.T) {
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("UPDATE_SCRIPTS") == "1",
		Setup:              setUp,
		Condition:          condition,
		Cmds:               scriptCommands(),
	})
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"vbk": runVBK, "exit": runExit, "answer": answer, "clock": passTime, "screen": useScreen, "styles": styles,
		"start": start, "hold": hold, "look": look, "interrupt": interrupt, "finish": finish,
		"machine": machineCommand, "cmp-disk": compareDisk,
		"jq": runJQ, "schema": matchSchema,
		"unpack": unpackPeer, "cmp-peer": comparePeer, "virtnbdrestore": peerRestore, "copy": copyAny,
		"flip": flip, "truncate": truncate, "replace": replaceText,
		"nowhere": nowhere, "umask": setUmask, "private": wantPrivate, "forge": forge,
		"tmpfs": mountTmpfs, "read-only": makeReadOnly, "unmount": unmount, "files": listFiles, "resume": resume, "fill": fill, "loop": attachLoop, "grow": growFile,
		"page": openPage, "next": nextCommand, "program": writeProgram, "typed": runTyped, "pipeline": runPipeline,
	}
}

// inTurn runs scripts one after the other: the command line's library keeps
// its help flag in a variable of the package.
type inTurn struct{ *testing.T }

func (t inTurn) Parallel()     {}
func (t inTurn) Verbose() bool { return testing.Verbose() }

func (t inTurn) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(inTurn{t}) })
}

// theatre is what the commands of one script share.
type theatre struct {
	hosts    map[string]*twin // by URI
	defined  int              // machines
	buggy    bool             // reading a disk panics
	page     *reading         // whose commands are run
	time     clock
	random   *dice
	stdin    string
	columns  int           // of the screen, 0 for none
	lines    int           // of it
	screen   *screen       // of the last vbk
	stage    chan struct{} // closed when reads of disks may go on; nil: they may
	held     int64         // reads from there on wait
	deaf     bool          // an interrupt does not end them
	waiting  chan struct{} // gets one value when a read waits
	running  *play
	surveys  int               // until the stage is opened
	pictures map[string][]byte // disks as machine remember saw them
}

func of(ts *testscript.TestScript) *theatre { return ts.Value("theatre").(*theatre) }

func setUp(e *testscript.Env) error {
	e.Values["theatre"] = &theatre{
		hosts: map[string]*twin{}, pictures: map[string][]byte{},
		time:   clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
		random: &dice{source: rand.NewChaCha8([32]byte{})}, // the same names in every run
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	e.Setenv("EXAMPLES", examples)
	return filepath.WalkDir(e.WorkDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".vbk.hcl") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(text, []byte("$WORK"), []byte(e.WorkDir)), 0o644)
	})
}

func (th *theatre) environment(ts *testscript.TestScript) *environment {
	env := &environment{
		stdin: strings.NewReader(th.stdin), getenv: ts.Getenv, dir: ts.MkAbs("."),
		root: ts.Getenv("NOT_ROOT") == "",
		now:  th.clock, random: th.random,
		openHost: th.openHost, dial: th.dial, detach: th.detach(ts),
		exit: func(int) { panic("a second signal in a script") },
	}
	th.stdin = ""
	if th.screen = nil; th.columns > 0 {
		s, err := openScreen(th.columns, th.lines)
		ts.Check(err)
		th.screen = s
		env.stdout, env.stderr, env.terminal, env.errTerminal, env.size = s.tty, s.tty, true, true, s.size
	}
	return env
}

func (th *theatre) clock() time.Time { return th.time.read() }

// dice is a random source for several goroutines.
type dice struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func (d *dice) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.source.Read(p)
}

func runVBK(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("say exit CODE vbk ... instead of ! vbk ...")
	}
	runExit(ts, false, append([]string{"0", "vbk"}, args...))
}

func runExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "vbk" {
		ts.Fatalf("usage: exit CODE vbk [ARGS...]")
	}
	th := of(ts)
	env := th.environment(ts)
	var printed, heard bytes.Buffer
	if th.screen == nil {
		env.stdout, env.stderr = io.MultiWriter(ts.Stdout(), &printed), io.MultiWriter(ts.Stderr(), &heard)
	}
	defer func() { said.hear(heard.String()) }()
	code := env.main(context.Background(), args[1:])
	if th.screen != nil {
		th.screen.hangUp()
		printed.WriteString(th.screen.text())
		fmt.Fprint(ts.Stdout(), th.screen.text())
	}
	wantCode(ts, code, args[0])
	wantNoCanary(ts, printed.String()+heard.String())
}

func wantCode(ts *testscript.TestScript, got int, want string) {
	if strconv.Itoa(got) != want {
		ts.Fatalf("exit code %d, want %s", got, want)
	}
}

func answer(ts *testscript.TestScript, _ bool, args []string) {
	of(ts).stdin = strings.Join(args, " ") + "\n"
}

func passTime(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: clock +25h")
	}
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	of(ts).time.pass(d)
}

// play is a vbk that runs beside the script.
type play struct {
	stdout, stderr voice
	env            *environment
	signals        chan os.Signal
	heard          <-chan struct{} // closed when it has heard the first one
	code           chan int
	ended          chan struct{} // closed when nothing of it runs any more
}

// voice takes what several goroutines say.
type voice struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (v *voice) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.Write(p)
}

func (v *voice) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.text.String()
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	if neg || len(args) == 0 || args[0] != "vbk" || th.running != nil {
		ts.Fatalf("usage: start vbk [ARGS...], once until finish")
	}
	th.stage, th.waiting = make(chan struct{}), make(chan struct{}, 1)
	p := &play{env: th.environment(ts), signals: make(chan os.Signal, 2), code: make(chan int, 2), ended: make(chan struct{})}
	if th.screen == nil {
		p.env.stdout, p.env.stderr = &p.stdout, &p.stderr
	}
	p.env.exit = func(code int) {
		p.code <- code
		runtime.Goexit()
	}
	ctx, cancel := p.env.heed(context.Background(), p.signals)
	ts.Defer(func() { cancel(nil) })
	p.heard = ctx.Done()
	th.running = p
	go func() {
		defer close(p.ended)
		p.code <- p.env.main(ctx, args)
	}()
	select {
	case <-th.waiting:
	case code := <-p.code:
		ts.Fatalf("vbk ended with %d before it read a disk\n%s%s", code, &p.stdout, &p.stderr)
	}
}

func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 1 && args[1] != "deaf" {
		ts.Fatalf("usage: hold BYTES [deaf]")
	}
	th := of(ts)
	th.held, th.deaf = machine{ts: ts}.bytes(args[0]), len(args) > 1
}

func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	th := of(ts)
	for range 1 + len(args) {
		if th.screen != nil {
			th.screen.interrupt()
		}
		th.running.signals <- os.Interrupt
		<-th.running.heard
	}
}

func resume(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(strings.Join(args, " "))
	ts.Check(err)
	of(ts).surveys = n
}

// surveyed opens the stage as resume said; surveys is -1 from then on.
func (th *theatre) surveyed() {
	if th.surveys > 0 {
		if th.surveys--; th.surveys == 0 {
			th.surveys = -1
			close(th.stage)
		}
	}
}

func finish(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	p := th.running
	if neg || len(args) != 1 || p == nil {
		ts.Fatalf("usage: finish CODE, after start")
	}
	var code int
	if th.deaf { // nothing but a second interrupt ends it
		code = <-p.code
	}
	if th.surveys >= 0 {
		close(th.stage)
	}
	if !th.deaf {
		code = <-p.code
	}
	printed := p.stdout.String()
	if th.screen != nil {
		th.screen.hangUp()
		printed = th.screen.text()
	}
	<-p.ended
	th.stage, th.running, th.surveys, th.held, th.deaf = nil, nil, 0, 0, false
	fmt.Fprint(ts.Stdout(), printed)
	fmt.Fprint(ts.Stderr(), &p.stderr)
	wantCode(ts, code, args[0])
	wantNoCanary(ts, printed+p.stderr.String())
}
