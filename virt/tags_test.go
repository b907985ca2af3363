package virt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vbk/virt"
)

func TestTags(t *testing.T) {
	const tags = `<x:tags xmlns:x="urn:vbk:tags:1" `
	for name, c := range map[string]struct {
		metadata string
		want     map[string]string
	}{
		"none":             {``, nil},
		"empty":            {tags + `/>`, nil},
		"some":             {tags + `tier="gold" team="web &amp; mail"/>`, map[string]string{"tier": "gold", "team": "web & mail"}},
		"default name":     {`<tags xmlns="urn:vbk:tags:1" tier="gold"/>`, map[string]string{"tier": "gold"}},
		"other version":    {`<x:tags xmlns:x="urn:vbk:tags:2" tier="gold"/>`, nil},
		"no namespace":     {`<tags tier="gold"/>`, nil},
		"elsewhere":        {`<y:app xmlns:y="urn:y">` + tags + `tier="gold"/></y:app>`, nil},
		"beside others":    {`<y:app xmlns:y="urn:y" tier="lead"/>` + tags + `tier="gold"/>`, map[string]string{"tier": "gold"}},
		"foreign":          {tags + `xmlns:y="urn:y" y:tier="lead" tier="gold"/>`, map[string]string{"tier": "gold"}},
		"empty value":      {tags + `tier="" team="web"/>`, map[string]string{"team": "web"}},
		"escape":           {tags + `tier="&#x9b;31m" team="web"/>`, map[string]string{"team": "web"}},
		"two lines":        {tags + `tier="gold&#10;lead" team="web"/>`, map[string]string{"team": "web"}},
		"other direction":  {tags + `tier="gold&#x202e;" team="web"/>`, map[string]string{"team": "web"}},
		"long name":        {tags + strings.Repeat("t", 65) + `="gold" team="web"/>`, map[string]string{"team": "web"}},
		"long value":       {tags + `tier="` + strings.Repeat("g", 257) + `" team="web"/>`, map[string]string{"team": "web"}},
		"glob as value":    {tags + `tier="*"/>`, map[string]string{"tier": "*"}},
		"declared outside": {`<y:app xmlns:y="urn:y"/><x:tags tier="gold"/>`, map[string]string{"tier": "gold"}},
	} {
		t.Run(name, func(t *testing.T) {
			doc := `<domain xmlns:x="urn:vbk:tags:1"><name>web</name><uuid>4c1f9d2a-0000-4000-8000-000000000000</uuid><metadata>` +
				c.metadata + `</metadata></domain>`
			d, err := virt.ParseDomain(doc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, d.Tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTagsAreBounded(t *testing.T) {
	var attributes strings.Builder
	for n := range 10000 {
		fmt.Fprintf(&attributes, " t%d='v'", n)
	}
	d, err := virt.ParseDomain(`<domain><name>web</name><uuid>4c1f9d2a-0000-4000-8000-000000000000</uuid><metadata>` +
		`<tags xmlns='urn:vbk:tags:1'` + attributes.String() + `/></metadata></domain>`)
	if err != nil || len(d.Tags) != 64 || d.Tags["t63"] != "v" {
		t.Errorf("%d tags: %v", len(d.Tags), err)
	}
}
