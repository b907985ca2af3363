package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

// A reference is an object: its attributes are for expressions, and in identity
// it carries what it refers to. That is a capsule, which can be passed around
// in any expression and be made by none.
const identity = "identity"

var (
	hostIdentity       = cty.Capsule("host", reflect.TypeFor[Host]())
	storeIdentity      = cty.Capsule("store", reflect.TypeFor[Store]())
	policyIdentity     = cty.Capsule("policy", reflect.TypeFor[draft]())
	encryptionIdentity = cty.Capsule("encryption", reflect.TypeFor[encryption]())
)

// attribute is one of an object that expressions can look into.
type attribute struct {
	name  string
	typ   cty.Type
	about string
}

// The attributes of references.
var (
	namedAttributes = []attribute{{"name", cty.String, "The label of the block."}}
	hostAttributes  = []attribute{
		{"name", cty.String, "Its name; of a `for_each`, the key."},
		{"uri", cty.String, "As in the block."},
		{"labels", cty.Map(cty.String), "As in the block."},
	}
	storeAttributes = []attribute{
		{"name", cty.String, "The label of the block."},
		{"kind", cty.String, "`\"local\"` or `\"s3\"`."},
		{"path", cty.String, "As an absolute path; `\"\"` of S3."},
	}
)

// objectOf is the type of objects with these attributes.
func objectOf(attributes []attribute) map[string]cty.Type {
	types := map[string]cty.Type{}
	for _, a := range attributes {
		types[a.name] = a.typ
	}
	return types
}

// attributesOf describes attributes.
func attributesOf(attributes []attribute) []Argument {
	var all []Argument
	for _, a := range attributes {
		all = append(all, Argument{Name: a.name, Type: a.typ.FriendlyName(), About: a.about})
	}
	return all
}

// hostReference is the type of references to hosts; all have the same, so that
// values(host.hv) is a list.
var hostReference = func() cty.Type {
	types := objectOf(hostAttributes)
	types[identity] = hostIdentity
	return cty.Object(types)
}()

func (h *Host) reference() cty.Value {
	labels := cty.MapValEmpty(cty.String)
	if len(h.Labels) > 0 {
		values := map[string]cty.Value{}
		for k, v := range h.Labels {
			values[k] = cty.StringVal(v)
		}
		labels = cty.MapVal(values)
	}
	return cty.ObjectVal(map[string]cty.Value{
		identity: cty.CapsuleVal(hostIdentity, h), "name": cty.StringVal(h.Name), "uri": cty.StringVal(h.URI), "labels": labels,
	})
}

func (s *Store) reference() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		identity: cty.CapsuleVal(storeIdentity, s), "name": cty.StringVal(s.Name), "kind": cty.StringVal(s.Kind), "path": cty.StringVal(s.Path),
	})
}

func (d *draft) reference() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{identity: cty.CapsuleVal(policyIdentity, d), "name": cty.StringVal(d.Name)})
}

func (e *encryption) reference() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{identity: cty.CapsuleVal(encryptionIdentity, e), "name": cty.StringVal(e.name)})
}

// referred is what a reference carries: an F, which is in identities of type t.
func referred[F any](v cty.Value, t cty.Type, what, example string) (*F, error) {
	switch {
	case !v.IsKnown():
		return nil, errUnknown
	case v.Type().IsObjectType() && v.Type().HasAttribute(identity) && v.Type().AttributeType(identity).Equals(t):
		return v.GetAttr(identity).EncapsulatedValue().(*F), nil
	}
	return nil, fmt.Errorf(`a reference to %s is required, such as %s, without quotes (in JSON: "${%s}")`, what, example, example)
}

// storeReference reads a store's address from a reference.
func storeReference(v cty.Value) (string, error) {
	s, err := referred[Store](v, storeIdentity, "a store", "store.local.nas")
	if err != nil {
		return "", err
	}
	return s.Address(), nil
}

// hostReferences reads the names of a list of hosts, sorted.
func hostReferences(v cty.Value) ([]string, error) {
	if t := v.Type(); t.IsMapType() || t.IsObjectType() {
		return nil, errors.New("a list of hosts is required, such as [host.a, host.b], or values(host.hv) for all of a for_each")
	}
	names, err := list(v, func(v cty.Value) (string, error) {
		h, err := referred[Host](v, hostIdentity, "a host", "host.a")
		if err != nil {
			return "", err
		}
		return h.Name, nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}
