package virt

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// element is a piece of an XML document that is passed on: an element, or text
// where name is "". Names have their prefix.
type element struct {
	name     string
	attrs    []xml.Attr
	text     string
	children []*element
}

// maxDepth bounds the nesting of a document; libvirt's own has some ten levels.
const maxDepth = 64

// parseElement reads a document. Comments, processing instructions and a document
// type are left out, so what is written again holds no entities but XML's own.
func parseElement(doc string) (*element, error) {
	d := xml.NewDecoder(strings.NewReader(doc))
	root := &element{}
	open := []*element{root}
	for {
		token, err := d.RawToken() // it leaves prefixes as they are
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			e := &element{name: rawName(t.Name), attrs: slices.Clone(t.Attr)}
			top.children = append(top.children, e)
			if open = append(open, e); len(open) > maxDepth {
				return nil, fmt.Errorf("<%s> lies more than %d levels deep", e.name, maxDepth)
			}
		case xml.EndElement:
			if rawName(t.Name) != top.name {
				return nil, fmt.Errorf("</%s> ends <%s>", rawName(t.Name), top.name)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			top.children = append(top.children, &element{text: string(t)})
		}
	}
	root.children = slices.DeleteFunc(root.children, func(e *element) bool { return e.name == "" && strings.TrimSpace(e.text) == "" })
	if len(open) != 1 || len(root.children) != 1 || root.children[0].name == "" {
		return nil, errors.New("it is not one whole element")
	}
	return root.children[0], nil
}

func rawName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}

// String writes the element as XML.
func (e *element) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String() + "\n"
}

func (e *element) write(b *strings.Builder) {
	if e.name == "" {
		b.WriteString(strings.ReplaceAll(escaped(e.text), "&#xA;", "\n"))
		return
	}
	b.WriteString("<" + e.name)
	for _, a := range e.attrs {
		fmt.Fprintf(b, ` %s="%s"`, rawName(a.Name), escaped(a.Value))
	}
	if len(e.children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteString(">")
	for _, c := range e.children {
		c.write(b)
	}
	b.WriteString("</" + e.name + ">")
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// all are the children of these names.
func (e *element) all(names ...string) (some []*element) {
	for _, c := range e.children {
		if slices.Contains(names, c.name) && c.name != "" {
			some = append(some, c)
		}
	}
	return some
}

// child is the first child of a name, nil if there is none.
func (e *element) child(name string) *element {
	if some := e.all(name); len(some) > 0 {
		return some[0]
	}
	return nil
}

// attr is the value of an attribute, "" if there is none. It may be asked of nil.
func (e *element) attr(name string) string {
	if e != nil {
		for _, a := range e.attrs {
			if rawName(a.Name) == name {
				return a.Value
			}
		}
	}
	return ""
}

// set gives an attribute a value.
func (e *element) set(name, value string) {
	e.unset(name)
	e.attrs = append(e.attrs, xml.Attr{Name: xml.Name{Local: name}, Value: value})
}

func (e *element) unset(names ...string) {
	e.attrs = slices.DeleteFunc(e.attrs, func(a xml.Attr) bool { return slices.Contains(names, rawName(a.Name)) })
}

// retain leaves only the attributes of these names.
func (e *element) retain(names []string) {
	e.attrs = slices.DeleteFunc(e.attrs, func(a xml.Attr) bool { return !slices.Contains(names, rawName(a.Name)) })
}

// content is the text directly in the element. It may be asked of nil.
func (e *element) content() string {
	if e == nil {
		return ""
	}
	var b strings.Builder
	for _, c := range e.children {
		if c.name == "" {
			b.WriteString(c.text)
		}
	}
	return strings.TrimSpace(b.String())
}

// fill replaces what the element holds by a text.
func (e *element) fill(text string) { e.children = []*element{{text: text}} }

// keep leaves only the children that pass, and the text between them.
func (e *element) keep(passes func(*element) bool) {
	var left []*element
	for _, c := range e.children {
		switch {
		case c.name == "" || passes(c):
			left = append(left, c)
		case len(left) > 0 && left[len(left)-1].name == "": // the indentation of what goes
			left = left[:len(left)-1]
		}
	}
	e.children = left
}

// drop removes the children of these names.
func (e *element) drop(names ...string) {
	e.keep(func(c *element) bool { return !slices.Contains(names, c.name) })
}
