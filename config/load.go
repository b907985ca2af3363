package config

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// The endings of configuration files.
const (
	nativeSuffix = ".vbk.hcl"
	jsonSuffix   = ".vbk.json"
	varsSuffix   = ".vbkvars" // of vbk.vbkvars and *.auto.vbkvars
)

// Files are the parsed files by name, with their source, for printing
// diagnostics.
type Files map[string]*hcl.File

// Load reads the *.vbk.hcl and *.vbk.json files of a directory, not those
// below it and not hidden ones, and the files with values of variables. The
// Config is nil if there are errors.
func Load(dir string, in Inputs) (*Config, Files, hcl.Diagnostics) {
	sources, err := readSources(dir)
	if err == nil {
		in.Vars, err = readVarFiles(in.Vars)
	}
	absolute, absErr := filepath.Abs(dir)
	if err := cmp.Or(err, absErr); err != nil {
		return nil, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the configuration", Detail: sentence(err)}}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(sources)), isConfiguration) {
		return nil, nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "No configuration",
			Detail:   fmt.Sprintf("There is no *%s or *%s file in %s. The command \"vbk init\" writes one.", nativeSuffix, jsonSuffix, absolute),
		}}
	}
	return Parse(absolute, sources, in)
}

func isConfiguration(name string) bool {
	return strings.HasSuffix(name, nativeSuffix) || strings.HasSuffix(name, jsonSuffix)
}

// isVariables says whether the file sets variables without being named by
// -var-file.
func isVariables(name string) bool {
	return name == "vbk"+varsSuffix || strings.HasSuffix(name, ".auto"+varsSuffix)
}

// byPrecedence orders files by name, with vbk.vbkvars before what overrides
// it.
func byPrecedence(a, b string) int {
	overriding := func(name string) int {
		if filepath.Base(name) == "vbk"+varsSuffix {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(overriding(a), overriding(b)), strings.Compare(a, b))
}

// readVarFiles returns the arguments with the content of their files.
func readVarFiles(args []VarArg) ([]VarArg, error) {
	read := slices.Clone(args)
	for i, arg := range read {
		if arg.File == "" {
			continue
		}
		var err error
		if read[i].source, err = os.ReadFile(arg.File); err != nil {
			return nil, err
		}
	}
	return read, nil
}

// readSources returns the files of a directory by path, each path starting
// with dir as it is given.
func readSources(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sources := map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || !isConfiguration(name) && !isVariables(name) {
			continue
		}
		path := filepath.Join(dir, name)
		if sources[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return sources, nil
}

// parseFile parses one file by the syntax that its name tells.
func parseFile(name string, source []byte) (*hcl.File, hcl.Diagnostics) {
	if strings.HasSuffix(name, ".json") {
		return json.Parse(source, name)
	}
	file, diags := hclsyntax.ParseConfig(source, name, hcl.InitialPos)
	if body, ok := file.Body.(*hclsyntax.Body); ok && !diags.HasErrors() {
		diags = append(diags, hclsyntax.VisitAll(body, refuseHugeNumber)...)
	}
	return file, diags
}

// refuseHugeNumber keeps out what takes seconds and gigabytes to be written in
// digits.
func refuseHugeNumber(node hclsyntax.Node) hcl.Diagnostics {
	literal, ok := node.(*hclsyntax.LiteralValueExpr)
	if !ok || literal.Val.Type() != cty.Number || literal.Val.IsNull() || !huge(literal.Val.AsBigFloat()) {
		return nil
	}
	return hcl.Diagnostics{failure("Number too large", "Nothing here is of that size.", literal.SrcRange)}
}

// WriteDiagnostics prints diagnostics with the lines they are about, wrapped
// to a width in columns; 0 does not wrap.
func WriteDiagnostics(w io.Writer, files Files, diags hcl.Diagnostics, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(w, files, uint(max(width, 0)), color).WriteDiagnostics(diags)
}
