package config

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// What stands beside a backup: copies and hooks, which have a label each.

func copySpec() spec[Copy] {
	return spec[Copy]{
		fields: []field[Copy]{
			at("to", kind[string]{form: "reference", read: storeReference, show: showStore}, func(c *Copy) *string { return &c.To },
				"The store that the copies go to.").required(),
			at("only", wordOf(word("all", "all of them"), word("full", "fulls only")), func(c *Copy) *string { return &c.Only }, "Which points are copied."),
		},
		blocks: []block[Copy]{copyRetention()},
	}
}

func copyRetention() block[Copy] {
	b := nested("retention", "Which copies stay.", retentionFields(func(c *Copy) *Retention { return &c.Retention })...)
	b.Like = "retention"
	return b
}

func defaultCopy(name string) Copy {
	return Copy{Name: name, Only: "all", Retention: defaultRetention()}
}

func copyBlock() block[Domain] {
	return block[Domain]{
		Block: Block{Name: "copy", Labels: []string{"name"}, Status: Refused, About: "A second place for points. One of the same name replaces that of the policy."},
		read:  readCopy, describe: func(Domain) ([]Argument, []Block) { return copySpec().describe(defaultCopy("")) },
	}
}

// readCopy takes the place of a copy of the same name.
func readCopy(r reader, b *hcl.Block, d *Domain, _ Domain) hcl.Diagnostics {
	c := defaultCopy(b.Labels[0])
	l := newLedger(r.ledger.block)
	diags := decode(reader{in: r.in, ledger: l}, b.Body, copySpec(), &c, defaultCopy(c.Name))
	r.ledger.unknown = r.ledger.unknown || l.unknown
	d.Policy.Copies = put(d.Policy.Copies, c, func(c Copy) string { return c.Name }, strings.Compare)
	r.ledger.enter("copy."+c.Name, b.DefRange)
	return diags
}

func hookSpec() spec[Hook] {
	return spec[Hook]{fields: []field[Hook]{
		at("command", kind[[]string]{form: "list of string", read: command, show: showList}, func(h *Hook) *[]string { return &h.Command },
			"The program and its arguments. No shell reads it. It runs in the working directory, which `-chdir` names, and has no standard input.").required(),
		at("env", textMaps, func(h *Hook) *map[string]string { return &h.Env },
			"Variables of its environment, besides those of vbk and what is said below. No plan, manifest, log or error shows the values.").secret().otherwise("none"),
		at("timeout", durations, func(h *Hook) *Duration { return &h.Timeout },
			"How long it may run. Then it is killed, with all that it has started but what has begun a session of its own."),
		at("on_fail", wordOf(
			word("abort", "in `pre`, whose default it is, the backup fails; in `post` the domain fails, whose point is kept, and nothing is deleted after it"),
			word("warn", "it is reported"),
		), func(h *Hook) *string { return &h.OnFail }, "What is done if it exits with another code than 0."),
	}}
}

// hookOrder is that of a run.
var hookOrder = []string{"pre", "post", "fail"}

func defaultHook(when string) Hook {
	h := Hook{When: when, Timeout: Duration(5 * time.Minute), OnFail: "warn"}
	if when == "pre" {
		h.OnFail = "abort"
	}
	return h
}

func hookBlock() block[Domain] {
	return block[Domain]{
		Block: Block{Name: "hook", Labels: []string{"when"}, About: "A program that runs beside a backup, on the host that vbk runs on. " +
			"WHEN is `\"pre\"`: before the backup; `\"post\"`: when the point is durable; or `\"fail\"`: when the backup failed or could not be planned. One with the same label replaces that of the policy.",
			Notes: []string{
				"After `pre` exactly one of `post` and `fail` runs, also after Ctrl-C, as long as vbk itself is not killed.",
				"It has the environment of vbk, its own `env`, and `VBK_HOOK`, `VBK_DOMAIN`, `VBK_UUID`, `VBK_HOST`, `VBK_URI`, `VBK_STORE`, `VBK_ADDRESS`; `VBK_KIND` (`full`, `inc`, `resync`) in `pre` and `post`; " +
					"`VBK_POINT` (as `vbk restore` takes it) and `VBK_STORED_BYTES` in `post`; `VBK_ERROR` in `fail`.",
				"The last line that a failing hook prints is part of the error, without the values of `env`. A saved plan holds no hook: `vbk apply` takes those of the configuration.",
			}},
		read: readHook, describe: func(Domain) ([]Argument, []Block) { return hookSpec().describe(defaultHook("post")) },
	}
}

// readHook takes the place of a hook with the same label.
func readHook(r reader, b *hcl.Block, d *Domain, _ Domain) hcl.Diagnostics {
	when := b.Labels[0]
	if !slices.Contains(hookOrder, when) {
		return hcl.Diagnostics{failure("Unknown hook", `A hook is "pre", "post" or "fail".`, b.LabelRanges[0])}
	}
	h := defaultHook(when)
	l := newLedger(r.ledger.block)
	diags := decode(reader{in: r.in, ledger: l}, b.Body, hookSpec(), &h, defaultHook(when))
	r.ledger.unknown = r.ledger.unknown || l.unknown
	d.Policy.Hooks = put(d.Policy.Hooks, h, func(h Hook) string { return h.When }, func(a, b string) int {
		return cmp.Compare(slices.Index(hookOrder, a), slices.Index(hookOrder, b))
	})
	r.ledger.enter("hook."+when, b.DefRange)
	return diags
}

// command reads a program and its arguments.
func command(v cty.Value) ([]string, error) {
	argv, err := listOrNone(v, text)
	if err == nil && (len(argv) == 0 || argv[0] == "") {
		return nil, errors.New("the list must start with a program")
	}
	return argv, err
}

// put replaces the element with the same name, or adds one, in a new list that
// is in order.
func put[E any](list []E, e E, name func(E) string, order func(a, b string) int) []E {
	list = slices.DeleteFunc(slices.Clone(list), func(other E) bool { return name(other) == name(e) })
	list = append(list, e)
	slices.SortFunc(list, func(a, b E) int { return order(name(a), name(b)) })
	return list
}
