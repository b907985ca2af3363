package virt_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vbk/virt"
)

const newUUID = "7d0c5f5e-30a4-4f7b-9d0e-0f3c1e1c9a11"

func rewriting() virt.Rewriting {
	return virt.Rewriting{Name: "web01-restored", UUID: newUUID, Disks: map[string]virt.Image{
		"vda": {Path: "/restore/vda.qcow2", Format: "qcow2"}, "vdb": {Path: "/restore/vdb.qcow2", Format: "qcow2"},
	}}
}

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// TestRewrite rewrites a definition as libvirt prints it, for each way to restore.
func TestRewrite(t *testing.T) {
	doc := readTestdata(t, "machine.xml")
	for name, change := range map[string]func(*virt.Rewriting){
		"restored": func(*virt.Rewriting) {},
		"identity": func(r *virt.Rewriting) {
			r.Name, r.UUID = "", ""
			r.Files = map[string]string{"nvram": "/restore/nvram"}
		},
		"trusted": func(r *virt.Rewriting) { r.Trust = true },
		"drilled": func(r *virt.Rewriting) {
			r.Isolated, r.Console = true, "/drill/console"
			r.Disks = map[string]virt.Image{"vda": {Path: "vda", Format: "raw", Socket: "/drill/nbd"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rewriting()
			change(&r)
			out, changes, err := virt.Rewrite(doc, r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := virt.ParseDomain(out); err != nil {
				t.Error(err)
			}
			golden(t, "machine."+name+".xml", out+"<!--\n"+strings.Join(changes, "\n")+"\n-->\n")
		})
	}
}

// TestRewriteHostile: whatever names something of the host is gone, or refused.
func TestRewriteHostile(t *testing.T) {
	doc := readTestdata(t, "hostile.xml")
	r := rewriting()
	out, changes, err := virt.Rewrite(doc, r)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hostile.restored.xml", out+"<!--\n"+strings.Join(changes, "\n")+"\n-->\n")
	// Everything that the document reaches for has the word evil in it.
	if at := strings.Index(out, "evil"); at >= 0 {
		t.Errorf("it still has: %s", out[max(0, at-200):min(len(out), at+100)])
	}
	for _, path := range regexp.MustCompile(`[">](/[^"<>]+)["<]`).FindAllStringSubmatch(out, -1) {
		if !slices.Contains([]string{"/restore/vda.qcow2", "/restore/vdb.qcow2", "/dev/urandom", "/machine"}, path[1]) {
			t.Errorf("it still names %s", path[1])
		}
	}
	for _, word := range []string{"emulator", "hostdev", "filesystem", "x:commandline", "serial", "interface", "shmem", "rng", "fwcfg", "input", "disk vdc"} {
		if !strings.Contains(strings.Join(changes, "\n"), word) {
			t.Errorf("nobody is told of %s in\n%s", word, strings.Join(changes, "\n"))
		}
	}
	r.Trust = true
	if out, _, err := virt.Rewrite(doc, r); err != nil || strings.Count(out, "evil") < 20 || strings.Contains(out, "/evil/disk") {
		t.Errorf("trusted: %v\n%s", err, out)
	}
}

// TestRewriteKeeps all of a definition that stays inside the machine.
func TestRewriteKeeps(t *testing.T) {
	doc := readTestdata(t, "plain.xml")
	r := rewriting()
	r.Name, r.UUID = "", ""
	r.Files = map[string]string{"nvram": "/restore/nvram"}
	out, changes, err := virt.Rewrite(doc, r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "disk vdb: the definition has none, so it is not attached"; strings.Join(changes, "\n") != want {
		t.Errorf("not as it was: %s", strings.Join(changes, "\n"))
	}
	for _, tag := range regexp.MustCompile(`<([\w-]+)[ />]`).FindAllStringSubmatch(doc, -1) {
		if tag[1] != "backingStore" && !strings.Contains(out, "<"+tag[1]) {
			t.Errorf("%s is gone", tag[1])
		}
	}
}

// TestRewriteRefuses what the machine cannot be without.
func TestRewriteRefuses(t *testing.T) {
	const frame = `<domain type='kvm'><name>a</name><uuid>` + newUUID + `</uuid>%</domain>`
	for part, want := range map[string]string{
		`<os><kernel>/etc/shadow</kernel></os>`:                                               "kernel /etc/shadow",
		`<os><type>hvm</type></os><os><initrd>boot/initrd</initrd></os>`:                      "initrd boot/initrd",
		`<os><loader type='rom'>/home/rom</loader></os>`:                                      "firmware /home/rom",
		`<os><loader type='rom'>/usr/share/../../etc/shadow</loader></os>`:                    "firmware /usr/share/..",
		`<os><loader type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader></os>`:                "firmware /usr/share/OVMF",
		`<os><loader type='pflash' readonly='yes'>/usr/share/OVMF/OVMF_CODE.fd</loader></os>`: "",
		`<os><nvram template='/etc/shadow'>/var/lib/x</nvram></os>`:                           "",
		strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100):                              "levels deep",
		`<b>&evil;</b>`: "entity",
		`<b></c>`:       "",
	} {
		doc := strings.ReplaceAll(frame, "%", part)
		_, _, err := virt.Rewrite(doc, rewriting())
		var unsafe *virt.UnsafeError
		switch {
		case part == "<b></c>":
			if err == nil {
				t.Error("it took what is not XML")
			}
			continue
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v", part, err)
		}
		r := rewriting()
		r.Trust = true
		if _, _, err := virt.Rewrite(doc, r); errors.As(err, &unsafe) {
			t.Errorf("%s, trusted: %v", part, err)
		}
	}
	if _, _, err := virt.Rewrite(`<domain type='lxc'><name>a</name></domain>`, rewriting()); err == nil {
		t.Error("a container was taken for a machine")
	}
}

// TestSelectedFirmware: libvirt 9.0 does not tell where the variables of firmware
// are that it has selected itself; a restored machine is told.
func TestSelectedFirmware(t *testing.T) {
	for _, c := range []struct{ os, rewritten, file string }{
		{`<os firmware='efi'/>`, `<os firmware="efi"><nvram>/restore/nvram</nvram></os>`, "web01_VARS.fd"},
		{`<os firmware='efi'><nvram>/n</nvram></os>`, `<os firmware="efi"><nvram>/restore/nvram</nvram></os>`, "/n"},
		{`<os firmware='efi'><loader stateless='yes'/></os>`, `<os firmware="efi"><loader stateless="yes"/></os>`, ""},
		{`<os firmware='bios'/>`, `<os firmware="bios"/>`, ""},
	} {
		doc := "<domain type='kvm'><name>web01</name>" + c.os + "</domain>"
		if files, err := virt.HostFiles(doc); err != nil || files["nvram"] != c.file {
			t.Errorf("%s: %v %v", c.os, files, err)
		}
		r := rewriting()
		r.Files = map[string]string{"nvram": "/restore/nvram"}
		if rewritten, _, err := virt.Rewrite(doc, r); err != nil || !strings.Contains(flat(rewritten), c.rewritten) {
			t.Errorf("%s becomes %s: %v", c.os, rewritten, err)
		}
		r.Files = nil
		_, changes, err := virt.Rewrite(doc, r)
		if told := strings.Contains(strings.Join(changes, "\n"), "firmware's variables"); err != nil || told != (c.file != "") {
			t.Errorf("%s, not stored: %q %v", c.os, changes, err)
		}
	}
}

// flat is XML without white space between elements.
func flat(doc string) string { return regexp.MustCompile(`>\s+<`).ReplaceAllString(doc, "><") }

func TestHostFiles(t *testing.T) {
	files, err := virt.HostFiles(`<domain><os><kernel>/k</kernel><initrd> /i </initrd><nvram type='file'><source file='/n'/></nvram></os></domain>`)
	if want := map[string]string{"kernel": "/k", "initrd": "/i", "nvram": "/n"}; err != nil || !maps.Equal(files, want) {
		t.Errorf("%v %v", files, err)
	}
}
