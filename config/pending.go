package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// What this version does not act on is never ignored in silence: the sentence goes
// into Pending, and the planner refuses the instance.

func pendingSentence(what string) string {
	return what + " is " + errNotYet.Error()
}

// refusedLater is the warning about what plan will refuse.
func refusedLater(sentence string, at hcl.Range) *hcl.Diagnostic {
	return warning("Not acted on yet", sentence+". Plan refuses the domains that it concerns; all others are backed up.", at)
}

// pending notes in the policy what is refused, and returns the warnings, each
// at the place of the setting.
func (d *draft) pending() hcl.Diagnostics {
	var diags hcl.Diagnostics
	refuse := func(path, what string) {
		s := pendingSentence(what)
		d.Policy.Pending = append(d.Policy.Pending, s)
		diags = append(diags, refusedLater(s, d.ledger.place(d.Range, path)))
	}
	for _, c := range d.Policy.Copies {
		refuse("copy."+c.Name, fmt.Sprintf("copy %q", c.Name))
	}
	return diags
}
