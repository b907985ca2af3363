package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// assignment gives a variable a value.
type assignment struct {
	expr hcl.Expression // in a file; nil: text
	text string
	from string // "-var", "the environment variable VBK_VAR_x", "prod.auto.vbkvars:3"
}

// assignments collects what gives variables values, the winner last:
// environment, vbk.vbkvars, *.auto.vbkvars by name, command line.
func (p *parser) assignments(declared map[string]variable) map[string][]assignment {
	all := map[string][]assignment{}
	if p.inputs.Getenv != nil {
		for name := range declared {
			if text := p.inputs.Getenv("VBK_VAR_" + name); text != "" {
				all[name] = append(all[name], assignment{text: text, from: "the environment variable VBK_VAR_" + name})
			}
		}
	}
	for _, f := range p.varFiles {
		p.assignFile(f, declared, all)
	}
	for _, arg := range p.inputs.Vars {
		if arg.File != "" {
			p.assignFile(varFile{arg.File, arg.source}, declared, all)
			continue
		}
		name, text, found := strings.Cut(arg.Assignment, "=")
		if _, known := declared[name]; known && found {
			all[name] = append(all[name], assignment{text: text, from: "-var"})
			continue
		}
		p.report(refusedArgument(name, found, declared))
	}
	return all
}

// refusedArgument does not quote what follows the equals sign, nor an argument
// without one: it may be a secret.
func refusedArgument(name string, found bool, declared map[string]variable) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Invalid -var", Detail: "Write -var 'NAME=VALUE'."}
	if found && name != "" {
		d.Summary = "Undeclared variable"
		d.Detail = fmt.Sprintf("-var sets %q, and the configuration has no such variable.%s", name, meant("", name, slices.Sorted(maps.Keys(declared))))
	}
	return d
}

// varFile is a file of values.
type varFile struct {
	name   string
	source []byte
}

// assignFile reads one file of values. Diagnostics show its lines only if none
// of them can be a secret.
func (p *parser) assignFile(f varFile, declared map[string]variable, all map[string][]assignment) {
	file, diags := parseFile(f.name, f.source)
	p.report(diags...)
	if diags.HasErrors() {
		return
	}
	attrs, diags := file.Body.JustAttributes()
	p.report(diags...)
	open := true
	for name, attr := range attrs {
		v, known := declared[name]
		open = open && known && !v.sensitive && !v.broken
		if !known {
			p.report(warning("Undeclared variable",
				fmt.Sprintf("The file sets %q, and the configuration has no such variable.%s", name, meant("", name, slices.Sorted(maps.Keys(declared)))), attr.NameRange))
			continue
		}
		all[name] = append(all[name], assignment{expr: attr.Expr, from: fmt.Sprintf("%s:%d", filepath.Base(f.name), attr.Range.Start.Line)})
	}
	if open {
		p.files[f.name] = file
	}
}
