package executor_test

import (
	"testing"

	"vbk/executor"
)

func TestMasked(t *testing.T) {
	for _, c := range []struct {
		text, want string
		values     []string
	}{
		{"with hunter2, twice hunter2", "with ***, twice ***", []string{"hunter2"}},
		{"Bearer hunter2", "***", []string{"hunter2", "Bearer hunter2"}},
		{"prefixhunter2suffix", "prefix***suffix", []string{"hunter2"}},
		{"pin=1234, port 12345, 1234", "pin=***, port 12345, ***", []string{"1234"}},
		{"yes: eyes, yesterday", "***: eyes, yesterday", []string{"yes"}},
		{"1", "***", []string{"1"}},
		{"11 1", "11 ***", []string{"1"}},
		{"ünï", "ünï", []string{"n"}},
		{"nothing", "nothing", []string{""}},
	} {
		if got := executor.Masked(c.text, c.values, "***"); got != c.want {
			t.Errorf("%q without %q is %q, want %q", c.text, c.values, got, c.want)
		}
	}
}
