package virt

import "slices"

// device says whether a device stays, and changes it.
func (w *rewriter) device(e *element) bool {
	switch e.name {
	case "disk":
		return w.disk(e)
	case "interface":
		return w.nic(e)
	case "serial", "parallel", "console", "channel":
		return w.character(e)
	case "emulator":
		return w.Trust || w.emulator(e)
	case "vsock":
		return w.keepsIdentity || e.child("cid").attr("auto") == "yes" || w.remove(e)
	}
	if w.Isolated && slices.Contains(noOneThere, e.name) {
		return false
	}
	if e.name == "graphics" && !w.keepsIdentity && e.attr("port") != "" && e.attr("autoport") != "yes" {
		w.say("graphics %s: a free port instead of %s", e.attr("type"), e.attr("port"))
		e.unset("port", "tlsPort")
		e.set("autoport", "yes")
	}
	if w.Trust && !w.Isolated {
		return true
	}
	return staysInside(e) && !reachesOut(e) || w.remove(e)
}

func (w *rewriter) emulator(e *element) bool {
	w.say("emulator %s: libvirt chooses", e.content())
	return false
}

// noOneThere are devices for somebody in front of the machine.
var noOneThere = []string{"graphics", "audio", "sound", "redirdev", "smartcard"}

// plainDevices are devices without a side towards the host, as long as they name
// no path.
var plainDevices = []string{"controller", "video", "sound", "watchdog", "memballoon", "panic", "hub", "iommu", "redirfilter"}

// staysInside says whether a device is of a kind that QEMU emulates alone.
func staysInside(e *element) bool {
	kind, model, backend := e.attr("type"), e.attr("model"), e.child("backend")
	if len(e.all("backend")) > 1 { // which one would libvirt take?
		return false
	}
	switch e.name {
	case "input":
		return slices.Contains([]string{"mouse", "tablet", "keyboard"}, kind)
	case "graphics":
		return slices.Contains([]string{"vnc", "spice", "egl-headless"}, kind)
	case "audio":
		return kind == "none" || kind == "spice"
	case "redirdev":
		return kind == "spicevmc"
	case "smartcard":
		return e.attr("mode") == "passthrough" && kind == "spicevmc"
	case "rng":
		random := backend.content()
		return backend.attr("model") == "builtin" || backend.attr("model") == "random" && (random == "" || slices.Contains(harmless, random))
	case "memory":
		return model == "dimm" || model == "virtio-mem"
	case "tpm":
		return backend.attr("type") == "emulator"
	case "crypto":
		return backend.attr("model") == "builtin"
	}
	return slices.Contains(plainDevices, e.name)
}

// What of a disk is the machine's and not the image's, and what is the image's.
var (
	imageParts  = []string{"source", "backingStore", "mirror", "encryption", "shareable", "auth"}
	diskAttrs   = []string{"device", "model"}
	diskParts   = []string{"driver", "target", "iotune", "readonly", "transient", "serial", "wwn", "vendor", "product", "address", "boot", "blockio", "geometry", "alias"}
	driverAttrs = []string{"cache", "error_policy", "rerror_policy", "io", "ioeventfd", "event_idx", "copy_on_read", "discard", "discard_no_unref",
		"iothread", "detect_zeroes", "queues", "queue_size", "packed", "iommu", "ats", "page_per_vq"}
)

// disk attaches a restored image, alone: without what lay under it.
func (w *rewriter) disk(e *element) bool {
	target := e.child("target").attr("dev")
	image, restored := w.Disks[target]
	kind := e.attr("device")
	switch {
	case kind == "cdrom" || kind == "floppy":
		if len(e.all("source")) > 0 && (!w.Trust || w.Isolated) {
			w.say("%s %s: its medium is taken out", kind, target)
			e.drop("source", "backingStore", "mirror")
			e.set("type", "file")
		}
		return w.Trust && !w.Isolated || !reachesOut(e) || w.remove(e)
	case !restored || slices.Contains(w.placed, target):
		w.say("disk %s: removed, it was not restored", target)
		return false
	case kind == "lun":
		w.say("disk %s: a disk instead of a LUN", target)
		e.set("device", "disk")
	}
	if len(e.all("encryption")) > 0 {
		w.say("disk %s: what libvirt knew of its encryption is removed", target)
	}
	if len(e.all("shareable")) > 0 {
		w.say("disk %s: no longer shared", target)
	}
	w.placed = append(w.placed, target)
	w.attach(e, image)
	return true
}

// attach gives a disk an image, and leaves what is the machine's.
func (w *rewriter) attach(e *element, image Image) {
	for _, c := range e.children {
		if c.name != "" && !slices.Contains(diskParts, c.name) && !slices.Contains(imageParts, c.name) {
			w.say("%s of disk %s: removed", c.name, e.child("target").attr("dev"))
		}
	}
	e.retain(diskAttrs)
	e.keep(func(c *element) bool { return slices.Contains(diskParts, c.name) })
	driver := e.child("driver")
	if driver == nil {
		driver = &element{name: "driver"}
		e.children = append(e.children, driver)
	}
	driver.retain(driverAttrs)
	driver.children = nil
	if w.Isolated { // nothing of it is to last, and there is no file
		driver.unset("io", "cache")
		e.drop("transient")
	}
	driver.set("name", "qemu")
	driver.set("type", image.Format)
	e.children = append([]*element{image.source(e)}, e.children...)
}

// source is where a disk finds the image; the disk gets the type of that.
func (i Image) source(disk *element) *element {
	source := &element{name: "source"}
	if i.Socket == "" {
		disk.set("type", "file")
		source.set("file", i.Path)
		return source
	}
	disk.set("type", "network")
	source.set("protocol", "nbd")
	source.set("name", i.Path)
	host := &element{name: "host"}
	host.set("transport", "unix")
	host.set("socket", i.Socket)
	source.children = []*element{host}
	return source
}

// nic keeps an interface on a network or bridge that the host has. Without the
// old identity libvirt draws a new MAC address and names the host's end.
func (w *rewriter) nic(e *element) bool {
	kind := e.attr("type")
	inside := slices.Contains([]string{"network", "bridge", "user"}, kind) && !reachesOut(e)
	if w.Isolated || !w.Trust && !inside {
		w.say("interface %s (%s): removed", e.child("mac").attr("address"), kind)
		return false
	}
	if kind == "user" && !w.Trust {
		e.drop("source") // a device of the host
	}
	if !w.keepsIdentity {
		if mac := e.child("mac").attr("address"); mac != "" {
			w.say("interface %s: a new MAC address", mac)
		}
		e.drop("mac", "target")
		for _, port := range e.all("virtualport") {
			for _, p := range port.all("parameters") {
				p.unset("interfaceid") // of the other machine's port
			}
		}
	}
	return true
}

// character keeps a character device, and turns what leads to the host into a
// terminal of the host, which the guest cannot tell.
func (w *rewriter) character(e *element) bool {
	kind := e.attr("type")
	if log := e.child("log"); log != nil && !w.Trust {
		w.say("%s %s: its log %s is removed", e.name, kind, log.attr("file"))
		e.drop("log")
	}
	if w.Isolated && e.name == "serial" && !w.console {
		w.console = true
		w.lead(e, "file", w.Console)
		return true
	}
	switch {
	case w.Isolated && e.name == "console" && e.child("target").attr("type") == "serial":
		return false // the serial port's other name
	case w.Trust && !w.Isolated:
	case kind == "null", kind == "vc":
		e.drop("source", "protocol")
	case kind == "unix" && e.name == "channel": // libvirt chooses the path
		e.drop("source", "protocol")
	case kind == "pty", kind == "spicevmc":
		e.drop("source", "protocol")
		e.unset("tty")
	default:
		what := e.name + " " + kind
		if p := reach(e); p != "" {
			what += " " + p
		}
		if e.name == "channel" {
			w.say("%s: removed", what)
			return false
		}
		w.say("%s: leads to a pty", what)
		w.lead(e, "pty", "")
	}
	return true
}

// lead connects a character device to something else.
func (w *rewriter) lead(e *element, kind, to string) {
	e.drop("source", "log", "protocol")
	e.unset("tty")
	e.set("type", kind)
	if to != "" {
		source := &element{name: "source"}
		source.set("path", to)
		e.children = append([]*element{source}, e.children...)
	}
}

// unspice removes what needs a SPICE server where none is left.
func (w *rewriter) unspice(devices *element) {
	if slices.ContainsFunc(devices.all("graphics"), func(e *element) bool { return e.attr("type") == "spice" }) {
		return
	}
	devices.keep(func(e *element) bool {
		t := e.attr("type")
		needs := e.name != "graphics" && (t == "spicevmc" || t == "spiceport") || e.name == "audio" && t == "spice"
		return !needs || w.remove(e)
	})
}

// Ports says by which ways a domain can tell that it has booted: a serial port, and
// the guest agent's channel.
func Ports(doc string) (serial, agent bool) {
	root, err := parseElement(doc)
	if err != nil {
		return false, false
	}
	for _, devices := range root.all("devices") {
		serial = serial || len(devices.all("serial")) > 0
		agent = agent || slices.ContainsFunc(devices.all("channel"), func(e *element) bool {
			return e.child("target").attr("name") == "org.qemu.guest_agent.0"
		})
	}
	return serial, agent
}
