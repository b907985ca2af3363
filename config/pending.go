package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// What this version does not act on is never ignored in silence. Where the
// backup would not be what was asked, the sentence goes into Pending, and the
// planner refuses the instance; where it is harmless there is a warning.

func pendingSentence(what string) string {
	return what + " is " + errNotYet.Error()
}

// refusedLater is the warning about what plan will refuse.
func refusedLater(sentence string, at hcl.Range) *hcl.Diagnostic {
	return warning("Not acted on yet", sentence+". Plan refuses the domains that it concerns; all others are backed up.", at)
}

// withoutEffect is the warning about what is harmless.
func withoutEffect(what string, at hcl.Range) *hcl.Diagnostic {
	return warning("Not acted on yet", fmt.Sprintf("%s is %s. Backups are made without it.", what, errNotYet), at)
}

// gap is a setting of a policy that this version does not act on.
type gap struct {
	path    string
	what    string
	asked   func(Policy) bool
	refused bool // a backup without it is not what was asked
}

func gaps() []gap {
	return []gap{
		{"verify.every", "verify { every }", func(p Policy) bool { return p.Verify.Every != 0 }, false},
	}
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
	for _, g := range gaps() {
		origin, written := d.ledger.from[g.path]
		switch {
		case g.refused && g.asked(d.Policy):
			refuse(g.path, g.what)
		case !g.refused && written && (g.asked == nil || g.asked(d.Policy)):
			diags = append(diags, withoutEffect(g.what, origin.Range))
		}
	}
	for _, c := range d.Policy.Copies {
		refuse("copy."+c.Name, fmt.Sprintf("copy %q", c.Name))
	}
	return diags
}
