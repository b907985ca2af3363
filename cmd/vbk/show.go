package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/plan"
)

// commentLimit is what fits into a comment at GitHub, with room for a sentence
// of whoever posts it.
const commentLimit = 60000

func (env *environment) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "print a saved plan, stale or not", ArgsUsage: "PLANFILE",
		UsageText: "vbk show [-json [-kept] | -format text|json|markdown|gitlab] PLANFILE",
		Description: "json is Terraform's shape, with an entry for each point (docs/json.md). markdown is for a comment\n" +
			"in a review, gitlab the report of GitLab's widget for Terraform plans.\n\n" +
			"  vbk show tonight.plan\n  vbk show -json -kept tonight.plan\n  vbk show -format markdown tonight.plan",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "print as `FORMAT`: text, json, markdown or gitlab", Value: "text"},
			&cli.BoolFlag{Name: "json", Usage: "the same as -format json"},
			&cli.BoolFlag{Name: "kept", Usage: "with json: the points that stay, too"},
			&cli.IntFlag{Name: "max-bytes", Usage: "with markdown: leave out what is beyond `N` bytes", Value: commentLimit},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return fmt.Errorf("vbk show needs one plan file")
			}
			format, err := showFormat(c)
			if err != nil {
				return err
			}
			p, err := env.readPlan(c.Args().First())
			if err != nil {
				return err
			}
			return env.showAs(p, format, c)
		},
	}
}

func showFormat(c *cli.Context) (string, error) {
	format := c.String("format")
	if c.Bool("json") {
		if c.IsSet("format") && format != "json" {
			return "", fmt.Errorf("flags -json and -format %s exclude each other", format)
		}
		format = "json"
	}
	if c.Bool("kept") && format != "json" {
		return "", errors.New("flag -kept: only JSON lists the points that stay")
	}
	if c.IsSet("max-bytes") && format != "markdown" {
		return "", errors.New("flag -max-bytes: only Markdown is cut")
	}
	return format, nil
}

func (env *environment) showAs(p plan.Plan, format string, c *cli.Context) error {
	switch format {
	case "text":
		env.showPlan(p)
		return nil
	case "json":
		return writeJSON(env.stdout, documentOf(p, c.Bool("kept")))
	case "gitlab":
		s := sumsOf(p)
		return writeJSON(env.stdout, gitlabReport{Create: s.Add, Update: s.Change, Delete: s.Destroy})
	case "markdown":
		text, err := markdownPlan(p, c.Int("max-bytes"))
		if err != nil {
			return err
		}
		fmt.Fprintln(env.stdout, strings.TrimSuffix(text, "\n"))
		return nil
	}
	return fmt.Errorf("flag -format: %q is none of text, json, markdown, gitlab", format)
}

// readPlan takes the name as it was typed, for the hint.
func (env *environment) readPlan(name string) (plan.Plan, error) {
	if isConfiguration(name) {
		return plan.Plan{}, hint(fmt.Errorf("%s is a configuration, not a saved plan", name), "vbk plan -out FILE saves a plan; -chdir names the directory of the configuration")
	}
	text, err := os.ReadFile(env.path(name))
	if err != nil {
		return plan.Plan{}, hint(err, "vbk plan -out FILE saves a plan")
	}
	p, err := plan.Decode(text)
	switch {
	case errors.Is(err, plan.ErrNoPlan): // which vbk plan -out must not replace
		return plan.Plan{}, hint(fmt.Errorf("%s: %w", name, err), "vbk plan -out FILE saves a plan")
	case err != nil:
		return plan.Plan{}, hint(fmt.Errorf("%s: %w", name, err), "make it again: vbk plan -out %s", name)
	}
	return p, nil
}
