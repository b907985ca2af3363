package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Outcomes tell of a domain what its chains do not: of an attempt that failed there
// is no point, and of a drill neither. They stand beside the chains and are no part
// of them: without them nobody knows how these went, and nothing else.
type Outcomes struct {
	FormatVersion int      `json:"format_version"`
	UUID          string   `json:"uuid"`              // of the domain
	Domain        string   `json:"domain"`            // its name then
	Failure       *Failure `json:"failure,omitempty"` // the last there was, also where points came later
	Drill         *Drill   `json:"drill,omitempty"`   // the last
	Booted        *Drill   `json:"booted,omitempty"`  // the last of a point that has booted
	Version       string   `json:"vbk_version"`
}

// Failure is a run that was to make a point of a domain, and did not end well.
type Failure struct {
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Attempt string    `json:"attempt,omitempty"` // 8 hex digits, as in the point if there is one after all; "" where nothing was begun
	Read    int64     `json:"read,omitempty"`    // bytes of the guest that it had read
	Error   string    `json:"error"`             // one line
	Chain   int       `json:"chain_number"`      // of the newest point before it; 0: there was none
	Newest  int       `json:"sequence"`          // of the same
}

// After notes which point was the newest before the failure.
func (f *Failure) After(d Domain) {
	if c, p, ok := d.NewestPoint(); ok {
		f.Chain, f.Newest = c.Manifest.ChainNumber, p.Sequence
	}
}

// Drill is one try to boot a point.
type Drill struct {
	Began  time.Time `json:"began"`
	Point  string    `json:"point"`             // CHAIN.SEQUENCE
	TookMS int64     `json:"took_ms,omitempty"` // from the start until it had booted
	Error  string    `json:"error,omitempty"`   // why it has not; one line
}

// OutcomesFolder is the folder, in that of a domain, with its outcomes.
const OutcomesFolder = "outcomes"

// maxOutcome bounds the text of an error that is recorded, in bytes.
const maxOutcome = 1000

// OneLine is the text of an error as outcomes record it: bounded, and without
// anything that does not print.
func OneLine(err error) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(err.Error(), "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxOutcome {
		text = strings.ToValidUTF8(text[:maxOutcome], "") + "..."
	}
	return text
}

// Add notes the outcome of a drill.
func (o *Outcomes) Add(d Drill) {
	o.Drill = &d
	if d.Error == "" {
		o.Booted = &d
	}
}

// NewestPoint is the last in the order of chains and points; false if there is none.
func (d Domain) NewestPoint() (c Chain, p Point, ok bool) {
	for _, chain := range d.Chains {
		if n := len(chain.Manifest.Points); n > 0 && (!ok || chain.Manifest.ChainNumber >= c.Manifest.ChainNumber) {
			c, p, ok = chain, chain.Manifest.Points[n-1], true
		}
	}
	return c, p, ok
}

// LastFailure is how the last attempt went wrong; nil where another one made a point
// after it. Order is by chain and sequence; the time decides only where chains have
// begun to be counted anew, after all of them had gone.
func (d Domain) LastFailure() *Failure {
	if d.Outcomes == nil || d.Outcomes.Failure == nil {
		return nil
	}
	f := d.Outcomes.Failure
	c, p, ok := d.NewestPoint()
	number := c.Manifest.ChainNumber
	if ok && p.Attempt != f.Attempt && (number > f.Chain || number == f.Chain && p.Sequence > f.Newest || number < f.Chain && p.Start.After(f.Ended)) {
		return nil
	}
	return f
}

// Encode returns the outcomes as they are stored, with their sum like a manifest.
func (o Outcomes) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode outcomes: %w", err)
	}
	return seal(body), nil
}

// DecodeOutcomes reads what Encode wrote.
func DecodeOutcomes(data []byte) (o Outcomes, err error) {
	body, err := unseal(data)
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	if err == nil && o.FormatVersion != FormatVersion {
		err = fmt.Errorf("format version %d, this vbk knows %d", o.FormatVersion, FormatVersion)
	}
	if err == nil && !uuidShape.MatchString(o.UUID) {
		err = errors.New("they do not say whose they are")
	}
	if err != nil {
		return Outcomes{}, fmt.Errorf("decode outcomes: %w", err)
	}
	return o, nil
}
