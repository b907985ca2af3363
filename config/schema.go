package config

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// Language is the language of configurations as data: what Parse takes, described.
// It is made from the tables that decode blocks, so it cannot say anything else.
type Language struct {
	Blocks    []Block    // at the top of a file, in the order of the reference
	Policy    Block      // what policy and domain blocks have in common; it has no name
	Forms     []Form     // the types of arguments
	Values    []Value    // what expressions can look into
	Functions []Function // by group and name
}

// Status says what this version does with a part of the language.
type Status int

// A part that is Refused is valid, validate warns, and plan refuses the domains
// that it concerns. One that is kept for Later is an error.
const (
	ActedOn Status = iota
	Refused
	Later
)

// Block is a kind of block.
type Block struct {
	Name      string   // "store", "retention"
	Kind      string   // the first label, where it has to be this one: "local"
	Labels    []string // the names of the other labels: "name"
	About     string   // one sentence or more; names are in backquotes, as everywhere
	Notes     []string // paragraphs about more than one argument
	Several   bool     // it may be repeated with the same labels
	Open      bool     // it holds arguments of any name
	Policy    bool     // it has what is in Language.Policy as well
	Like      string   // the block of Language.Policy that has the same arguments, "" if none has
	Arguments []Argument
	Blocks    []Block
	Yields    []Argument // attributes of a reference to it, in expressions
	Example   string     // files of a configuration that have all of it
	Status    Status
}

// Argument is an attribute of a block.
type Argument struct {
	Name      string
	Type      string // name of a Form, or "list of", "set of", "map of" and one
	About     string
	Words     []Word // what else the type allows, or all that is allowed of a string
	Low, High int64  // of a number
	Required  bool
	Default   string // in HCL, "" where it is nothing that could be written
	Otherwise string // what holds without the argument, where Default does not say it
	Sensitive bool   // it may be
	Status    Status
}

// Word is a value that has a meaning of its own.
type Word struct {
	Text   string
	About  string
	Status Status
}

// Form is a type of arguments, and how its values are written.
type Form struct {
	Name     string
	About    string
	Examples []string // in HCL
	Mistakes []string // what is not accepted, in HCL
	Pattern  string   // a regular expression that text of it matches, "" if there is none

	read func(cty.Value) error // nil where it is more than a value
}

// Value is something that expressions can name besides blocks.
type Value struct {
	Name  string // "vbk.instances", "each"
	About string
	Where string // which expressions see it
	Has   []Argument
}

// Function is one that expressions can call.
type Function struct {
	Name    string
	Call    string // with the names of its parameters: substr(str, offset, length)
	Group   string
	About   string
	Example string // a call
	Result  string // of the example, in HCL
}

//go:embed examples
var examples embed.FS

// exampleOf is the example of a block: examples/store.local.vbk.hcl.
func exampleOf(path string) string {
	text, err := examples.ReadFile("examples/" + path + nativeSuffix)
	if err != nil {
		panic(fmt.Sprintf("config: the block %s has no example: %v", path, err))
	}
	return string(text)
}

// Header is how a block begins: store "local" NAME.
func (b Block) Header() string {
	words := []string{b.Name}
	if b.Kind != "" {
		words = append(words, showText(b.Kind))
	}
	for _, l := range b.Labels {
		words = append(words, strings.ToUpper(l))
	}
	return strings.Join(words, " ")
}

// path is the block's name in paths: "store.local".
func (b Block) path() string { return strings.TrimSuffix(b.Name+"."+b.Kind, ".") }

// labelNames are the labels as HCL is to read them.
func (b Block) labelNames() []string {
	if b.Kind == "" {
		return b.Labels
	}
	return slices.Concat([]string{"kind"}, b.Labels)
}

// Describe is the language of this version.
func Describe() Language {
	l := Language{Blocks: topBlocks(), Policy: policyBlock(), Forms: forms(), Values: visible()}
	for i := range l.Blocks {
		l.Blocks[i].Example = exampleOf(l.Blocks[i].path())
	}
	for i, b := range l.Policy.Blocks {
		if b.Status != Later {
			l.Policy.Blocks[i].Example = exampleOf("policy." + b.path())
		}
	}
	l.Policy.Example = exampleOf("policy.all")
	for _, f := range functionTable(".") {
		l.Functions = append(l.Functions, f.Function)
	}
	return l
}
