package plan

import (
	"bytes"
	"encoding/json"
	"fmt"

	"vbk/config"
)

// inventoryVersion of inventory files that this package writes and reads.
const inventoryVersion = "vbk-inventory/1"

type inventoryFile struct {
	Version   string          `json:"version"`
	SHA256    string          `json:"sha256"` // of the inventory below, without white space
	Inventory json.RawMessage `json:"inventory"`
}

// EncodeInventory writes an inventory as JSON with a sum, which finds accidents,
// not attackers: nothing that is planned from a file is ever done.
func EncodeInventory(v Inventory) ([]byte, error) {
	text, err := plainJSON(v, "")
	if err != nil {
		return nil, fmt.Errorf("encode inventory: %w", err)
	}
	return plainJSON(inventoryFile{inventoryVersion, sum(bytes.TrimSpace(text)), text}, "  ")
}

// plainJSON leaves <, > and & as they are, as other programs that write JSON do.
func plainJSON(v any, indent string) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(v)
	return text.Bytes(), err
}

// For is the part of an inventory that a configuration names, in its order. A
// host or store that is not in it carries an error.
func (v Inventory) For(c *config.Config) Inventory {
	part := Inventory{Taken: v.Taken}
	for _, h := range c.Hosts {
		part.Hosts = append(part.Hosts, v.host(h.Name))
	}
	for _, s := range c.Stores {
		part.Stores = append(part.Stores, v.store(s.Address()))
	}
	return part
}

func (v Inventory) host(name string) Host {
	for _, h := range v.Hosts {
		if h.Name == name {
			return h
		}
	}
	return Host{Name: name, Error: "was not surveyed"}
}
