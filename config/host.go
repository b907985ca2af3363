package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

func defaultHost() Host {
	return Host{URI: "qemu:///system", MaxParallel: 2, ScratchDir: "/var/tmp", Transport: "unix"}
}

// nbdSettings are what nbd holds besides the transport. They are read and
// checked; only other transports than "unix" would use them.
type nbdSettings struct{ address, portRange, tlsDir string }

func hostSpec() spec[Host] {
	var unused nbdSettings
	return spec[Host]{
		fields: []field[Host]{
			forEachField(),
			at("uri", kind[string]{form: "connection URI", read: connection, show: showText}, func(h *Host) *string { return &h.URI },
				"How libvirt is reached. A libvirt on another machine is checked, and refused by plan: run vbk on each hypervisor. A URI must not hold a password."),
			at("max_parallel", counts, func(h *Host) *int { return &h.MaxParallel },
				"How many domains of the host are backed up at a time."),
			at("scratch_dir", kind[string]{form: "absolute path", read: scratchDir, show: showText}, func(h *Host) *string { return &h.ScratchDir },
				"Where run folders are made. While a backup runs, QEMU keeps there what the guest overwrites."),
			at("labels", textMaps, func(h *Host) *map[string]string { return &h.Labels },
				"Text for expressions, such as `[for h in host.hv : h if h.labels.site == \"ams\"]`.").otherwise("none"),
		},
		blocks: []block[Host]{
			nested("limits", "What backups may take of the host.",
				at("read", rates, func(h *Host) *int64 { return &h.ReadLimit },
					"How much one `vbk apply` reads, of all disks of the host together.").otherwise("no limit"),
				at("min_free", sizes, func(h *Host) *int64 { return &h.MinFree },
					"What scratch files leave free in `scratch_dir`. With less no backup begins, and one that runs is given up.").otherwise("a tenth of its file system, at most 2 GiB"),
			),
			nested("nbd", "How the data of the disks comes from QEMU.",
				at("transport", wordOf(
					word("unix", "through a socket in the run folder"),
					word("ssh", "through a socket, and SSH").refused(),
					word("tls", "through TCP, with certificates").refused(),
					word("tcp", "through TCP, without").refused(),
				), func(h *Host) *string { return &h.Transport }, "The way. The other arguments of the block are for `tls` and `tcp`."),
				at("address", names, func(*Host) *string { return &unused.address }, "The address that QEMU listens on.").otherwise("none"),
				at("port_range", kind[string]{form: "port range", read: portRange, show: showText}, func(*Host) *string { return &unused.portRange },
					"The ports that QEMU may listen on.").otherwise("none"),
				at("tls_dir", absolutePaths, func(*Host) *string { return &unused.tlsDir }, "Where the certificates are.").otherwise("none"),
			),
			laterBlock[Host]("window", "The hours in which backups of the host may run."),
		},
	}
}

// forEachField is evaluated before the block: it says how often.
func forEachField() field[Host] {
	return before[Host]("for_each", "map of any", "A host for each element of a map, or of a set of strings, and called as its key. In the block `each.key` and `each.value` stand for the element, "+
		"and `host.NAME` is a map of the hosts.").otherwise("one host, which is called NAME")
}

// maxScratchDir is the longest scratch_dir, bytes: the path of a socket below it,
// /vbk-96011a03-77effe49/nbd, may have 107.
const maxScratchDir = 107 - 26

func scratchDir(v cty.Value) (string, error) {
	dir, err := absolutePath(v)
	if err == nil && len(dir) > maxScratchDir {
		err = fmt.Errorf("%q has %d bytes, and at most %d fit into the path of a socket below it", dir, len(dir), maxScratchDir)
	}
	return dir, err
}

// portRange reads two ports such as "10809-10909".
func portRange(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	var first, last uint16
	if n, err := fmt.Sscanf(s, "%d-%d", &first, &last); n != 2 || err != nil || first == 0 || first > last || s != fmt.Sprintf("%d-%d", first, last) {
		return "", fmt.Errorf("%q is not a range of ports, such as \"10809-10909\"", s)
	}
	return s, nil
}

// hosts evaluates host blocks and returns the references to them.
func (p *parser) hosts(blocks hcl.Blocks, in scope) cty.Value {
	references := map[string]cty.Value{}
	for _, b := range blocks {
		attr, diags := ahead(b.Body, forEachField())
		p.report(diags...)
		if attr != nil {
			references[b.Labels[0]] = p.hostOfEach(b, attr, in)
			continue
		}
		h, _ := p.host(b, b.Labels[0], in)
		references[b.Labels[0]] = h.reference()
	}
	switch {
	case len(blocks) == 0:
		h := defaultHost()
		h.Name = "local"
		p.config.Hosts = []Host{h}
		references[h.Name] = h.reference()
	case len(p.config.Hosts) == 0 && !p.diags.HasErrors() && !p.inputs.Partial:
		p.report(failure("No host", "No host is left: the for_each of every host block is empty.", blocks[0].DefRange))
	}
	slices.SortFunc(p.config.Hosts, func(a, b Host) int { return strings.Compare(a.Name, b.Name) })
	return cty.ObjectVal(references)
}

// host evaluates one host and says whether it is one of the configuration.
func (p *parser) host(b *hcl.Block, name string, in scope) (*Host, bool) {
	h, l := defaultHost(), newLedger("host."+b.Labels[0])
	h.Name, h.Range = name, b.DefRange
	p.once(decode(reader{in: in, ledger: l}, b.Body, hostSpec(), &h, defaultHost()))
	p.once(h.settle(l))
	for _, other := range p.config.Hosts {
		if other.Name == name {
			p.report(duplicate(fmt.Sprintf("A host %q", name), other.Range, b.DefRange))
			return &h, false
		}
	}
	p.config.Hosts = append(p.config.Hosts, h)
	return &h, true
}

// hostOfEach evaluates a host block for every element of its for_each.
func (p *parser) hostOfEach(b *hcl.Block, attr *hcl.Attribute, in scope) cty.Value {
	unknown := cty.UnknownVal(cty.Map(hostReference))
	v, diags := in.value(attr.Expr)
	elements, err := elementsOf(v)
	if err != nil && !diags.HasErrors() {
		diags = append(diags, failure("Invalid for_each", sentence(err), attr.Expr.Range()))
	}
	p.report(diags...)
	if diags.HasErrors() {
		return unknown
	}
	if elements == nil { // not known: its body is checked once
		h, l := defaultHost(), newLedger("host."+b.Labels[0])
		p.report(decode(reader{in: in.with("each", each(cty.UnknownVal(cty.String), cty.DynamicVal)), ledger: l}, b.Body, hostSpec(), &h, h)...)
		return unknown
	}
	references := map[string]cty.Value{}
	for _, key := range slices.Sorted(maps.Keys(elements)) {
		if h, ok := p.host(b, key, in.with("each", each(cty.StringVal(key), elements[key]))); ok {
			references[key] = h.reference()
		}
	}
	if len(references) == 0 {
		return cty.MapValEmpty(hostReference)
	}
	return cty.MapVal(references)
}

func each(key, value cty.Value) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"key": key, "value": value})
}

// elementsOf are the elements of a for_each by name; nil while it is not known.
func elementsOf(v cty.Value) (map[string]cty.Value, error) {
	if v.IsMarked() {
		return nil, errors.New("the names of hosts must not be sensitive")
	}
	t := v.Type()
	isSet := t.IsSetType() && (t.ElementType() == cty.String || t.ElementType() == cty.DynamicPseudoType)
	switch {
	case v.IsNull():
		return nil, errors.New("for_each must not be null; an empty map makes no host")
	case !isSet && !t.IsMapType() && !t.IsObjectType() && t != cty.DynamicPseudoType:
		return nil, fmt.Errorf("a map or a set of names is required, such as toset([\"hv1\", \"hv2\"]); this is %s", called(t))
	case !v.IsKnown() || isSet && !v.IsWhollyKnown():
		return nil, nil
	}
	elements := map[string]cty.Value{}
	if isSet {
		for _, name := range v.AsValueSlice() {
			if name.IsNull() {
				return nil, errors.New("a name must not be null")
			}
			elements[name.AsString()] = name
		}
	} else {
		maps.Copy(elements, v.AsValueMap())
	}
	for name := range elements {
		if name == "" || hasControl(name) || strings.ContainsAny(name, `/"\`) {
			return nil, fmt.Errorf(`%q cannot be the name of a host: it must not be empty nor hold control characters, slashes or quotes`, name)
		}
	}
	return elements, nil
}

// settle notes what is asked of the host and this version does not act on.
func (h *Host) settle(l *ledger) hcl.Diagnostics {
	var diags hcl.Diagnostics
	pend := func(path, what string) {
		h.Pending = append(h.Pending, pendingSentence(what))
		diags = append(diags, refusedLater(h.Pending[len(h.Pending)-1], l.place(h.Range, path)))
	}
	if u, err := url.Parse(h.URI); err == nil && (u.Host != "" || strings.Contains(u.Scheme, "+")) {
		pend("uri", fmt.Sprintf("uri = %q of host %s, a libvirt on another machine,", h.URI, h.Name))
	}
	if h.Transport != "unix" {
		pend("nbd.transport", fmt.Sprintf("nbd { transport = %q } of host %s", h.Transport, h.Name))
	}
	return diags
}
