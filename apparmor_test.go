package vbk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// denied is how a kernel records that a confined QEMU may not bind a socket, from a report
// of a user; only the path is that of a job of ours. Its mask c, to create, is part of
// w in a profile: apparmor.d(5).
const denied = `audit: type=1400 audit(1494398788.071:35): apparmor="DENIED" operation="mknod" profile="libvirt-33a4527b-af6b-4e26-8577-1ef02e69b50a" name="/var/tmp/vbk-1f0c9a3e-0a1b2c3d/nbd" pid=22862 comm="qemu-system-x86" requested_mask="c" denied_mask="c" fsuid=64055 ouid=64055`

// covers asks AppArmor's own library whether the rules of a file allow to write paths.
const covers = `import sys
from apparmor.rule.file import FileRule, FileRuleset
rules = FileRuleset()
for line in open(sys.argv[1]):
    if FileRule.match(line.strip()):
        rules.add(FileRule.parse(line.strip()))
assert len(rules.rules) > 100
for path in sys.argv[2:]:
    print(bool(rules.is_covered(FileRule(path, 'w', None, FileRule.ALL, owner=False))))
`

// TestAppArmorAllows: what Debian's profile denies is allowed with the rule of
// docs/guarantees.md, and nothing beside it. No kernel with AppArmor is needed.
func TestAppArmorAllows(t *testing.T) {
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import apparmor.rule.file").CombinedOutput(); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: python3-apparmor: %v: %s", err, out)
		}
		t.Skipf("python3-apparmor: %s", out)
	}
	profile, err := os.ReadFile("/etc/apparmor.d/abstractions/libvirt-qemu")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile("local/[^`]+`\n\n```text\n([^`]+)```").FindSubmatch(page)
	path := regexp.MustCompile(`name="([^"]+)"`).FindStringSubmatch(denied)
	if rule == nil || path == nil {
		t.Fatal("no rule, or no path")
	}
	for want, text := range map[string]string{"False False False": string(profile), "True False False": string(profile) + "\n" + string(rule[1])} {
		file := filepath.Join(t.TempDir(), "profile")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "-c", covers, file, path[1], filepath.Dir(path[1])+"/other", "/var/tmp/other/nbd").CombinedOutput()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("%s (%v), want %s", got, err, want)
		}
	}
}
