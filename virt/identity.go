package virt

import (
	"regexp"
	"strings"
)

// onOthers is how an Identity begins to tell of each image below.
const onOthers = ", on "

// LiesOnOthers says whether an image with this Identity has others below it.
func LiesOnOthers(identity string) bool { return strings.Contains(identity, onOthers) }

// belowState is what an Identity tells of an image below that changes with what is in it.
var belowState = regexp.MustCompile(` of [0-9]+ bytes written [^,]*`)

// SameButBelow says whether two Identities are of the same images, and differ at most in
// the sizes of those below and in when they were written to.
func SameButBelow(a, b string) bool {
	return a != "" && belowState.ReplaceAllString(a, "") == belowState.ReplaceAllString(b, "")
}
