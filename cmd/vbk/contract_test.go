package main

import (
	"slices"
	"strings"
	"testing"
)

// commandLine is what a Terraform user expects to find, and never to lose: each
// command with its flags (docs/compatibility.md).
const commandLine = `
init       from-host store var var-file new-store
fmt        check diff recursive
validate   json effective var var-file
plan       out json json-into detailed-exitcode target exclude full allow-prune no-prune fail-on-check now inventory base var var-file
apply      auto-approve json json-into parallelism lock-timeout target exclude full allow-prune no-prune fail-on-check var var-file
show       json format max-bytes kept
survey     out var var-file
list       i json var var-file
status     format o var var-file
restore    instant rate o disk format define start name to i until resume preallocate keep-identity trust-xml host connect var var-file
verify     read-data i var var-file
serve      while socket listen writable i until disk tls overlays run var var-file
drill      wait boot timeout i until scratch trust-xml host connect var var-file
simulate   for from jitter seed change size inventory days json o var var-file
dump       json
convert    i until o stream codec level var var-file
import     store trust var var-file
protect    until off why var var-file
version    json
completion
manual     format
`

// TestCommandLine wants everything that was promised to be there. What is new may
// be there, too, and is to be added.
func TestCommandLine(t *testing.T) {
	app := (&environment{}).app()
	var promised []string
	for line := range strings.Lines(strings.TrimSpace(commandLine)) {
		words := strings.Fields(line)
		promised = append(promised, words[0])
		command := app.Command(words[0])
		if command == nil {
			t.Errorf("there is no command %s", words[0])
			continue
		}
		known := flagTable(command.Flags)
		for _, flag := range words[1:] {
			if _, ok := known[flag]; !ok {
				t.Errorf("vbk %s has no flag -%s", words[0], flag)
			}
		}
		for flag := range known {
			if flag != "help" && flag != "h" && !slices.Contains(words[1:], flag) {
				t.Errorf("vbk %s -%s is not in the table of what stays", words[0], flag)
			}
		}
	}
	for _, c := range app.VisibleCommands() {
		if !slices.Contains(promised, c.Name) {
			t.Errorf("vbk %s is not in the table of what stays", c.Name)
		}
	}
	for _, flag := range []string{"chdir", "no-color"} {
		if _, ok := flagTable(app.Flags)[flag]; !ok {
			t.Errorf("there is no flag -%s before the command", flag)
		}
	}
}

func noEnvironment(string) string { return "" }
