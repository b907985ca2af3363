package plan

import (
	"path"
	"strings"

	"vbk/store"
)

// leftovers lists what an interrupted run of ours left, nil if nothing. Ours is
// what carries the store's id in its name; the caller holds the lock or knows
// that nobody does.
func leftovers(w Want, s Seen) *Cleanup {
	var c Cleanup
	if s.Domain.State.Active() {
		if j := s.Domain.Job; j != nil && ownSocket(w.StoreID, j.Socket) {
			c.Job = j.Socket
		}
	}
	if s.Domain.State.Active() || inactive(w, s.Domain) {
		c.Checkpoints = uselessCheckpoints(w, s)
	}
	if s.Folder != nil {
		c.Files = s.Folder.Leftovers
		if s.Folder.Attempt != nil && w.Release == "" { // what it names is on a host that nobody looks at
			c.Record, c.RunFolder, c.Thaw = true, s.Folder.Attempt.RunFolder, s.Folder.Attempt.Frozen
			c.Started, c.Secret = s.Folder.Attempt.Started, s.Folder.Attempt.Secret
		}
	}
	if c.Job == "" && len(c.Checkpoints) == 0 && len(c.Files) == 0 && !c.Record {
		return nil
	}
	return &c
}

// uselessCheckpoints are ours and not the base of the next increment.
func uselessCheckpoints(w Want, s Seen) []string {
	base := ""
	if _, head, ok := openChain(s.Folder); ok {
		base = head.Checkpoint
	}
	var names []string
	for _, c := range s.Domain.Checkpoints {
		if c.Name == base {
			continue
		}
		if id, _, _, _, ok := store.ParseCheckpoint(c.Name); ok && id == w.StoreID {
			names = append(names, c.Name)
		}
	}
	return names
}

// RunFolderPrefix begins the name of every run folder for a store.
func RunFolderPrefix(storeID string) string { return "vbk-" + storeID + "-" }

func ownSocket(storeID, socket string) bool {
	return socket != "" && strings.HasPrefix(path.Base(path.Dir(socket)), RunFolderPrefix(storeID))
}
