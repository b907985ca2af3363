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

// DecodeInventory reads what EncodeInventory wrote, however it was indented
// since, and refuses what was edited or cut off.
func DecodeInventory(text []byte) (Inventory, error) {
	if len(text) > maxFile {
		return Inventory{}, fmt.Errorf("decode inventory: %d bytes, more than %d", len(text), maxFile)
	}
	var f inventoryFile
	if err := json.Unmarshal(text, &f); err != nil {
		return Inventory{}, fmt.Errorf("it is no inventory: %w", err)
	}
	if f.Version != inventoryVersion {
		return Inventory{}, fmt.Errorf("it has the version %q, and this vbk reads %q", f.Version, inventoryVersion)
	}
	var plain bytes.Buffer
	if err := json.Compact(&plain, f.Inventory); err != nil {
		return Inventory{}, fmt.Errorf("decode inventory: %w", err)
	}
	if sum(plain.Bytes()) != f.SHA256 {
		return Inventory{}, ErrEdited
	}
	var v Inventory
	decoder := json.NewDecoder(&plain)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return Inventory{}, fmt.Errorf("decode inventory: %w", err)
	}
	return v, nil
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
