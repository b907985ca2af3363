package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// fileVersion of saved plans that this package writes and reads.
const fileVersion = "vbk-plan/2"

// maxFile bounds what Decode takes: 10 000 domains fit many times.
const maxFile = 1 << 30

type file struct {
	Version string            `json:"version"`
	Digests map[string]string `json:"digests"` // instance address -> Want.Digest
	Plan    Plan              `json:"plan"`
}

// Encode saves a plan: JSON, and a last line with its SHA-256. The sum finds
// accidents, not attackers; what guards against those is that an instance is
// decided again, from the configuration, before anything is done.
func Encode(p Plan) ([]byte, error) {
	f := file{Version: fileVersion, Digests: map[string]string{}, Plan: p}
	for _, i := range p.Instances {
		f.Digests[i.Want.Address] = i.Want.Digest()
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	text = append(text, '\n')
	return fmt.Appendf(text, "sha256:%s\n", sum(text)), nil
}

// ErrEdited says that a plan file is not as it was written.
var ErrEdited = errors.New("the file was edited or cut off after it was written")

// ErrNoPlan says that a file is no saved plan, nor the beginning of one.
var ErrNoPlan = errors.New("it is no saved plan")

// fileStart is how a saved plan begins, of whichever version.
const fileStart = "{\n  \"version\": \"vbk-plan/"

// Decode loads a saved plan and refuses one that was edited or cut off.
func Decode(text []byte) (Plan, error) {
	if !bytes.HasPrefix(text, []byte(fileStart)) {
		return Plan{}, ErrNoPlan
	}
	if len(text) > maxFile {
		return Plan{}, fmt.Errorf("decode plan: %d bytes, more than %d", len(text), maxFile)
	}
	body, line, ok := bytes.Cut(text, []byte("\nsha256:"))
	if !ok {
		return Plan{}, ErrEdited
	}
	body = text[:len(body)+1]
	if string(bytes.TrimSuffix(line, []byte("\n"))) != sum(body) {
		return Plan{}, ErrEdited
	}
	var head struct{ Version string }
	if err := json.Unmarshal(body, &head); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	if head.Version != fileVersion {
		return Plan{}, fmt.Errorf("it has the version %q, and this vbk reads %q", head.Version, fileVersion)
	}
	var f file
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	if err := f.check(); err != nil {
		return Plan{}, fmt.Errorf("decode plan: %w", err)
	}
	return f.Plan, nil
}

// check makes every action carry what its kind says, and nothing else.
func (f file) check() error {
	for _, i := range f.Plan.Instances {
		if f.Digests[i.Want.Address] != i.Want.Digest() {
			return fmt.Errorf("%s: digest differs: %w", i.Want.Address, ErrEdited)
		}
		for _, a := range i.Actions {
			if a.content() != a.Kind {
				return fmt.Errorf("%s: an action of kind %q has not the content of its kind", i.Want.Address, a.Kind)
			}
		}
	}
	return nil
}

// content is the kind of what an action carries; "" if that is not one thing, or
// cannot be done.
func (a Action) content() (k Kind) {
	carried := 0
	for kind, there := range map[Kind]bool{KindCleanup: a.Cleanup != nil, KindBackup: a.Backup != nil, KindPrune: a.Prune != nil,
		KindMerge:  a.Merge != nil && len(a.Merge.Gone) > 0 && len(a.Merge.Attempts) == len(a.Merge.Gone)+1,
		KindVerify: a.Verify != nil && len(a.Verify.Points) > 0} {
		if there {
			carried++
			k = kind
		}
	}
	if carried != 1 {
		return ""
	}
	return k
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}

// Refusal is an instance of a saved plan that cannot be run.
type Refusal struct{ Address, Why string }

// Bind takes a saved plan's decisions and the configuration's word on
// everything else: each instance must still be wanted exactly as when the plan
// was made. fresh is what Make says now, for all instances. Where that fails and
// leaves nothing to do, the saved decision is refused too; a lock is waited for.
// The bound plan holds the instances that may run, with the configuration's Want
// and the folder that was found. A plan that is not applicable has none.
func Bind(saved, fresh Plan) (bound Plan, refused []Refusal) {
	bound = saved
	bound.Instances = nil
	if saved.NotApplicable != "" {
		return bound, []Refusal{{"the plan", "it can never be applied: " + saved.NotApplicable}}
	}
	current := map[string]Instance{}
	for _, i := range fresh.Instances {
		current[i.Want.Address] = i
	}
	for _, i := range saved.Instances {
		now, ok := current[i.Want.Address]
		switch {
		case !ok:
			refused = append(refused, Refusal{i.Want.Address, "the configuration has no such instance any more, or its host did not answer"})
		case now.Want.Digest() != i.Want.Digest():
			refused = append(refused, Refusal{i.Want.Address, "the configuration of this instance changed since the plan was made, or its store did not answer"})
		case now.Error != "" && len(now.Actions) == 0 && !now.Locked:
			refused = append(refused, Refusal{i.Want.Address, now.Error})
		default:
			asked := i.Want
			i.Want, i.Folder = now.Want, now.Folder
			i.Want.Full, i.Want.FullAfter = asked.Full, asked.FullAfter
			i.Want.AllowPrune, i.Want.NoPrune = asked.AllowPrune, asked.NoPrune
			bound.Instances = append(bound.Instances, i)
		}
	}
	return bound, refused
}
