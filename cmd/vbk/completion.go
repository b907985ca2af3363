package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

func (env *environment) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion of this command line for a shell", ArgsUsage: "bash|zsh|fish",
		UsageText: "vbk completion bash|zsh|fish",
		Description: "The packages of vbk bring them along. For one user:\n\n" +
			"  vbk completion bash > ~/.local/share/bash-completion/completions/vbk\n" +
			"  vbk completion zsh  > ~/.zfunc/_vbk      # with fpath+=~/.zfunc before compinit\n" +
			"  vbk completion fish > ~/.config/fish/completions/vbk.fish",
		Action: func(c *cli.Context) error {
			global, commands := commandTable(c.App)
			if c.NArg() == 1 {
				switch c.Args().First() {
				case "bash":
					fmt.Fprint(env.stdout, bashCompletion(global, commands))
					return nil
				case "zsh":
					fmt.Fprint(env.stdout, zshCompletion(global, commands))
					return nil
				case "fish":
					fmt.Fprint(env.stdout, fishCompletion(global, commands))
					return nil
				}
			}
			return hint(fmt.Errorf("vbk completion takes one of bash, zsh, fish, got %q", strings.Join(c.Args().Slice(), " ")), "vbk completion bash")
		},
	}
}

// bashCompletion offers what fits in the place of the word under the cursor. Flags
// are offered with as many dashes as have been typed.
func bashCompletion(global []flagRow, commands []commandRow) string {
	var b strings.Builder
	b.WriteString(bashHead)
	valued := func(command string, flags []flagRow) {
		for _, f := range flags {
			if f.value != "" {
				fmt.Fprintf(&b, "    '%s -%s') %s ;;\n", command, f.name, bashValues(f.takes))
			}
		}
	}
	valued("", global)
	for _, c := range commands {
		valued(c.name, c.flags)
	}
	b.WriteString("    *) known= ;;\n  esac\n  [ -z \"$known\" ] || return 0\n  case $command in\n")
	fmt.Fprintf(&b, "    '') flags='%s' words='%s' ;;\n", flagNames(global), strings.Join(namesOf(commands), " "))
	for _, c := range commands {
		fmt.Fprintf(&b, "    %s) flags='%s'; %s ;;\n", c.name, flagNames(c.flags), bashValues(c.takes))
	}
	b.WriteString(bashTail)
	return b.String()
}

const bashHead = `# bash completion for vbk; vbk completion bash prints it.
_vbk() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= flags= words= known=1 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -chdir | --chdir) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case "$command ${prev/#--/-}" in
`

const bashTail = `  esac
  case $cur in
    --*) flags=" $flags"; COMPREPLY=($(compgen -W "${flags// -/ --}" -- "$cur")) ;;
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")) ;;
    *) [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
  esac
}
complete -F _vbk vbk
`

// bashValues fills COMPREPLY, or words.
func bashValues(v values) string {
	switch {
	case v.files:
		return `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
	case v.directories:
		return `compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur")`
	case len(v.words) > 0:
		return fmt.Sprintf(`COMPREPLY=($(compgen -W '%s' -- "$cur"))`, strings.Join(v.words, " "))
	}
	return ":"
}

func flagNames(flags []flagRow) string {
	all := []string{"-help"}
	for _, f := range flags {
		all = append(all, "-"+f.name)
	}
	return strings.Join(all, " ")
}

func namesOf(commands []commandRow) []string {
	var all []string
	for _, c := range commands {
		all = append(all, c.name)
	}
	return all
}

func zshCompletion(global []flagRow, commands []commandRow) string {
	var b strings.Builder
	b.WriteString("#compdef vbk\n# zsh completion for vbk; vbk completion zsh prints it.\n_vbk() {\n  local -a commands\n  commands=(\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "    %s\n", singleQuoted(c.name+":"+zshText(c.usage)))
	}
	b.WriteString("  )\n  local curcontext=$curcontext state line\n  _arguments -C \\\n")
	b.WriteString(zshFlags(global, "    "))
	b.WriteString("    '1: :->command' '*:: :->arguments' && return\n  case $state in\n    command) _describe -t commands command commands ;;\n" +
		"    arguments)\n      case $words[1] in\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "        %s)\n          _arguments \\\n%s            %s ;;\n", c.name, zshFlags(c.flags, "            "),
			singleQuoted("*:argument:"+zshValues(c.takes)))
	}
	b.WriteString("      esac ;;\n  esac\n}\nif [ \"$funcstack[1]\" = _vbk ]; then _vbk \"$@\"; else compdef _vbk vbk; fi\n")
	return b.String()
}

func zshFlags(flags []flagRow, indent string) string {
	text := indent + "'(- *)-help[print help]' \\\n"
	for _, f := range flags {
		spec := fmt.Sprintf("-%s[%s]", f.name, zshText(f.usage))
		if f.repeats {
			spec = "*" + spec
		}
		if f.value != "" {
			spec += ":" + zshText(f.value) + ":" + zshValues(f.takes)
		}
		text += indent + singleQuoted(spec) + " \\\n"
	}
	return text
}

func zshValues(v values) string {
	switch {
	case v.files:
		return "_files"
	case v.directories:
		return "_files -/"
	case len(v.words) > 0:
		return "(" + strings.Join(v.words, " ") + ")"
	}
	return " "
}

// zshText may stand between brackets and colons.
func zshText(s string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, "[", `\[`, "]", `\]`).Replace(s)
}

func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fishCompletion(global []flagRow, commands []commandRow) string {
	var b strings.Builder
	b.WriteString("# fish completion for vbk; vbk completion fish prints it.\ncomplete -c vbk -f\n")
	fmt.Fprintf(&b, "set -l commands %s\n", strings.Join(namesOf(commands), " "))
	const before = `-n "not __fish_seen_subcommand_from $commands"`
	for _, f := range global {
		b.WriteString(fishFlag(before, f))
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "complete -c vbk %s -a %s -d %s\n", before, c.name, fishQuoted(c.usage))
	}
	for _, c := range commands {
		when := "-n '__fish_seen_subcommand_from " + c.name + "'"
		for _, f := range c.flags {
			b.WriteString(fishFlag(when, f))
		}
		if v := fishValues(c.takes); v != "" {
			fmt.Fprintf(&b, "complete -c vbk %s%s\n", when, v)
		}
	}
	return b.String()
}

func fishFlag(when string, f flagRow) string {
	line := fmt.Sprintf("complete -c vbk %s -o %s", when, f.name)
	if v := fishValues(f.takes); v != "" {
		line += " -r" + v
	} else if f.value != "" {
		line += " -x"
	}
	return line + " -d " + fishQuoted(f.usage) + "\n"
}

func fishValues(v values) string {
	switch {
	case v.files:
		return " -F"
	case v.directories:
		return " -f -a '(__fish_complete_directories)'"
	case len(v.words) > 0:
		return " -f -a " + fishQuoted(strings.Join(v.words, " "))
	}
	return ""
}

func fishQuoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
