package vbk_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pageLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestLinksResolve: what the pages link to in this repository is there, headings
// included.
func TestLinksResolve(t *testing.T) {
	pages := []string{"README.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "examples/*/*.md", "bench/*.md", "packaging/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	seen := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pageLink.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if anchor != "" && !anchors(t, target)[anchor] {
				t.Errorf("%s links to %s: there is no such heading", page, m[1])
			}
		}
	}
	if seen < 50 {
		t.Errorf("found only %d links in %v", seen, pages)
	}
}

// TestReadmeNamesAll: the map of documents in README has every page and every
// example.
func TestReadmeNamesAll(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Glob("examples/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range append(pages, examples...) {
		if target != "examples/demo" && !strings.Contains(string(readme), "]("+target+")") {
			t.Errorf("README.md does not link to %s", target)
		}
	}
}

// TestPagesBegin: a page has one title, and says what it is for before anything else:
// a sentence, not a table, a list or another heading. Headings are no questions,
// and have no full stop.
func TestPagesBegin(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if page == "docs/manual.md" { // generated
			continue
		}
		title, rest, _ := strings.Cut(string(text), "\n\n")
		if !strings.HasPrefix(title, "# ") || !regexp.MustCompile("^[A-Z`]").MatchString(rest) {
			t.Errorf("%s does not begin with a title and what it is for", page)
		}
		inFence := false
		for line := range strings.Lines(rest) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				inFence = !inFence
			}
			if strings.HasPrefix(line, "# ") && !inFence {
				t.Errorf("%s has another title: %s", page, line)
			}
			if strings.HasPrefix(line, "#") && !inFence && strings.HasSuffix(line, ".") {
				t.Errorf("%s: the heading %q is a sentence", page, line)
			}
		}
	}
}

// others are the programs whose words docs/troubleshooting.md quotes, besides vbk.
var others = []string{"/usr/lib*/*/libvirt.so.0", "/usr/lib*/*/libvirt/connection-driver/libvirt_driver_qemu.so", "/usr/bin/qemu-system-x86_64"}

// TestAppArmorRule: the rule of docs/guarantees.md is one, in the place that it names.
func TestAppArmorRule(t *testing.T) {
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skip(err)
	}
	page, err := os.ReadFile("docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile("`/etc/apparmor.d/(local/[^`]+)`\n\n```text\n([^`]+)```").FindSubmatch(page)
	if place == nil {
		t.Fatal("docs/guarantees.md has no rule")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("/etc/apparmor.d")); err != nil {
		t.Fatal(err)
	}
	profile := "#include <tunables/global>\nprofile vbk-test {\n  #include <abstractions/libvirt-qemu>\n}\n"
	accept := func(rule string) error {
		if err := os.WriteFile(filepath.Join(dir, string(place[1])), []byte(rule), 0o600); err != nil {
			t.Fatal(err)
		}
		parse := exec.Command(parser, "--base", dir, "--skip-kernel-load", "--skip-cache", "--quiet", "--stdout")
		parse.Stdin = strings.NewReader(profile)
		parse.Stdout = io.Discard
		return parse.Run()
	}
	if err := accept(string(place[2])); err != nil {
		t.Errorf("AppArmor does not take %s: %v", place[2], err)
	}
	if err := accept("no rule"); err == nil {
		t.Errorf("%s is not where the profile reads", place[1])
	}
}

// anchors are the names that GitHub gives to headings.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, m := range pageHeading.FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

// TestTroubleIsReal: what docs/troubleshooting.md says that vbk, libvirt and QEMU say
// stands in the programs or in a test that provoked it.
func TestTroubleIsReal(t *testing.T) {
	var known strings.Builder
	for _, dir := range []string{"cmd/vbk", "cmd/vbk/testdata/script", "executor", "plan", "virt", "virt/libvirt", "virt/virttest", "store", "store/local"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.IsDir() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			known.Write(text)
		}
	}
	for _, pattern := range others {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 && os.Getenv("VBK_REQUIRE_PEERS") != "1" {
			t.Skipf("there is no %s", pattern)
		}
		for _, program := range found {
			text, err := os.ReadFile(program)
			if err != nil {
				t.Fatal(err)
			}
			known.Write(text)
		}
	}
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	varies := regexp.MustCompile(`\.\.\.|/x|/var/tmp/|[0-9][0-9.]*|hv1|vda|"|'[a-z.-]+'|: Permission denied|quiesce: `) // from case to case, or put before it
	seen := 0
	for line := range strings.Lines(string(page)) {
		cell, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !strings.HasPrefix(line, "| `") || !isRow || strings.Contains(cell, "VBK_") {
			continue
		}
		for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			for _, part := range varies.Split(quoted[1], -1) {
				if part = strings.Trim(part, " :,"); len(part) < 8 {
					continue
				}
				if seen++; !strings.Contains(known.String(), part) {
					t.Errorf("nothing says %q of %s", part, quoted[1])
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("found only %d texts", seen)
	}
}

// TestGlossary: its words are in order, and each is used in another page.
func TestGlossary(t *testing.T) {
	glossary, err := os.ReadFile("docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var others strings.Builder
	for _, page := range pages {
		if text, err := os.ReadFile(page); err != nil {
			t.Fatal(err)
		} else if page != "docs/glossary.md" {
			others.Write(bytes.ToLower(text))
		}
	}
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][^|]*) \|`).FindAllStringSubmatch(string(glossary), -1) {
		if m[1] == "word" {
			continue
		}
		words = append(words, m[1])
		for word := range strings.SplitSeq(m[1], ", ") {
			if !strings.Contains(others.String(), word) {
				t.Errorf("no other page has %q", word)
			}
		}
	}
	if len(words) < 40 || !slices.IsSorted(words) {
		t.Errorf("%d words, in order: %v", len(words), slices.IsSorted(words))
	}
}
