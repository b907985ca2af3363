package virt

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Image is the file of a disk: its absolute path, and "qcow2" or "raw". With a
// Socket it is the export Path of the NBD server there.
type Image struct{ Path, Format, Socket string }

// Rewriting says what the definition of a domain becomes when the domain is
// restored.
type Rewriting struct {
	Name, UUID    string            // new ones; "": name, UUID and MAC addresses stay
	Disks         map[string]Image  // by target; disks that are not here are removed
	Files         map[string]string // by "nvram", "kernel" and "initrd": absolute paths of restored files
	Isolated      bool              // no network, no removable media; the first serial port writes to Console
	Console       string            // absolute path
	Trust         bool              // what reaches out to the host stays
	keepsIdentity bool
}

// UnsafeError says that a definition cannot do without something of the host that
// it names, and which is not known to be harmless.
type UnsafeError struct{ What string }

func (e *UnsafeError) Error() string { return e.What + ": whoever wrote the definition chose it" }

// Rewrite changes a domain's XML and tells in a line each what was removed or
// changed. A definition out of a backup may be a guest owner's or a stranger's,
// and libvirt does with the rights of root what it says: without Trust only what is
// known to stay inside the machine passes, and an emulator, firmware, devices and
// paths of the host go. Where the machine cannot be without, the error is an
// UnsafeError. Security labels go always, so that libvirt chooses.
func Rewrite(doc string, r Rewriting) (rewritten string, changes []string, err error) {
	root, err := parseElement(doc)
	if err != nil {
		return "", nil, fmt.Errorf("parse domain XML: %w", err)
	}
	if root.name != "domain" || root.child("name").content() == "" {
		return "", nil, fmt.Errorf("parse domain XML: <%s> is no domain with a name", root.name)
	}
	r.keepsIdentity = r.UUID == ""
	w := &rewriter{Rewriting: r}
	if t := root.attr("type"); !r.Trust && t != "kvm" && t != "qemu" {
		w.needs("domain type " + t)
	}
	root.unset("id", "xmlns")
	w.identity(root)
	w.unlabel(root)
	if !r.Trust {
		root.keep(w.domainPart)
	}
	for _, os := range root.all("os") {
		w.firmware(os)
	}
	for _, devices := range root.all("devices") {
		devices.keep(w.device)
		w.unspice(devices)
	}
	for target := range r.Disks {
		if !slices.Contains(w.placed, target) {
			w.say("disk %s: the definition has none, so it is not attached", target)
		}
	}
	if !r.Trust {
		w.confine(root, knownDomain())
	}
	if w.err != nil {
		return "", nil, w.err
	}
	return root.String(), w.changes, nil
}

// rewriter collects what is to be told. The first thing that is needed stays.
type rewriter struct {
	Rewriting
	changes []string
	placed  []string // targets of disks
	console bool     // a serial port writes to Console
	err     error
}

func (w *rewriter) say(format string, args ...any) {
	w.changes = append(w.changes, fmt.Sprintf(format, args...))
}

func (w *rewriter) needs(what string) {
	if w.err == nil {
		w.err = &UnsafeError{what}
	}
}

// identity gives the domain its name and takes what another one may have.
func (w *rewriter) identity(root *element) {
	if genid := root.child("genid"); genid != nil { // tells the guest that it has gone back in time
		genid.children = nil
	}
	if w.keepsIdentity {
		return
	}
	w.say("name: %s instead of %s", w.Name, root.child("name").content())
	w.say("UUID: %s instead of %s", w.UUID, root.child("uuid").content())
	root.drop("name", "uuid")
	name, uuid := &element{name: "name"}, &element{name: "uuid"}
	name.fill(w.Name)
	uuid.fill(w.UUID)
	root.children = append([]*element{name, uuid}, root.children...)
	for _, info := range root.all("sysinfo") {
		for _, system := range info.all("system") {
			system.keep(func(e *element) bool { return e.attr("name") != "uuid" }) // must be the domain's
		}
	}
}

// unlabel removes security labels wherever they are.
func (w *rewriter) unlabel(e *element) {
	for _, label := range e.all("seclabel") {
		if t := label.attr("type"); e.name == "domain" && t != "dynamic" {
			w.say("security label of type %s: removed", t)
		}
	}
	e.drop("seclabel")
	for _, c := range e.children {
		w.unlabel(c)
	}
}

// domainPart says whether a part of the domain stays.
func (w *rewriter) domainPart(e *element) bool {
	switch e.name {
	case "os", "devices": // each of their parts is looked at
		return true
	case "title", "description", "metadata": // nobody acts on it
		return true
	case "sysinfo":
		if e.attr("type") != "smbios" {
			return w.remove(e)
		}
	}
	return knownDomain().children[e.name] != nil && !reachesOut(e) || w.remove(e)
}

// remove tells of something that goes.
func (w *rewriter) remove(e *element) bool {
	what := e.name
	for _, name := range []string{"type", "mode", "model"} {
		if v := e.attr(name); v != "" {
			what += " of type " + v
			break
		}
	}
	if p := reach(e); p != "" {
		what += " (" + p + ")"
	}
	w.say("%s: removed", what)
	return false
}

// paths are names of elements and attributes that hold a path of the host, also
// where it does not begin with a slash.
var paths = []string{"path", "file", "dir", "socket", "rendernode", "script", "nodename", "logFile", "tap", "vhost"}

// harmless are paths that libvirt itself writes.
var harmless = []string{"/machine", "/dev/urandom", "/dev/random"}

func reachesOut(e *element) bool { return reach(e) != "" }

// reach is the first path of the host that an element names.
func reach(e *element) string {
	for _, a := range e.attrs {
		if isReach(rawName(a.Name), a.Value) {
			return a.Value
		}
	}
	if text := e.content(); isReach(e.name, text) {
		return text
	}
	for _, c := range e.children {
		if p := reach(c); p != "" {
			return p
		}
		if strings.Contains(c.name, ":") {
			return c.name
		}
	}
	return ""
}

func isReach(name, value string) bool {
	return value != "" && !slices.Contains(harmless, value) && (strings.HasPrefix(value, "/") || slices.Contains(paths, name))
}

// isFirmware says whether a path is one of firmware that a distribution installs.
func isFirmware(p string) bool { return path.Clean(p) == p && strings.HasPrefix(p, "/usr/share/") }

// firmware looks at the parts of <os>.
func (w *rewriter) firmware(os *element) {
	for _, name := range []string{"kernel", "initrd"} {
		for _, e := range os.all(name) {
			if file := w.Files[name]; file != "" {
				e.fill(file)
			} else if !w.Trust {
				w.needs(fmt.Sprintf("%s %s of the host", name, e.content()))
			}
		}
	}
	os.keep(func(e *element) bool {
		switch e.name {
		case "kernel", "initrd", "cmdline":
			return true
		case "nvram":
			return w.nvram(e)
		case "loader":
			readOnly := e.attr("type") != "pflash" || e.attr("readonly") == "yes"
			if text := e.content(); !w.Trust && text != "" && !(isFirmware(text) && readOnly) {
				w.needs("firmware " + text)
			}
			return true
		case "type", "boot", "bootmenu", "bios", "smbios", "firmware":
			return w.Trust || !reachesOut(e) || w.remove(e)
		}
		return w.Trust || w.remove(e)
	})
	if file := w.Files["nvram"]; !selectsVariables(os) {
		return
	} else if file == "" {
		w.say("firmware's variables: libvirt chooses, the point does not hold any")
	} else {
		e := &element{name: "nvram"}
		e.fill(file)
		os.children = append(os.children, e)
	}
}

// selectsVariables says whether libvirt selects the firmware of a definition and
// the file of its variables: libvirt 9.0 tells neither in what a domain is defined as.
func selectsVariables(os *element) bool {
	return os.attr("firmware") == "efi" && os.child("nvram") == nil && os.child("loader").attr("stateless") != "yes"
}

// nvram gives the firmware variables a file of their own: two machines must not
// share one.
func (w *rewriter) nvram(e *element) bool {
	old := e.content()
	if source := e.child("source"); old == "" && source != nil {
		old = source.attr("file")
	}
	if t := e.attr("template"); t != "" && !w.Trust && !isFirmware(t) {
		w.say("template %s of the firmware's variables: removed", t)
		e.unset("template", "templateFormat")
	}
	e.unset("type")
	e.children = nil
	if file := w.Files["nvram"]; file != "" {
		e.fill(file)
		return true
	}
	w.say("firmware's variables: new ones instead of %s, which the point does not hold", old)
	return len(e.attrs) > 0
}

// HostFiles are the files of the host that a definition needs besides the images
// of its disks: paths by "nvram" (the firmware's variables), "kernel" and "initrd".
// The path of variables that the definition does not name is relative to the folder
// where libvirt keeps such (qemu_domain.c, qemuDomainNVRAMPathFormat).
func HostFiles(doc string) (map[string]string, error) {
	root, err := parseElement(doc)
	if err != nil {
		return nil, fmt.Errorf("parse domain XML: %w", err)
	}
	files := map[string]string{}
	for _, os := range root.all("os") {
		for _, e := range os.all("nvram", "kernel", "initrd") {
			file := e.content()
			if source := e.child("source"); file == "" && source != nil {
				file = source.attr("file")
			}
			if file != "" {
				files[e.name] = file
			}
		}
		if selectsVariables(os) {
			files["nvram"] = root.child("name").content() + "_VARS.fd"
		}
	}
	return files, nil
}

// ParseQEMUUser finds the user and group that QEMU runs as in libvirt's
// capabilities.
func ParseQEMUUser(capabilities string) (uid, gid int, err error) {
	root, err := parseElement(capabilities)
	if err != nil {
		return 0, 0, fmt.Errorf("parse capabilities: %w", err)
	}
	for _, host := range root.all("host") {
		for _, m := range host.all("secmodel") {
			if uid, gid, ok := parseDAC(m.child("baselabel").content()); ok && m.child("model").content() == "dac" {
				return uid, gid, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("libvirt does not say which user QEMU runs as")
}
