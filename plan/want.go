package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"vbk/config"
	"vbk/store"
)

// Want is what one instance is meant to be: the evaluated configuration of
// one domain on one store, and what the command line asked for. It holds
// everything that Decide needs besides what it sees.
type Want struct {
	Address       string        `json:"address"` // domain.BLOCK["HOST/NAME"]
	Configuration string        `json:"configuration,omitempty"`
	Block         string        `json:"block"` // domain.BLOCK
	Host          config.Host   `json:"host"`
	HostUUID      string        `json:"host_uuid,omitempty"`
	Domain        string        `json:"domain"` // name at survey time
	UUID          string        `json:"uuid"`
	Store         config.Store  `json:"store"`
	StoreID       string        `json:"store_id"`
	Policy        config.Policy `json:"policy"`
	TimeZone      string        `json:"time_zone"`
	Release       string        `json:"release,omitempty"`      // why all chains of a domain that is departed, or whose block was removed, go; then there is no host
	ReleaseUntil  time.Time     `json:"release_until,omitzero"` // newest point then: where there is a newer one the domain is back, and nothing goes
	Full          bool          `json:"full,omitempty"`         // -full asked for a new chain,
	FullAfter     string        `json:"full_after,omitempty"`   // after this one, which was open; "" for a first
	AllowPrune    bool          `json:"allow_prune,omitempty"`  // -allow-prune lifted max_prune
	NoPrune       bool          `json:"no_prune,omitempty"`     // -no-prune

	place *time.Location // of TimeZone, so that it is not read from disk each time
}

// Digest binds a saved plan to the configuration it was made from: 64 hex
// digits, SHA-256 of what the configuration says about this instance. What the
// command line asked for is not part of it, nor is the host's UUID, which
// libvirt draws anew where the firmware has none.
func (w Want) Digest() string {
	w.HostUUID = ""
	w.Full, w.FullAfter, w.AllowPrune, w.NoPrune = false, "", false, false
	text, err := json.Marshal(w)
	if err != nil {
		panic("plan: a Want is always encodable: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// asksFull says whether -full asks for a new chain still: not when another
// chain has been opened since.
func (w Want) asksFull(f *store.Domain) bool {
	open, _, _ := openChain(f)
	return w.Full && open.Name == w.FullAfter
}

// location is the time zone of the policy: that of the configuration itself, or
// where w was decoded the one of its name.
func (w Want) location() (*time.Location, error) {
	if w.place != nil && w.place.String() == w.TimeZone {
		return w.place, nil
	}
	return time.LoadLocation(w.TimeZone)
}

func (w Want) zone() *time.Location {
	zone, err := w.location()
	if err != nil {
		return time.UTC
	}
	return zone
}
