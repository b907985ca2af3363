package plan

import (
	"bytes"
	"encoding/json"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"vbk/virt"
)

func TestInventoryFile(t *testing.T) {
	have := edited().haveBase
	have.Hosts[0].Domains[0].Name = "<web & 01>"
	text, err := EncodeInventory(have)
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeInventory(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	second, err := EncodeInventory(again)
	if err != nil || string(second) != string(text) {
		t.Errorf("it comes back as something else, error %v", err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(map[string]json.RawMessage{})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"edited":      strings.Replace(string(text), "running", "crashed", 1),
		"cut off":     string(text[:len(text)/2]),
		"empty":       "",
		"no version":  string(other),
		"newer":       strings.Replace(string(text), inventoryVersion, "vbk-inventory/2", 1),
		"another sum": strings.Replace(string(text), `"sha256": "`, `"sha256": "0`, 1),
	} {
		if _, err := DecodeInventory(bytes.NewReader([]byte(bad))); err == nil || err.Error() == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzDecodeInventory(f *testing.F) {
	text, err := EncodeInventory(edited().haveBase)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"version":"vbk-inventory/1","inventory":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := DecodeInventory(bytes.NewReader(text))
		if err != nil {
			return
		}
		Make(edited().base, v.For(edited().base), Options{}, noon) // must not panic
	})
}

// TestInventoryIsRead: a large inventory is decoded domain by domain: what is allocated is
// about what comes out of it, and not the text several times besides.
func TestInventoryIsRead(t *testing.T) {
	have := edited().haveBase
	one := have.Hosts[0].Domains[0]
	one.Tags = map[string]string{"note": strings.Repeat(" x", 2000)} // white space in a string counts
	have.Hosts[0].Domains = slices.Repeat([]virt.Domain{one}, 2000)
	text, err := EncodeInventory(have)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	again, err := DecodeInventory(bytes.NewReader(text))
	runtime.ReadMemStats(&after)
	if err != nil || !reflect.DeepEqual(again.Hosts[0].Domains, have.Hosts[0].Domains) {
		t.Fatalf("it comes back as something else: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > uint64(len(text))*3/2 {
		t.Errorf("%d bytes were allocated for a file of %d", took, len(text))
	}
}
