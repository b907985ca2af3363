package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Results are what a plan or a status found, as check blocks see it.
type Results struct {
	Instances []InstanceResult
	Unclaimed []string // HOST/NAME of domains that no block claims
	Stores    []StoreResult
	Complete  bool // every host and store was surveyed; otherwise conditions over results are unknown
}

// InstanceResult is vbk.instances[*].
type InstanceResult struct {
	Address string // domain.BLOCK["HOST/NAME"]
	Host    string
	Name    string
	Age     *Duration // of the newest sound point; nil: there is none
	RPO     Duration
	Due     bool
	Error   string // why it failed or was refused, "" if it was not
}

// StoreResult is vbk.stores[*].
type StoreResult struct {
	Name string // address
	Free int64  // bytes
	Size int64  // bytes
}

// CheckResult is the answer of one check block.
type CheckResult struct {
	Name    string    `json:"name"`
	Status  string    `json:"status"`            // "pass", "fail", "unknown" or "error"
	Message string    `json:"message,omitempty"` // of the first assertion that did not pass
	Range   hcl.Range `json:"-"`
}

// EvalChecks evaluates the check blocks over what was found, by name. A
// condition that needs results which are not complete is unknown, never passed.
func (c *Config) EvalChecks(r Results) []CheckResult {
	var results []CheckResult
	for _, check := range c.Checks {
		results = append(results, check.evaluate(r))
	}
	return results
}

func (c Check) evaluate(r Results) CheckResult {
	in := c.in.with("vbk", r.value())
	result := CheckResult{Name: c.Name, Status: "pass", Range: c.Range}
	for _, a := range c.Asserts {
		ok, known, diags := a.holds(in)
		switch {
		case diags.HasErrors():
			return CheckResult{c.Name, "error", diags.Errs()[0].Error(), a.Condition.Range()}
		case known && !ok:
			message, diags := a.message(in)
			if diags.HasErrors() {
				message = diags.Errs()[0].Error()
			}
			return CheckResult{c.Name, "fail", message, a.Condition.Range()}
		case !known && result.Status == "pass":
			result = CheckResult{c.Name, "unknown", "Not every host and store could be looked at.", a.Condition.Range()}
		}
	}
	return result
}

// vbk.instances[*] and vbk.stores[*]. Spans are seconds, as of duration();
// amounts are bytes, as of bytes().
var (
	instanceAttributes = []attribute{
		{"address", cty.String, "`domain.BLOCK[\"HOST/NAME\"]`."},
		{"host", cty.String, "The host's name."},
		{"name", cty.String, "The domain's name."},
		{"age", cty.Number, "Of the newest sound point, in seconds; `null`: there is none."},
		{"rpo", cty.Number, "In seconds."},
		{"due", cty.Bool, "Whether a backup is due."},
		{"error", cty.String, "Why it failed or was refused; `\"\"`: it was not."},
	}
	resultStoreAttributes = []attribute{
		{"name", cty.String, "Its address, such as `store.local.nas`."},
		{"free", cty.Number, "In bytes."},
		{"size", cty.Number, "Of its file system, in bytes."},
	}
	instanceType = cty.Object(objectOf(instanceAttributes))
	storeType    = cty.Object(objectOf(resultStoreAttributes))
)

// visible are what expressions can name besides variables, local values and
// references to blocks.
func visible() []Value {
	return []Value{
		{Name: "each", Where: "a `host` with `for_each`", About: "The element that this host is for.", Has: []Argument{
			{Name: "key", Type: "string", About: "The key of a map; the string of a set."},
			{Name: "value", Type: "any", About: "The value of a map; the string of a set."},
		}},
		{Name: "vbk.instances", Where: "a `check`", About: "A list of all claimed domains, one for each store.", Has: attributesOf(instanceAttributes)},
		{Name: "vbk.unclaimed", Where: "a `check`", About: "A list of strings, `HOST/NAME` of each domain that no block claims."},
		{Name: "vbk.stores", Where: "a `check`", About: "A list of the stores.", Has: attributesOf(resultStoreAttributes)},
	}
}

// value is the object vbk of a check. Results that are not complete are
// unknown.
func (r Results) value() cty.Value {
	if !r.Complete {
		return cty.ObjectVal(map[string]cty.Value{
			"instances": cty.UnknownVal(cty.List(instanceType)),
			"unclaimed": cty.UnknownVal(cty.List(cty.String)),
			"stores":    cty.UnknownVal(cty.List(storeType)),
		})
	}
	var instances, unclaimed, stores []cty.Value
	for _, i := range r.Instances {
		instances = append(instances, i.value())
	}
	for _, name := range r.Unclaimed {
		unclaimed = append(unclaimed, cty.StringVal(name))
	}
	for _, s := range r.Stores {
		stores = append(stores, cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal(s.Name), "free": cty.NumberIntVal(s.Free), "size": cty.NumberIntVal(s.Size),
		}))
	}
	return cty.ObjectVal(map[string]cty.Value{
		"instances": listOf(instanceType, instances), "unclaimed": listOf(cty.String, unclaimed), "stores": listOf(storeType, stores),
	})
}

func (i InstanceResult) value() cty.Value {
	age := cty.NullVal(cty.Number)
	if i.Age != nil {
		age = seconds(*i.Age)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"address": cty.StringVal(i.Address), "host": cty.StringVal(i.Host), "name": cty.StringVal(i.Name),
		"age": age, "rpo": seconds(i.RPO), "due": cty.BoolVal(i.Due), "error": cty.StringVal(i.Error),
	})
}

func seconds(d Duration) cty.Value { return cty.NumberFloatVal(time.Duration(d).Seconds()) }

func listOf(t cty.Type, elements []cty.Value) cty.Value {
	if len(elements) == 0 {
		return cty.ListValEmpty(t)
	}
	return cty.ListVal(elements)
}
