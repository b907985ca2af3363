package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ask wants the word yes, as Terraform does.
func (env *environment) ask(ctx context.Context) error {
	if env.silent() {
		return hint(errors.New("apply needs approval, and VBK_INPUT=0 forbids to ask"), "review with vbk plan -out FILE and run vbk apply FILE, or add -auto-approve")
	}
	bold := painter(env.color).bold
	answer, err := env.answer(ctx, fmt.Sprintf("\n%s\n  Only \"yes\" is accepted.\n\n  %s ", bold("Do you want to perform these actions?"), bold("Enter a value:")))
	switch {
	case errors.Is(err, io.EOF):
		return hint(errors.New("apply cancelled: no answer"), "add -auto-approve where nobody can answer")
	case err != nil:
		return fmt.Errorf("apply cancelled: %w", err)
	case answer != "yes":
		return errors.New("apply cancelled")
	}
	return nil
}

// confirm wants the name of what is to be overwritten.
func (env *environment) confirm(ctx context.Context, name string) error {
	if env.silent() {
		return hint(fmt.Errorf("%s would be overwritten, and VBK_INPUT=0 forbids to ask", name), "restore with -o DIR, into new files, or without VBK_INPUT=0")
	}
	answer, err := env.answer(ctx, fmt.Sprintf("Type %s to overwrite it: ", name))
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("restore cancelled, nothing was written: %w", err)
	case answer != name:
		return errors.New("restore cancelled, nothing was written")
	}
	return nil
}

// silent says whether nobody may be asked.
func (env *environment) silent() bool { return env.getenv("VBK_INPUT") == "0" }

// answer asks, and returns the line that is typed; io.EOF is that there is none. A
// read from a terminal cannot be cancelled, so an interrupt leaves it behind.
func (env *environment) answer(ctx context.Context, question string) (string, error) {
	fmt.Fprint(env.stdout, question)
	type reply struct {
		text string
		err  error
	}
	replies := make(chan reply, 1)
	env.beside(func() {
		text, err := bufio.NewReader(env.stdin).ReadString('\n')
		replies <- reply{strings.TrimSpace(text), err}
	})
	var r reply
	select {
	case r = <-replies:
	case <-ctx.Done():
	}
	fmt.Fprintln(env.stdout)
	switch {
	case ctx.Err() != nil: // even after a yes
		return "", failWith(exitInterrupted, errors.New("interrupted"))
	case r.text == "" && r.err != nil:
		return "", r.err
	}
	return r.text, nil
}
