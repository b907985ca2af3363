package local

import (
	"bytes"
	"encoding/json"
	"fmt"

	"vbk/store"
)

// maxLog bounds how much of a lock file is read, from its end; a run appends a
// few records.
const maxLog = 1 << 20

// record is one line of a lock file: the run that holds the lock, and a dead
// one whose traces it has not dealt with yet. The last good line counts: a
// torn one was never acted on.
type record struct {
	Attempt     *store.Attempt `json:"attempt,omitempty"`
	Interrupted *store.Attempt `json:"interrupted,omitempty"`
}

// pending is the attempt that whoever finds this record, its holder being
// dead, has to deal with. A holder that had an interrupted one before it had
// not begun anything of its own.
func (r record) pending() *store.Attempt {
	if r.Interrupted != nil {
		return r.Interrupted
	}
	return r.Attempt
}

// began says whether the run that holds the lock, or the dead one before it, has
// worked on a chain.
func (r record) began(chain string) bool {
	return r.Attempt != nil && r.Attempt.Chain == chain || r.Interrupted != nil && r.Interrupted.Chain == chain
}

func (r record) encode() ([]byte, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "\n%s %s\n", store.Hash(body), body), nil // first leave a torn line
}

// decodeLog returns the last good record of a lock file. A log without any is
// the record of an unknown attempt, an empty one that of none.
func decodeLog(data []byte) record {
	var last record
	if len(data) > 0 {
		last.Attempt = &store.Attempt{}
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		sum, body, _ := bytes.Cut(line, []byte(" "))
		if string(sum) != store.Hash(body) {
			continue
		}
		var r record
		if json.Unmarshal(body, &r) == nil {
			last = r
		}
	}
	return last
}

func readLog(h Handle) (record, error) {
	size, err := h.Size()
	if err != nil {
		return record{}, err
	}
	data := make([]byte, min(size, maxLog))
	if n, err := h.ReadAt(data, size-int64(len(data))); n < len(data) {
		return record{}, err
	}
	return decodeLog(data), nil
}

// tail is the end of a lock file, by which a run knows its own last record.
type tail struct {
	size int64
	line []byte
}

func (t tail) equal(other tail) bool { return t.size == other.size && bytes.Equal(t.line, other.line) }

// tailOf reads what is longer than a record.
func tailOf(h Handle) (tail, error) {
	size, err := h.Size()
	if err != nil {
		return tail{}, err
	}
	t := tail{size, make([]byte, min(size, 4<<10))}
	if n, err := h.ReadAt(t.line, size-int64(len(t.line))); n < len(t.line) {
		return tail{}, err
	}
	return t, nil
}

// appendLog makes r the record that counts.
func appendLog(h Handle, r record) error {
	line, err := r.encode()
	if err == nil {
		_, err = h.Write(line)
	}
	if err == nil {
		err = h.Sync()
	}
	if err != nil {
		return err
	}
	return nil
}

// holder is the run that wrote the record.
func (r record) holder() store.Attempt {
	if r.Attempt == nil {
		return store.Attempt{}
	}
	return *r.Attempt
}
