package virt

import (
	"encoding/xml"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a domain's tags. Metadata may be in a tenant's hands; what is beyond
// is left out.
const (
	maxTags     = 64
	maxTagName  = 64  // bytes
	maxTagValue = 256 // bytes
)

// tagsXML is the part of a domain's definition that holds tags, whatever prefix
// their namespace has:
//
//	<metadata><x:tags xmlns:x="urn:vbk:tags:1" tier="gold"/></metadata>
type tagsXML struct {
	Metadata struct {
		Tags []struct {
			Attrs []xml.Attr `xml:",any,attr"`
		} `xml:"urn:vbk:tags:1 tags"`
	} `xml:"metadata"`
}

// parseTags reads the attributes of the tags element, nil if there are none.
// Left out are attributes of another namespace, empty or overlong values, and
// values with a character that does not print.
func parseTags(doc string) (map[string]string, error) {
	var x tagsXML
	if err := xml.Unmarshal([]byte(doc), &x); err != nil {
		return nil, err
	}
	var tags map[string]string
	for _, element := range x.Metadata.Tags {
		for _, a := range element.Attrs {
			if a.Name.Space != "" || a.Name.Local == "xmlns" || len(tags) == maxTags || !isTag(a.Name.Local, a.Value) {
				continue
			}
			if tags == nil {
				tags = map[string]string{}
			}
			tags[a.Name.Local] = a.Value
		}
	}
	return tags, nil
}

func isTag(name, value string) bool {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	return len(name) <= maxTagName && len(value) <= maxTagValue && value != "" &&
		utf8.ValidString(name+value) && !strings.ContainsFunc(name+value, hidden)
}
