package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those of expressions: the pure ones of Terraform's, under its
// names, and duration and bytes. None sees the clock, the environment or the
// network; what reads files sees those in dir and below.
func functions(dir string) map[string]function.Function {
	all := map[string]function.Function{}
	for _, f := range functionTable(dir) {
		all[f.Name] = f.function
	}
	return all
}

// anything is a parameter of any type.
func anything(name string) function.Parameter {
	return function.Parameter{Name: name, Type: cty.DynamicPseudoType}
}

func textParameter(name string) function.Parameter {
	return function.Parameter{Name: name, Type: cty.String}
}

func textFunction(parameter string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{textParameter(parameter)}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			return cty.StringVal(s), err
		},
	})
}

func textTest(f func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{textParameter("text"), textParameter("part")}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// unitFunction makes a number of a text with a unit: seconds, or bytes.
func unitFunction(parse func(string) (int64, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{textParameter("text")}, Type: function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			n, err := parse(args[0].AsString())
			return cty.NumberIntVal(n), err
		},
	})
}

func fromBase64(s string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(s)
	return string(decoded), err
}

func sha256Hex(s string) (string, error) {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:]), nil
}

// everyTrue is alltrue (want true) or anytrue.
func everyTrue(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			result := cty.BoolVal(all)
			for _, v := range args[0].AsValueSlice() {
				switch {
				case !v.IsKnown():
					result = cty.UnknownVal(cty.Bool)
				case v.IsNull() && all, !v.IsNull() && v.True() != all:
					return cty.BoolVal(!all), nil
				}
			}
			return result, nil
		},
	})
}

var lengthFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch t := args[0].Type(); {
		case t == cty.String:
			return stdlib.Strlen(args[0])
		case t.IsObjectType():
			return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
		case t.IsTupleType() || t.IsCollectionType():
			return args[0].Length(), nil
		}
		return cty.NilVal, errors.New("a text, a list, a set or a map is required")
	},
})

var sumFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Number)}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		total := cty.Zero
		for _, v := range args[0].AsValueSlice() {
			if v.IsNull() {
				return cty.NilVal, errors.New("the list must not hold null")
			}
			total = total.Add(v)
		}
		return total, nil
	},
})

// oneFunction is the only element of a list, or null if it is empty.
var oneFunction = function.New(&function.Spec{
	Params: []function.Parameter{anything("list")},
	Type: func(args []cty.Value) (cty.Type, error) {
		switch t := args[0].Type(); {
		case t.IsListType() || t.IsSetType():
			return t.ElementType(), nil
		case t.IsTupleType() && t.Length() == 0:
			return cty.DynamicPseudoType, nil
		case t.IsTupleType() && t.Length() == 1:
			return t.TupleElementType(0), nil
		}
		return cty.NilType, errors.New("a list of one or no element is required")
	},
	Impl: func(args []cty.Value, t cty.Type) (cty.Value, error) {
		elements := args[0].AsValueSlice()
		switch len(elements) {
		case 0:
			return cty.NullVal(t), nil
		case 1:
			return elements[0], nil
		}
		return cty.NilVal, fmt.Errorf("a list of one or no element is required, this has %d", len(elements))
	},
})

var sensitiveFunction = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
	Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return args[0].Mark(secret), nil },
})

// replaceFunction replaces a text, or what a pattern between slashes matches.
var replaceFunction = function.New(&function.Spec{
	Params: []function.Parameter{textParameter("text"), textParameter("part"), textParameter("replacement")}, Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		part := args[1].AsString()
		if len(part) > 1 && strings.HasPrefix(part, "/") && strings.HasSuffix(part, "/") {
			return stdlib.RegexReplace(args[0], cty.StringVal(part[1:len(part)-1]), args[2])
		}
		return stdlib.Replace(args[0], args[1], args[2])
	},
})

var wideVerb = regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{5}`)

// bounded refuses format strings that pad to megabytes.
func bounded(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(), Type: f.ReturnTypeForValues,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			spec, _ := args[0].Unmark()
			if spec, err := convert.Convert(spec, cty.String); err == nil && spec.IsKnown() && !spec.IsNull() && wideVerb.MatchString(spec.AsString()) {
				return cty.NilVal, errors.New("a width must have four digits at most")
			}
			return f.Call(args)
		},
	})
}
