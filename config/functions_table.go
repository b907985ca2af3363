package config

import (
	"encoding/base64"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// entry is a function and what is said of it.
type entry struct {
	Function
	function function.Function
}

// functionTable has all functions by group and name. The results of the examples
// are compared with the functions by a test.
func functionTable(dir string) []entry {
	var table []entry
	group := func(name string, entries ...entry) {
		for _, e := range entries {
			e.Group, e.Call = name, call(e.Name, e.function)
			table = append(table, e)
		}
	}
	group("Numbers", numberFunctions()...)
	group("Text", textFunctions()...)
	group("Collections", collectionFunctions()...)
	group("Sets", setFunctions()...)
	group("Conversions", typeFunctions()...)
	group("Notations", notationFunctions()...)
	group("Units", unitFunctions()...)
	others := map[string]function.Function{}
	for _, e := range table {
		others[e.Name] = e.function
	}
	group("Files", fileFunctions(folder(dir), others)...)
	return table
}

// fn describes a function: the call, and what comes of it.
func fn(name string, f function.Function, about, example, result string) entry {
	return entry{Function{Name: name, About: about, Example: example, Result: result}, f}
}

// call shows how a function is called.
func call(name string, f function.Function) string {
	var parameters []string
	for _, p := range f.Params() {
		parameters = append(parameters, p.Name)
	}
	if p := f.VarParam(); p != nil {
		parameters = append(parameters, p.Name+"...")
	}
	return name + "(" + strings.Join(parameters, ", ") + ")"
}

func numberFunctions() []entry {
	return []entry{
		fn("abs", stdlib.AbsoluteFunc, "The number without its sign.", `abs(-3)`, `3`),
		fn("ceil", stdlib.CeilFunc, "The whole number at or above.", `ceil(2.1)`, `3`),
		fn("floor", stdlib.FloorFunc, "The whole number at or below.", `floor(2.9)`, `2`),
		fn("log", stdlib.LogFunc, "The logarithm to a base.", `log(16, 2)`, `4`),
		fn("max", stdlib.MaxFunc, "The largest of the numbers.", `max(4, 16, 9)`, `16`),
		fn("min", stdlib.MinFunc, "The smallest of the numbers.", `min(4, 16, 9)`, `4`),
		fn("parseint", stdlib.ParseIntFunc, "The whole number that text is in a base from 2 to 62.", `parseint("ff", 16)`, `255`),
		fn("pow", stdlib.PowFunc, "A number to the power of another.", `pow(2, 10)`, `1024`),
		fn("signum", stdlib.SignumFunc, "The sign of the number: -1, 0 or 1.", `signum(-3)`, `-1`),
		fn("sum", sumFunction, "The sum of a list of numbers; 0 of an empty one.", `sum([1, 2, 4])`, `7`),
	}
}

func textFunctions() []entry {
	return []entry{
		fn("basename", textFunction("path", func(s string) (string, error) { return path.Base(s), nil }), "The last part of a path.", `basename("/srv/backup/web01")`, `"web01"`),
		fn("chomp", stdlib.ChompFunc, "The text without line breaks at its end.", `chomp("hv1\n")`, `"hv1"`),
		fn("dirname", textFunction("path", func(s string) (string, error) { return path.Dir(s), nil }), "All but the last part of a path.", `dirname("/srv/backup/web01")`, `"/srv/backup"`),
		fn("endswith", textTest(strings.HasSuffix), "Whether the text ends so.", `endswith("web01-scratch", "-scratch")`, `true`),
		fn("format", bounded(stdlib.FormatFunc), "Text by a pattern: `%s` text, `%d` a whole number, `%02d` with leading zeroes, `%q` quoted, `%%` a percent sign.", `format("hv%02d", 7)`, `"hv07"`),
		fn("formatlist", bounded(stdlib.FormatListFunc), "`format` for each element of lists.", `formatlist("%s-*", ["web", "db"])`, `["web-*", "db-*"]`),
		fn("join", stdlib.JoinFunc, "The elements of a list as one text, with a separator between them.", `join(", ", ["a", "b"])`, `"a, b"`),
		fn("lower", stdlib.LowerFunc, "The text in lower case.", `lower("DB")`, `"db"`),
		fn("regex", stdlib.RegexFunc, "What a regular expression (RE2) first matches; of one with groups, a list or a map of what these match. No match is an error.", `regex("[0-9]+", "web01-a2")`, `"01"`),
		fn("regexall", stdlib.RegexAllFunc, "All that a regular expression matches.", `regexall("[0-9]+", "web01-a2")`, `["01", "2"]`),
		fn("replace", replaceFunction, "The text with each part replaced. A part between slashes is a regular expression.", `replace("web_01", "_", "-")`, `"web-01"`),
		fn("split", stdlib.SplitFunc, "The parts of a text between separators.", `split(",", "a,b")`, `["a", "b"]`),
		fn("startswith", textTest(strings.HasPrefix), "Whether the text begins so.", `startswith("web01", "web")`, `true`),
		fn("strcontains", textTest(strings.Contains), "Whether the text holds a part.", `strcontains("web01", "b0")`, `true`),
		fn("strrev", stdlib.ReverseFunc, "The text backwards.", `strrev("abc")`, `"cba"`),
		fn("substr", stdlib.SubstrFunc, "A part of a text, from an offset (below zero: from its end) and of a length (-1: all of the rest).", `substr("web01", 0, 3)`, `"web"`),
		fn("title", stdlib.TitleFunc, "The text with each word in a capital.", `title("gold tier")`, `"Gold Tier"`),
		fn("trim", stdlib.TrimFunc, "The text without these characters at either end.", `trim("--web--", "-")`, `"web"`),
		fn("trimprefix", stdlib.TrimPrefixFunc, "The text without a beginning.", `trimprefix("vm-web", "vm-")`, `"web"`),
		fn("trimspace", stdlib.TrimSpaceFunc, "The text without blanks and line breaks at either end.", `trimspace(" web\n")`, `"web"`),
		fn("trimsuffix", stdlib.TrimSuffixFunc, "The text without an ending.", `trimsuffix("web.local", ".local")`, `"web"`),
		fn("upper", stdlib.UpperFunc, "The text in upper case.", `upper("db")`, `"DB"`),
	}
}

func collectionFunctions() []entry {
	return []entry{
		fn("alltrue", everyTrue(true), "Whether all elements are true; also of an empty list.", `alltrue([true, false])`, `false`),
		fn("anytrue", everyTrue(false), "Whether one of the elements is true.", `anytrue([true, false])`, `true`),
		fn("chunklist", stdlib.ChunklistFunc, "A list in pieces of a size.", `chunklist(["a", "b", "c"], 2)`, `[["a", "b"], ["c"]]`),
		fn("coalesce", stdlib.CoalesceFunc, "The first value that is neither null nor empty text.", `coalesce(null, "a", "b")`, `"a"`),
		fn("coalescelist", stdlib.CoalesceListFunc, "The first list that is not empty.", `coalescelist([], ["a"])`, `["a"]`),
		fn("compact", stdlib.CompactFunc, "A list of text without the elements that are empty.", `compact(["a", "", "b"])`, `["a", "b"]`),
		fn("concat", stdlib.ConcatFunc, "Lists as one.", `concat(["a"], ["b", "c"])`, `["a", "b", "c"]`),
		fn("contains", stdlib.ContainsFunc, "Whether a list or a set has a value.", `contains(["ams", "fra"], "ams")`, `true`),
		fn("distinct", stdlib.DistinctFunc, "A list without what comes again.", `distinct(["a", "b", "a"])`, `["a", "b"]`),
		fn("element", stdlib.ElementFunc, "The element at an index from 0, which begins anew at the end of the list.", `element(["a", "b"], 3)`, `"b"`),
		fn("flatten", stdlib.FlattenFunc, "A list with the elements of the lists in it.", `flatten([["a"], ["b", "c"]])`, `["a", "b", "c"]`),
		fn("keys", stdlib.KeysFunc, "The keys of a map, sorted.", `keys({ b = 1, a = 2 })`, `["a", "b"]`),
		fn("length", lengthFunction, "How many elements, or characters of a text.", `length(["a", "b"])`, `2`),
		fn("lookup", stdlib.LookupFunc, "The value of a key in a map, or else a default.", `lookup({ a = 1 }, "b", 0)`, `0`),
		fn("merge", stdlib.MergeFunc, "Maps as one; the later ones win.", `merge({ a = 1, b = 1 }, { b = 2 })`, `{ a = 1, b = 2 }`),
		fn("one", oneFunction, "The only element of a list; null of an empty one.", `one(["a"])`, `"a"`),
		fn("range", stdlib.RangeFunc, "Numbers up to a limit; or from a start; or by a step.", `range(1, 4)`, `[1, 2, 3]`),
		fn("reverse", stdlib.ReverseListFunc, "A list backwards.", `reverse(["a", "b"])`, `["b", "a"]`),
		fn("slice", stdlib.SliceFunc, "The elements from one index up to another, which is not in it.", `slice(["a", "b", "c"], 1, 3)`, `["b", "c"]`),
		fn("sort", stdlib.SortFunc, "A list of text in order.", `sort(["b", "a"])`, `["a", "b"]`),
		fn("values", stdlib.ValuesFunc, "The values of a map, in the order of its keys.", `values({ b = 1, a = 2 })`, `[2, 1]`),
		fn("zipmap", stdlib.ZipmapFunc, "A map of a list of keys and one of values.", `zipmap(["a", "b"], [1, 2])`, `{ a = 1, b = 2 }`),
	}
}

func setFunctions() []entry {
	return []entry{
		fn("setintersection", stdlib.SetIntersectionFunc, "What all of the sets have.", `setintersection(["a", "b"], ["b", "c"])`, `["b"]`),
		fn("setproduct", stdlib.SetProductFunc, "All combinations of an element of each.", `setproduct(["web", "db"], ["1"])`, `[["web", "1"], ["db", "1"]]`),
		fn("setsubtract", stdlib.SetSubtractFunc, "What the first set has and the second has not.", `setsubtract(["a", "b"], ["b"])`, `["a"]`),
		fn("setunion", stdlib.SetUnionFunc, "What any of the sets has.", `setunion(["a"], ["a", "b"])`, `["a", "b"]`),
	}
}

func typeFunctions() []entry {
	return []entry{
		fn("can", tryfunc.CanFunc, "Whether an expression has a value.", `can(tonumber("x"))`, `false`),
		fn("sensitive", sensitiveFunction, "The value, treated as that of a sensitive variable.", `sensitive("a") == "a"`, `true`),
		fn("tobool", stdlib.MakeToFunc(cty.Bool), "The value as a bool.", `tobool("true")`, `true`),
		fn("tolist", stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "The value as a list, whose elements have one type.", `tolist(["a", 1])`, `["a", "1"]`),
		fn("tomap", stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), "The value as a map, whose values have one type.", `tomap({ a = "x", b = 1 })`, `{ a = "x", b = "1" }`),
		fn("tonumber", stdlib.MakeToFunc(cty.Number), "The value as a number.", `tonumber("7")`, `7`),
		fn("toset", stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), "The value as a set: each element once, in no order.", `toset(["b", "a", "b"])`, `["a", "b"]`),
		fn("tostring", stdlib.MakeToFunc(cty.String), "The value as a string.", `tostring(7)`, `"7"`),
		fn("try", tryfunc.TryFunc, "The value of the first expression that has one.", `try(tonumber("x"), 0)`, `0`),
	}
}

func notationFunctions() []entry {
	return []entry{
		fn("base64decode", textFunction("text", fromBase64), "The text that is written in Base64.", `base64decode("d2Vi")`, `"web"`),
		fn("base64encode", textFunction("text", func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil }), "The text in Base64.", `base64encode("web")`, `"d2Vi"`),
		fn("csvdecode", stdlib.CSVDecodeFunc, "A list of a map for each line of CSV, whose first line has the keys.", `csvdecode("name,site\nhv1,ams\n")`, `[{ name = "hv1", site = "ams" }]`),
		fn("jsondecode", stdlib.JSONDecodeFunc, "The value that is written in JSON.", `jsondecode("{\"a\": [1, 2]}")`, `{ a = [1, 2] }`),
		fn("jsonencode", stdlib.JSONEncodeFunc, "The value in JSON.", `jsonencode({ a = [1, 2] })`, `"{\"a\":[1,2]}"`),
		fn("sha256", textFunction("text", sha256Hex), "The SHA-256 of a text, in hex digits.", `substr(sha256("web"), 0, 8)`, `"4b5e57f6"`),
		fn("yamldecode", ctyyaml.YAMLDecodeFunc, "The value that is written in YAML.", `yamldecode("a: [1, 2]")`, `{ a = [1, 2] }`),
		fn("yamlencode", ctyyaml.YAMLEncodeFunc, "The value in YAML.", `yamlencode({ a = "x" })`, `"\"a\": \"x\"\n"`),
	}
}

func unitFunctions() []entry {
	return []entry{
		fn("bytes", unitFunction(ParseSize), "A size as a number of bytes.", `bytes("4GiB")`, `4294967296`),
		fn("duration", unitFunction(func(s string) (int64, error) { d, err := ParseDuration(s); return int64(d) / 1e9, err }), "A duration as a number of seconds.", `duration("36h")`, `129600`),
	}
}

// fileFunctions read regular text files of the directory and below.
func fileFunctions(dir folder, others map[string]function.Function) []entry {
	file, exists := dir.read(), dir.exists()
	others["file"], others["fileexists"] = file, exists
	return []entry{
		fn("file", file, "What is in a file.", `chomp(file("motd.txt"))`, `"Hello"`),
		fn("fileexists", exists, "Whether there is such a file.", `fileexists("motd.txt")`, `true`),
		fn("templatefile", dir.template(others), // a template calls no template
			"What is in a file, as a template that sees the given values.", `templatefile("hello.tmpl", { name = "ams" })`, `"Hello, ams"`),
	}
}
