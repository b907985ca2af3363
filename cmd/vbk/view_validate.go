package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"vbk/config"
)

// The shape is that of terraform validate -json, so that editors and
// annotators made for it read it.
type validation struct {
	FormatVersion string       `json:"format_version"`
	Valid         bool         `json:"valid"`
	ErrorCount    int          `json:"error_count"`
	WarningCount  int          `json:"warning_count"`
	Diagnostics   []diagnostic `json:"diagnostics"`
}

type diagnostic struct {
	Severity string   `json:"severity"` // "error" or "warning"
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail"`
	Range    *extent  `json:"range,omitempty"`
	Snippet  *snippet `json:"snippet,omitempty"`
}

type extent struct {
	Filename string   `json:"filename"`
	Start    position `json:"start"`
	End      position `json:"end"`
}

// position counts lines and columns from 1, bytes from 0.
type position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// snippet is the source that a diagnostic is about. The offsets are bytes in
// the code.
type snippet struct {
	Context   *string  `json:"context"`
	Code      string   `json:"code"`
	StartLine int      `json:"start_line"`
	Start     int      `json:"highlight_start_offset"`
	End       int      `json:"highlight_end_offset"`
	Values    []string `json:"values"` // always empty: a value may be a secret
}

// validateJSON prints all diagnostics; the exit code is 1 if there are errors.
func (env *environment) validateJSON() error {
	in := env.inputs()
	in.Partial = true
	_, files, diags := config.Load(env.dir, in)
	v := validation{FormatVersion: "1.0", Valid: !diags.HasErrors(), Diagnostics: []diagnostic{}}
	for _, d := range diags {
		if d.Severity == hcl.DiagWarning {
			v.WarningCount++
		} else {
			v.ErrorCount++
		}
		v.Diagnostics = append(v.Diagnostics, diagnosticOf(d, files))
	}
	out := json.NewEncoder(env.stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("print diagnostics: %w", err)
	}
	if !v.Valid {
		return exit(exitUsage)
	}
	return nil
}

func diagnosticOf(d *hcl.Diagnostic, files map[string]*hcl.File) diagnostic {
	shown := diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		shown.Severity = "warning"
	}
	if d.Subject != nil {
		shown.Range = &extent{d.Subject.Filename, positionOf(d.Subject.Start), positionOf(d.Subject.End)}
		shown.Snippet = snippetOf(*d.Subject, files[d.Subject.Filename])
	}
	return shown
}

func positionOf(p hcl.Pos) position { return position{p.Line, p.Column, p.Byte} }

// snippetOf are the lines of a range; nil without the source.
func snippetOf(r hcl.Range, file *hcl.File) *snippet {
	if file == nil || r.Start.Byte > r.End.Byte || r.End.Byte > len(file.Bytes) {
		return nil
	}
	first := strings.LastIndexByte(string(file.Bytes[:r.Start.Byte]), '\n') + 1
	last := len(file.Bytes)
	if n := strings.IndexByte(string(file.Bytes[r.End.Byte:]), '\n'); n >= 0 {
		last = r.End.Byte + n
	}
	s := snippet{Code: string(file.Bytes[first:last]), StartLine: r.Start.Line, Start: r.Start.Byte - first, End: r.End.Byte - first, Values: []string{}}
	if file.Nav != nil {
		if nav, ok := file.Nav.(interface{ ContextString(offset int) string }); ok {
			if context := nav.ContextString(r.Start.Byte); context != "" {
				s.Context = &context
			}
		}
	}
	return &s
}
