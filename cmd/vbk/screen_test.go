package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// screen is a pseudo-terminal and what a person would see on it, lines that have
// scrolled away included.
type screen struct {
	keyboard, tty *os.File

	mu     sync.Mutex // of picture
	vt     *vt.Emulator
	synced chan struct{} // gets a value when a mark of sync has been read
	echoed chan struct{} // gets a value when ^C has been read
	over   chan struct{} // closed when all has been read
}

// syncMark is a command of the terminal that does nothing: all that was written
// before it is on the screen when it arrives.
const syncMark = 7001

func openScreen(width, height int) (*screen, error) {
	keyboard, tty, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open a pseudo-terminal: %w", err)
	}
	s := &screen{keyboard: keyboard, tty: tty, vt: vt.NewEmulator(width, height), synced: make(chan struct{}, 1), echoed: make(chan struct{}, 9), over: make(chan struct{})}
	s.vt.RegisterOscHandler(syncMark, func([]byte) bool {
		s.synced <- struct{}{}
		return true
	})
	mode, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return nil, err
	}
	mode.Lflag &^= unix.ISIG // no process is to have the signal, and nothing is to be flushed
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, mode); err != nil {
		return nil, err
	}
	go s.watch()
	return s, s.resize(width, height)
}

// watch draws the picture until nobody has the other end of the terminal any more.
func (s *screen) watch() {
	defer close(s.over)
	buffer, last := make([]byte, 4096), byte(0)
	for {
		n, err := s.keyboard.Read(buffer)
		s.mu.Lock()
		_, _ = s.vt.Write(buffer[:n])
		s.mu.Unlock()
		for _, b := range buffer[:n] {
			if b == 'C' && last == '^' {
				s.echoed <- struct{}{}
			}
			last = b
		}
		if err != nil { // EIO
			return
		}
	}
}

// interrupt is Ctrl-C, until it has been echoed.
func (s *screen) interrupt() {
	if _, err := s.keyboard.WriteString("\x03"); err == nil {
		<-s.echoed
	}
}

func (s *screen) size() (width, height int, err error) {
	height, width, err = pty.Getsize(s.tty)
	return width, height, err
}

func (s *screen) resize(width, height int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vt.Resize(width, height)
	return pty.Setsize(s.tty, &pty.Winsize{Rows: uint16(height), Cols: uint16(width)})
}

// sync returns when all that was written is on the screen.
func (s *screen) sync() {
	select {
	case <-s.over:
	default:
		if _, err := fmt.Fprintf(s.tty, "\x1b]%d;\x07", syncMark); err == nil {
			<-s.synced
		}
	}
}

// hangUp closes the terminal for writers, and returns when all they have written is
// on the screen.
func (s *screen) hangUp() {
	s.tty.Close()
	<-s.over
}

// lines are what is to be seen, without spaces at the ends.
func (s *screen) lines() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.cells() {
		var line strings.Builder
		for _, c := range row {
			line.WriteString(c.Content)
		}
		all = append(all, strings.TrimRight(line.String(), " "))
	}
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

func (s *screen) text() string { return strings.Join(s.lines(), "\n") + "\n" }

func (s *screen) cells() (rows [][]*uv.Cell) {
	row := func(at func(x, y int) *uv.Cell, y int) {
		var cells []*uv.Cell
		for x := range s.vt.Width() {
			if c := at(x, y); c != nil {
				cells = append(cells, c)
			}
		}
		rows = append(rows, cells)
	}
	for y := range s.vt.ScrollbackLen() {
		row(s.vt.ScrollbackCellAt, y)
	}
	for y := range s.vt.Height() {
		row(s.vt.CellAt, y)
	}
	return rows
}

// styles lists what is not plain: "green +", "bold Plan:".
func (s *screen) styles() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range s.cells() {
		last, text := "", ""
		for _, c := range append(row, &uv.Cell{}) {
			style := styleOf(c.Style)
			if style != last && last != "" {
				all = append(all, last+" "+text)
			}
			if style != last {
				last, text = style, ""
			}
			text += c.Content
		}
	}
	return all
}

func styleOf(s uv.Style) string {
	var words []string
	if s.Attrs&uv.AttrBold != 0 {
		words = append(words, "bold")
	}
	if s.Fg != nil {
		for n, name := range []string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"} {
			if fmt.Sprint(s.Fg) == fmt.Sprint(n) {
				words = append(words, name)
			}
		}
	}
	return strings.Join(words, " ")
}

// useScreen is screen WIDTHxHEIGHT: what vbk prints from now on goes to a terminal of
// that size, and what is on it at the end counts as its output; screen off.
func useScreen(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	if len(args) == 1 && args[0] == "off" {
		th.columns, th.lines = 0, 0
		return
	}
	if n, err := fmt.Sscanf(strings.Join(args, " "), "%dx%d", &th.columns, &th.lines); neg || n != 2 || err != nil {
		ts.Fatalf("usage: screen WIDTHxHEIGHT | screen off")
	}
}

// styles prints what was not plain on the screen of the last vbk.
func styles(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	if neg || len(args) > 0 || th.screen == nil {
		ts.Fatalf("usage: styles, after a vbk on a screen")
	}
	fmt.Fprintln(ts.Stdout(), strings.Join(th.screen.styles(), "\n"))
}

// look is look [BYTES] [WIDTHxHEIGHT]: waits until the bars of what start began tell
// of so many bytes, changes the size of the screen, and prints what is on it.
func look(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	if neg || th.running == nil || th.screen == nil {
		ts.Fatalf("usage: look [BYTES] [WIDTHxHEIGHT], after screen and start")
	}
	for _, a := range args {
		var width, height int
		if n, err := fmt.Sscanf(a, "%dx%d", &width, &height); n == 2 && err == nil {
			th.screen.sync()
			ts.Check(th.screen.resize(width, height))
			continue
		}
		want, tick := machine{ts: ts}.bytes(a), time.NewTicker(time.Millisecond)
		for th.running.env.barBytes() < want {
			select {
			case code := <-th.running.code:
				ts.Fatalf("vbk ended with %d\n%s", code, th.screen.text())
			case <-tick.C:
			}
		}
	}
	if b := th.running.env.bars.Load(); b != nil {
		b.redraw()
	}
	th.screen.sync()
	fmt.Fprint(ts.Stdout(), th.screen.text())
}

// barBytes are the bytes that bars have told.
func (env *environment) barBytes() (sum int64) {
	b := env.bars.Load()
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rows {
		sum += r.done
	}
	for _, r := range b.past {
		sum += r.done
	}
	return sum
}

// TestScreen: the picture is what a terminal shows, echoed keys included.
func TestScreen(t *testing.T) {
	s, err := openScreen(20, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(s.tty, "one\ntwo\n\x1b[31mred\x1b[0m and \x1b[1mbold\x1b[0m\nfour\n\x1b[1A\x1b[Jfive\n")
	s.sync()
	s.interrupt()
	s.hangUp()
	if got, want := s.text(), "one\ntwo\nred and bold\nfive\n^C\n"; got != want {
		t.Errorf("the screen shows\n%swant\n%s", got, want)
	}
	if got, want := strings.Join(s.styles(), ", "), "red red, bold bold"; got != want {
		t.Errorf("styles %s, want %s", got, want)
	}
}
