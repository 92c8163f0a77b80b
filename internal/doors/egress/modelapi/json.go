package modelapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of a body. The longest conversations have some ten thousand values, and
// tools' schemas are nested less than 40 deep.
const (
	maxDepth  = 128
	maxValues = 1 << 18
)

// value is one JSON value of a valid document. Strings and numbers stay in the
// document until they are asked for.
type value struct {
	raw     []byte
	members []member // of an object
	items   []value  // of an array
}

type member struct {
	key   string
	value value
}

func (v value) isObject() bool { return v.raw[0] == '{' }
func (v value) isArray() bool  { return v.raw[0] == '[' }
func (v value) isString() bool { return v.raw[0] == '"' }

// isNothing is true for null, false and what is empty: saying it asks for nothing.
func (v value) isNothing() bool {
	switch string(v.raw) {
	case "null", "false", `""`:
		return true
	}
	return v.isArray() && len(v.items) == 0 || v.isObject() && len(v.members) == 0
}

// text gives a string's content, and "" for anything else.
func (v value) text() string {
	var s string
	if v.isString() && json.Unmarshal(v.raw, &s) != nil {
		panic("modelapi: a checked string is none")
	}
	return s
}

// get gives the member of that name.
func (v value) get(key string) (value, bool) {
	for _, m := range v.members {
		if m.key == key {
			return m.value, true
		}
	}
	return value{}, false
}

// parse reads a document strictly. rename spells keys that the provider takes for
// one another alike.
func parse(doc []byte, rename func(string) string) (value, error) {
	switch {
	case !utf8.Valid(doc):
		return value{}, errors.New("it is not UTF-8")
	case !json.Valid(doc):
		return value{}, errors.New("it is not one JSON document")
	}
	p := parser{doc: doc, rename: rename}
	return p.value(0)
}

// parser walks a document that is known to be valid.
type parser struct {
	doc    []byte
	at     int
	values int
	rename func(string) string
}

func (p *parser) value(depth int) (value, error) {
	if p.values++; p.values > maxValues {
		return value{}, fmt.Errorf("it has more than %d values", maxValues)
	}
	if depth > maxDepth {
		return value{}, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	p.space()
	start := p.at
	var v value
	var err error
	switch p.doc[p.at] {
	case '{':
		v.members, err = p.object(depth)
	case '[':
		v.items, err = p.array(depth)
	case '"':
		p.skipString()
	default:
		p.skipWord()
	}
	v.raw = p.doc[start:p.at]
	return v, err
}

func (p *parser) object(depth int) ([]member, error) {
	var members []member
	seen := map[string]bool{}
	for p.enter('}') {
		start := p.at
		p.skipString()
		key := p.rename(value{raw: p.doc[start:p.at]}.text())
		if seen[key] {
			return nil, fmt.Errorf("key %.80q is there twice", key)
		}
		seen[key] = true
		p.space()
		p.at++ // the colon
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, v})
	}
	return members, nil
}

func (p *parser) array(depth int) ([]value, error) {
	var items []value
	for p.enter(']') {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

// enter passes the opening bracket or a comma and tells whether an element
// follows; at the closing bracket it passes that.
func (p *parser) enter(closing byte) bool {
	p.space()
	if p.doc[p.at] != closing {
		p.at++
		p.space()
	}
	if p.doc[p.at] == closing {
		p.at++
		return false
	}
	return true
}

func (p *parser) space() {
	for p.at < len(p.doc) && bytes.IndexByte([]byte(" \t\r\n"), p.doc[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) skipString() {
	for p.at++; p.doc[p.at] != '"'; p.at++ {
		if p.doc[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
}

func (p *parser) skipWord() {
	for p.at < len(p.doc) && bytes.IndexByte([]byte(" \t\r\n,]}"), p.doc[p.at]) < 0 {
		p.at++
	}
}
