package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
)

// The endings of configuration files.
const (
	nativeSuffix = ".vbk.hcl"
	jsonSuffix   = ".vbk.json"
)

// Files are the parsed files by name, with their source, for printing
// diagnostics.
type Files map[string]*hcl.File

// Load reads the *.vbk.hcl and *.vbk.json files of a directory, not those
// below it and not hidden ones. The Config is nil if there are errors.
func Load(dir string) (*Config, Files, hcl.Diagnostics) {
	sources, err := readSources(dir)
	if err != nil {
		return nil, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the configuration", Detail: sentence(err)}}
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the configuration", Detail: sentence(err)}}
	}
	if len(sources) == 0 {
		return nil, nil, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "No configuration",
			Detail:   fmt.Sprintf("There is no *%s or *%s file in %s. The command \"vbk init\" writes one.", nativeSuffix, jsonSuffix, absolute),
		}}
	}
	return Parse(absolute, sources)
}

// readSources returns the configuration files of a directory by path, each
// path starting with dir as it is given.
func readSources(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sources := map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, nativeSuffix) && !strings.HasSuffix(name, jsonSuffix) {
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
	if strings.HasSuffix(name, jsonSuffix) {
		return json.Parse(source, name)
	}
	return hclsyntax.ParseConfig(source, name, hcl.InitialPos)
}

// WriteDiagnostics prints diagnostics with the lines they are about, wrapped
// to a width in columns; 0 does not wrap.
func WriteDiagnostics(w io.Writer, files Files, diags hcl.Diagnostics, width int, color bool) error {
	return hcl.NewDiagnosticTextWriter(w, files, uint(max(width, 0)), color).WriteDiagnostics(diags)
}
