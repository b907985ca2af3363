package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// browser is a headless Chromium with one page, and what that page complained of
// and asked for. It is driven over a pipe by the DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/): a JSON message, a zero byte.
type browser struct {
	t       *testing.T
	in      *bufio.Reader
	out     io.Writer
	session string
	last    int
	loaded  bool
	heard   []string
}

type devtoolsMessage struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
	Page   string          `json:"sessionId,omitempty"`
}

// newBrowser starts one that asks the network for nothing of its own.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skip(err)
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, in: bufio.NewReader(ourIn), out: ourOut}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil)
		_ = cmd.Wait() // it was told to end
		ourIn.Close()
		ourOut.Close()
	})
	b.attach()
	return b
}

func (b *browser) attach() {
	var target struct{ TargetID string }
	b.result(b.call("Target.createTarget", map[string]any{"url": "about:blank"}), &target)
	var session struct{ SessionID string }
	b.result(b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil)
	}
}

// call sends a command and waits for its result.
func (b *browser) call(method string, params any) json.RawMessage {
	b.t.Helper()
	b.last++
	text, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	if b.session != "" {
		text, err = json.Marshal(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": b.session})
	}
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		if m := b.next(); m.ID == b.last {
			if len(m.Error) > 0 {
				b.t.Fatalf("%s: %s", method, m.Error)
			}
			return m.Result
		}
	}
}

// next reads a message, and listens.
func (b *browser) next() (m devtoolsMessage) {
	b.t.Helper()
	text, err := b.in.ReadBytes(0)
	if err == nil {
		err = json.Unmarshal(text[:len(text)-1], &m)
	}
	if err != nil {
		b.t.Fatalf("chromium: %v", err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		b.loaded = true
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
		b.heard = append(b.heard, fmt.Sprintf("%s %s", m.Method, m.Params))
	case "Network.requestWillBeSent":
		var asked struct{ Request struct{ URL string } }
		b.result(m.Params, &asked)
		if url := asked.Request.URL; !strings.HasSuffix(strings.SplitN(url, "#", 2)[0], "/status.html") && !strings.HasPrefix(url, "data:") && url != "about:blank" {
			b.heard = append(b.heard, "request: "+url)
		}
	}
	return m
}

func (b *browser) result(text json.RawMessage, into any) {
	b.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		b.t.Fatalf("chromium: %v in %s", err, text)
	}
}

// open waits until a page is there.
func (b *browser) open(url string) {
	b.t.Helper()
	b.loaded = false
	b.call("Page.navigate", map[string]any{"url": url})
	for !b.loaded {
		b.next()
	}
}

// evaluate returns what an expression, or what it promises, is.
func (b *browser) evaluate(expression string) json.RawMessage {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.result(b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}), &answer)
	if len(answer.ExceptionDetails) > 0 {
		b.t.Fatalf("chromium: %s", answer.ExceptionDetails)
	}
	return answer.Result.Value
}
