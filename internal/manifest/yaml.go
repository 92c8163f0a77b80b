package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNesting is how deep brackets may nest. The deepest value of the schema
// needs five; the parser takes time that grows with the square of the depth.
const maxNesting = 32

// reader walks over the YAML of one file and notes what is wrong with it. A
// place is written as the keys that lead to it: "egress.routes[0].host".
type reader struct {
	file   string // path of the one that is read
	faults []Fault
	places map[string]place // every one that was visited
}

// place is where a key stands.
type place struct {
	path string
	line int
}

func newReader(path string) *reader { return &reader{file: path, places: map[string]place{}} }

// schema is what a mapping may hold.
type schema struct {
	// fields read the value of a key; at is the place of the value.
	fields map[string]func(n ast.Node, at string)
	// later are keys that mean something in the design which this build can't
	// enforce: the key, and what it would do.
	later map[string]string
	// moved are keys of earlier versions: the key, and what to write now.
	moved    map[string]string
	required []string
}

func (r *reader) fault(line int, at, hint, format string, args ...any) {
	r.faults = append(r.faults, Fault{Path: r.file, Line: line, Key: at, Err: fmt.Errorf(format, args...), Hint: hint})
}

// at notes a fault at a place that was visited, or at the nearest one above it.
func (r *reader) at(key, hint string, err error) {
	where := r.placeOf(key)
	r.faults = append(r.faults, Fault{Path: where.path, Line: where.line, Key: key, Err: err, Hint: hint})
}

func (r *reader) placeOf(key string) place {
	for {
		if where, ok := r.places[key]; ok {
			return where
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return place{r.file, 1}
		}
		key = key[:i]
	}
}

// parse gives what the front matter holds; nothing at all is an empty mapping.
// It is not ok if there is nothing to go on with.
func (r *reader) parse(b []byte) (n ast.Node, ok bool) {
	if line := tooDeep(b); line > 0 {
		r.fault(line, "", "", "brackets are nested more than %d deep", maxNesting)
		return nil, false
	}
	file, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey()) // duplicates are ours to find, all of them
	if err != nil {
		r.syntax(err)
		return nil, false
	}
	if len(file.Docs) != 1 {
		r.fault(1, "", "", "the front matter holds %d YAML documents in place of one", len(file.Docs))
		return nil, false
	}
	if body := file.Docs[0].Body; body != nil {
		return body, true
	}
	return &ast.MappingNode{}, true
}

// tooDeep gives the line at which brackets nest too deep, or 0.
func tooDeep(b []byte) int {
	depth := 0
	for _, t := range lexer.Tokenize(string(b)) {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
		if depth > maxNesting {
			return t.Position.Line
		}
	}
	return 0
}

// syntax notes the parser's error without the source it would quote.
func (r *reader) syntax(err error) {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil {
		r.fault(1, "", "", "the front matter is not YAML")
		return
	}
	r.fault(e.GetToken().Position.Line, "", "", "the front matter is not YAML: %s", e.GetMessage())
}

// How a key is refused that means something which this build can't hold.
const (
	notEnforced     = "this build can't enforce %s yet"
	notEnforcedHint = "remove the key; what isn't enforced must not look as if it were"
)

func (r *reader) mapping(n ast.Node, at string, s schema) {
	present := map[string]bool{}
	isMapping := r.eachPair(n, at, func(key string, keyLine int, value ast.Node, place string) {
		present[key] = true
		if read, known := s.fields[key]; known {
			read(value, place)
			return
		}
		if what, known := s.later[key]; known {
			r.fault(keyLine, place, notEnforcedHint, notEnforced, what)
			return
		}
		if now, known := s.moved[key]; known {
			r.fault(keyLine, place, now, "this key can't stand here")
			return
		}
		r.unknown(keyLine, place, key, slices.Sorted(maps.Keys(s.fields)))
	})
	for _, key := range s.required {
		if isMapping && !present[key] {
			r.at(join(at, key), "", errors.New("it is missing"))
		}
	}
}

func (r *reader) unknown(line int, at, key string, known []string) {
	hint := "known here: " + strings.Join(known, ", ")
	if near := nearest(key, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.fault(line, at, hint, "unknown key")
}

// eachPair calls do for each pair of a mapping whose key is text and stands
// there for the first time. It tells whether there is a mapping.
func (r *reader) eachPair(n ast.Node, at string, do func(key string, line int, value ast.Node, place string)) bool {
	pairs, ok := r.pairs(n, at)
	if !ok {
		return false
	}
	seen := map[string]int{}
	for _, pair := range pairs {
		line := pair.Key.GetToken().Position.Line
		text, isText := pair.Key.(*ast.StringNode)
		if !isText || pair.Key.IsMergeKey() {
			r.fault(line, at, "", "a key here is not plain text")
			continue
		}
		key, whole := text.Value, join(at, text.Value)
		if first, twice := seen[key]; twice {
			r.fault(line, whole, "", "the key stands here a second time, first on line %d", first)
			continue
		}
		seen[key] = line
		r.places[whole] = place{r.file, line}
		do(key, line, pair.Value, whole)
	}
	return true
}

func (r *reader) pairs(n ast.Node, at string) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	r.wrongType(n, at, "keys and values")
	return nil, false
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}

// list calls each for every entry.
func (r *reader) list(n ast.Node, at string, each func(n ast.Node, at string)) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrongType(n, at, "a list")
		return
	}
	for i, value := range sequence.Values {
		key := at + "[" + strconv.Itoa(i) + "]"
		r.places[key] = place{r.file, nodeLine(value, r.placeOf(at).line)}
		each(value, key)
	}
}

// text gives a string, quoted or plain or a block.
func (r *reader) text(n ast.Node, at string) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	r.wrongType(n, at, "text")
	return "", false
}

// integer gives a number in plain decimal.
func (r *reader) integer(n ast.Node, at string) (int64, bool) {
	if i, ok := n.(*ast.IntegerNode); ok {
		text := i.Token.Value
		if v, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(v, 10) == text {
			return v, true
		}
		r.at(at, "", fmt.Errorf("%.80q is not a number in plain decimal", text))
		return 0, false
	}
	r.wrongType(n, at, "a whole number")
	return 0, false
}

func (r *reader) boolean(n ast.Node, at string) (value, ok bool) {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.wrongType(n, at, "true or false")
		return false, false
	}
	return b.Value, true
}

func (r *reader) wrongType(n ast.Node, at, want string) {
	is, hint := describe(n)
	if want == "text" && hint == "" {
		hint = "put the value in quotes if it is meant as text"
	}
	r.fault(nodeLine(n, r.placeOf(at).line), at, hint, "it is %s, not %s", is, want)
}

// describe names the type of a node for people, and says what helps where it
// can't be taken at all.
func describe(n ast.Node) (is, hint string) {
	const noReferences = "write the value out"
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty", "give it a value, or remove the key"
	case *ast.StringNode, *ast.LiteralNode:
		return "text", "remove the quotes if there are any"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number", ""
	case *ast.BoolNode:
		return "true or false", ""
	case *ast.SequenceNode:
		return "a list", "give a single value"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values", "indent less if the keys belong further out"
	case *ast.AliasNode:
		return "a YAML alias", `put it in quotes if the asterisk is meant: "*.example.com"`
	case *ast.AnchorNode:
		return "a YAML anchor", noReferences
	case *ast.TagNode:
		return "a YAML tag", noReferences
	}
	return "something else", ""
}

// nodeLine gives the line of n. What the parser makes up for an empty value has
// none of its own.
func nodeLine(n ast.Node, fallback int) int {
	if n == nil || n.Type() == ast.NullType || n.GetToken() == nil {
		return fallback
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken().Position.Line
	}
	return n.GetToken().Position.Line
}
