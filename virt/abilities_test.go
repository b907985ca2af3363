package virt_test

import (
	"strings"
	"testing"

	"vbk/virt"
)

func TestParseAbilities(t *testing.T) {
	const capabilities = `<capabilities><host><secmodel><model>none</model></secmodel><secmodel><model>dac</model>
<baselabel type='kvm'>+64055:+64056</baselabel></secmodel></host></capabilities>`
	const domain = `<domainCapabilities><features><backup supported='yes'/></features></domainCapabilities>`
	for _, c := range []struct {
		capabilities, domain string
		want                 virt.Abilities
	}{
		{capabilities, domain, virt.Abilities{UID: 64055, GID: 64056}},
		{capabilities, strings.Replace(domain, "yes", "no", 1), virt.Abilities{NoBackup: true, UID: 64055, GID: 64056}},
		{"<capabilities/>", "<domainCapabilities/>", virt.Abilities{UID: -1, GID: -1}}, // before libvirt 6.0 it does not say
	} {
		if got, err := virt.ParseAbilities(c.capabilities, c.domain); got != c.want || err != nil {
			t.Errorf("%+v (%v), want %+v", got, err, c.want)
		}
	}
	for _, broken := range [][2]string{{"<", domain}, {capabilities, "<"}} {
		if _, err := virt.ParseAbilities(broken[0], broken[1]); err == nil {
			t.Errorf("%q is read", broken)
		}
	}
}
