package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// shellStart is what a shell reads first: the completion, a prompt that can be
// waited for, and say, which tells what words it was given.
var shellStart = map[string]string{
	"bash": ". %s\nPS1='ready'\"'$ '\"\nsay() { local IFS='|'; printf '\\n<<%%s>>\\n' \"$*\"; }\n",
	"zsh": "autoload -U compinit && compinit -D -u\n. %s\nbindkey -e\nPS1='ready'\"'$ '\"\nsetopt no_nomatch\n" +
		"say() { local IFS='|'; printf '\\n<<%%s>>\\n' \"$*\"; }\n",
}

// inTerminal starts an interactive shell. What it returns types a line and a tab
// into it, and returns the words that the line then has.
func inTerminal(shell string) func(*testing.T, program) func(line string) string {
	return func(t *testing.T, p program) func(string) string {
		home := t.TempDir()
		script := writeCompletion(t, p, shell, home)
		rc := filepath.Join(home, map[string]string{"bash": "rc", "zsh": ".zshrc"}[shell])
		if err := os.WriteFile(rc, fmt.Appendf(nil, shellStart[shell], script), 0o600); err != nil {
			t.Fatal(err)
		}
		args := map[string][]string{"bash": {"--noprofile", "--rcfile", rc, "-i"}, "zsh": {"-d", "-i"}}[shell]
		keyboard, screen := openTerminal(t)
		cmd := exec.Command(shell, args...)
		cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.dir, screen, screen, screen
		cmd.Env = append(os.Environ(), "HOME="+home, "ZDOTDIR="+home, "TERM=dumb", "EDITOR=", "INPUTRC=/dev/null", "PATH="+filepath.Dir(p.path)+":"+os.Getenv("PATH"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := screen.Close(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
		shown := bufio.NewReader(keyboard)
		return func(line string) string {
			awaitShown(t, shown, `ready'\$ '`)
			if _, err := io.WriteString(keyboard, line+"\t\x01say \r"); err != nil {
				t.Fatal(err)
			}
			return awaitShown(t, shown, `<<(.*)>>\r?\n`)[1]
		}
	}
}

// awaitShown reads until what a terminal shows matches.
func awaitShown(t *testing.T, shown *bufio.Reader, pattern string) []string {
	t.Helper()
	wanted := regexp.MustCompile(pattern)
	var seen strings.Builder
	for {
		b, err := shown.ReadByte()
		if err != nil {
			t.Fatalf("%v; the terminal shows %q", err, seen.String())
		}
		seen.WriteByte(b)
		if found := wanted.FindStringSubmatch(seen.String()); found != nil {
			return found
		}
	}
}

// openTerminal makes a terminal: whoever types, and the shell's side.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}

func writeCompletion(t *testing.T, p program, shell, dir string) (path string) {
	t.Helper()
	text, err := p.command("completion", shell).Output()
	path = filepath.Join(dir, "completion")
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// inFish asks fish, which has a command for it, and puts what all that it offers
// begin with in the place of the last word.
func inFish(t *testing.T, p program) func(line string) string {
	script := writeCompletion(t, p, "fish", t.TempDir())
	return func(line string) string { return askFish(t, p, script, line) }
}

func askFish(t *testing.T, p program, script, line string) string {
	cmd := exec.Command("fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]; echo ---; eval string join -- '\\|' $argv[2]", script, line)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "HOME="+t.TempDir(), "PATH="+filepath.Dir(p.path)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	offers, words, _ := strings.Cut(strings.TrimSpace(string(out)), "---\n")
	all := strings.Split(strings.TrimSpace(offers), "\n")
	word, _, _ := strings.Cut(all[0], "\t")
	for _, other := range all {
		for !strings.HasPrefix(other, word) {
			word = word[:len(word)-1]
		}
	}
	if word == "" {
		return words
	}
	return words[:strings.LastIndexByte(words, '|')+1] + strings.ReplaceAll(word, `\`, "")
}

// peerMissing fails where peers are wanted, and skips elsewhere.
func peerMissing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
		t.Fatalf("VBK_REQUIRE_PEERS=1: %s", why)
	}
	t.Skip(why)
}
