package virt

import "strings"

// onOthers is how an Identity begins to tell of each image below.
const onOthers = ", on "

// LiesOnOthers says whether an image with this Identity has others below it.
func LiesOnOthers(identity string) bool { return strings.Contains(identity, onOthers) }

// SameButBelow says whether two Identities differ in nothing but the state of the images
// below, of which there are as many.
func SameButBelow(a, b string) bool {
	x, y := strings.Split(a, onOthers), strings.Split(b, onOthers)
	return x[0] == y[0] && x[0] != "" && len(x) == len(y)
}
