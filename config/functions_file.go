package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// folder is the directory of a configuration, for functions that read files in
// it and below. Links that lead out of it are refused.
type folder string

// largestFile is how much of a file is read, in bytes.
const largestFile = 16 << 20

// open opens a regular file.
func (f folder) open(name string) (*os.File, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if filepath.IsAbs(name) {
		return nil, fmt.Errorf("%q is absolute: files are read in the directory of the configuration and below, by relative paths", name)
	}
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a regular file", name)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (f folder) text(name string) (string, error) {
	file, err := f.open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, largestFile+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > largestFile:
		return "", fmt.Errorf("%q is larger than 16 MiB", name)
	case !utf8.Valid(content):
		return "", fmt.Errorf("%q is not text in UTF-8", name)
	}
	return string(content), nil
}

func (f folder) read() function.Function { return textFunction("path", f.text) }

func (f folder) exists() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{textParameter("path")}, Type: function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			file, err := f.open(args[0].AsString())
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return cty.False, nil
			case err != nil:
				return cty.NilVal, err
			}
			return cty.True, file.Close()
		},
	})
}

// template renders a file as a template, which sees the given values and
// functions and makes a text.
func (f folder) template(functions map[string]function.Function) function.Function {
	functions = maps.Clone(functions)
	return function.New(&function.Spec{
		Params: []function.Parameter{textParameter("path"), anything("values")}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name, values := args[0].AsString(), args[1]
			if t := values.Type(); !t.IsObjectType() && !t.IsMapType() {
				return cty.NilVal, errors.New("the values must be a map, in braces")
			}
			source, err := f.text(name)
			if err != nil {
				return cty.NilVal, err
			}
			expr, diags := hclsyntax.ParseTemplate([]byte(source), name, hcl.InitialPos)
			if diags.HasErrors() {
				return cty.NilVal, diags
			}
			v, diags := expr.Value(&hcl.EvalContext{Variables: values.AsValueMap(), Functions: functions})
			if diags.HasErrors() {
				return cty.NilVal, diags
			}
			return convert.Convert(v, cty.String)
		},
	})
}
