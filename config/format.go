package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns HCL source in canonical layout. Source with syntax errors may
// come out in any layout; FormatFile leaves it alone.
func Format(source []byte) []byte { return hclwrite.Format(source) }

// FormatFile reads a file and returns its source as it is and in canonical
// layout. It writes nothing. A file that cannot be read or has syntax errors is
// told in the diagnostics, and after equals before.
func FormatFile(path string) (before, after []byte, diags hcl.Diagnostics) {
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the file", Detail: sentence(err)}}
	}
	if _, diags = hclsyntax.ParseConfig(before, path, hcl.InitialPos); diags.HasErrors() {
		return before, before, diags
	}
	return before, Format(before), diags
}

// FindFormattable lists the files to format: the paths that are files, and the
// *.vbk.hcl and *.vbkvars files of those that are directories, with recursive
// also below them. Hidden files and directories below a path are left out.
func FindFormattable(paths []string, recursive bool) ([]string, error) {
	var found []string
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			hidden := path != root && strings.HasPrefix(entry.Name(), ".")
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != root && (hidden || !recursive):
				return fs.SkipDir
			case path == root && !entry.IsDir(), !entry.IsDir() && !hidden && (strings.HasSuffix(path, nativeSuffix) || strings.HasSuffix(path, varsSuffix)):
				found = append(found, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
