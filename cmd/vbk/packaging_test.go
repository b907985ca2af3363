package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vbk/config"
)

// TestUnits: what the package's units run is a command line of this program, and
// may write where the defaults lead.
func TestUnits(t *testing.T) {
	services, err := filepath.Glob("../../packaging/systemd/*.service")
	if err != nil || len(services) < 3 {
		t.Fatalf("services %v, error %v", services, err)
	}
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(vbk .*)$`)
	for _, file := range services {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := command.FindSubmatch(text)
		if line == nil {
			t.Fatalf("%s runs nothing", file)
		}
		if _, err := arrange((&environment{}).app(), strings.Fields(string(line[1])), noEnvironment); err != nil {
			t.Errorf("%s: %s: %v", file, line[1], err)
		}
		if timer := strings.TrimSuffix(file, ".service") + ".timer"; !exists(timer) {
			t.Errorf("there is no %s", timer)
		}
	}
	apply, err := os.ReadFile("../../packaging/systemd/vbk@.service")
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, diags := config.Load("../../examples/single", config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, want := range []string{
		" " + cfg.Hosts[0].ScratchDir + " ", "-/srv/backup",
		"KillMode=process\n", // docs/guarantees.md: the guard outlives vbk
	} {
		wantOnPage(t, string(apply), want)
	}
	if strings.Contains(string(apply), "PrivateTmp=yes") {
		t.Error("QEMU does not see the run folders in a private /var/tmp")
	}
}

// TestUnitsVerify has systemd read the units, with a program in the place of vbk.
func TestUnitsVerify(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skipf("systemd-analyze: %v", err)
	}
	dir := t.TempDir()
	units, err := filepath.Glob("../../packaging/systemd/*")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"verify", "--man=no"}
	for _, file := range units {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, strings.Replace(filepath.Base(file), "@.", "@prod.", 1))
		text = []byte(strings.ReplaceAll(string(text), "/usr/bin/vbk", "/bin/true"))
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
		if strings.HasSuffix(name, ".service") { // exposure of at most 3.5 of 10
			out, err := exec.Command(tool, "security", "--no-pager", "--offline=true", "--threshold=35", name).CombinedOutput()
			if err != nil {
				t.Errorf("%s is open to too much: %v\n%s", filepath.Base(name), err, out)
			}
		}
	}
	cmd := exec.Command(tool, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "vbk") {
			t.Errorf("%s", line)
		}
	}
	if err != nil {
		t.Logf("systemd-analyze: %v\n%s", err, out)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
