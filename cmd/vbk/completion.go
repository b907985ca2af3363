package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func (env *environment) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion of this command line for a shell", ArgsUsage: "bash|zsh|fish",
		UsageText: "vbk completion bash|zsh|fish",
		Description: "It completes commands, flags and their values, addresses, domains, points and disks. The\npackages of vbk bring it along. For one user:\n\n" +
			"  vbk completion bash > ~/.local/share/bash-completion/completions/vbk\n" +
			"  vbk completion zsh  > ~/.zfunc/_vbk    # with fpath+=~/.zfunc before compinit\n" +
			"  vbk completion fish > ~/.config/fish/completions/vbk.fish",
		Action: func(c *cli.Context) error {
			script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Args().First()]
			if !ok || c.NArg() != 1 {
				return hint(fmt.Errorf("vbk completion takes one of bash, zsh, fish, got %q", strings.Join(c.Args().Slice(), " ")), "vbk completion bash")
			}
			_, err := io.WriteString(env.stdout, script)
			return err
		},
	}
}

// The scripts hand over the words up to the cursor, and what vbk answers to their
// shell. They have no list of commands and flags: that is the program's.

// bashCompletion puts together again what bash takes apart at = : and @, and
// leaves out of the answer what stands before the last of these; an @ itself
// belongs to what follows.
const bashCompletion = `# bash completion for vbk; vbk completion bash prints it.
_vbk() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() offered=() word line prefix i
  COMPREPLY=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $i -eq 0 || $rest == [[:space:]]* ]]; then
      rest=${rest#"${rest%%[![:space:]]*}"}
      words+=("")
    fi
    [[ $i -lt $COMP_CWORD ]] || word=$rest
    words[${#words[@]}-1]+=$word
    rest=${rest#"$word"}
  done
  mapfile -t offered < <(VBK_LOG= "${words[0]/#\~\//$HOME/}" complete-words -- "${words[@]:1}" 2>/dev/null)
  for line in "${offered[@]}"; do
    case $line in
      :files) compopt -o default ;;
      :directories) compopt -o dirnames -o filenames ;;
      :nospace) compopt -o nospace ;;
      *) printf -v word %q "${line%%$'\t'*}"; COMPREPLY+=("$word") ;;
    esac
  done
  word=${words[${#words[@]}-1]}
  prefix=${word%"${word##*[:=]}"}
  word=${word#"$prefix"}
  [[ $word != *@* ]] || prefix+=${word%@*}
  [[ -z $prefix ]] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
} 2>/dev/null
complete -F _vbk vbk
`

const zshCompletion = `#compdef vbk
# zsh completion for vbk; vbk completion zsh prints it.
_vbk() {
  local -a offered described goes_on
  local line word
  offered=(${(f)"$(VBK_LOG= ${~words[1]} complete-words -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"})
  for line in $offered; do
    case $line in
      :files) _files; return ;;
      :directories) _files -/; return ;;
      :nospace) goes_on=(-S '') ;;
      *)
        word=${line%%$'\t'*}
        if [[ $line == *$'\t'* ]]; then
          described+=("${word//:/\\:}:${line#*$'\t'}")
        else
          described+=("${word//:/\\:}")
        fi ;;
    esac
  done
  _describe -V 'vbk' described "${(@)goes_on}"
}
if [ "$funcstack[1]" = _vbk ]; then _vbk "$@"; else compdef _vbk vbk; fi
`

const fishCompletion = `# fish completion for vbk; vbk completion fish prints it.
function __vbk_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l vbk $words[1]
    set -e words[1]
    for line in (env VBK_LOG= $vbk complete-words -- $words $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':directories'
                __fish_complete_directories $current ''
            case ':nospace' # fish adds none behind @ and =
            case '*'
                printf '%s\n' $line
        end
    end
end
complete -c vbk -f -k -a '(__vbk_complete)'
`
