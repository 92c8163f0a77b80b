package smolmachines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// allowlistKey is the row's key of the allowlist: null, or a list. Null allows
// everything.
const allowlistKey = "allowed_cidrs"

// span is where a value lies in a text.
type span struct{ from, to int }

// withAllowlist gives row with its allowlist replaced by cidrs and every other byte
// as it is; row itself where it has just these already.
func withAllowlist(row []byte, cidrs []string) ([]byte, error) {
	at, found, err := valueOf(row, allowlistKey)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(cidrs)
	if err != nil {
		return nil, err
	}
	if !found {
		return insertLast(row, allowlistKey, value), nil
	}
	if stored, err := allowlistOf(row); err == nil && stored != nil && slices.Equal(stored, cidrs) {
		return row, nil
	}
	return slices.Concat(row[:at.from], value, row[at.to:]), nil
}

// allowlistOf gives the row's allowlist; nil where it is null or missing.
func allowlistOf(row []byte) ([]string, error) {
	at, found, err := valueOf(row, allowlistKey)
	if err != nil || !found {
		return nil, err
	}
	var cidrs []string
	if err := json.Unmarshal(row[at.from:at.to], &cidrs); err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrRowJSON, allowlistKey, err)
	}
	return cidrs, nil
}

// valueOf finds the value of key in the object that text is. A key that is there
// twice is an error: readers differ in which of them they take.
func valueOf(text []byte, key string) (at span, found bool, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return span{}, false, fmt.Errorf("%w: it is no object", ErrRowJSON)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return span{}, false, fmt.Errorf("%w: %w", ErrRowJSON, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return span{}, false, fmt.Errorf("%w: %w", ErrRowJSON, err)
		}
		if name != key {
			continue
		}
		if found {
			return span{}, false, fmt.Errorf("%w: it has %q twice", ErrRowJSON, key)
		}
		end := int(dec.InputOffset())
		at, found = span{end - len(value), end}, true
	}
	if _, err := dec.Token(); err != nil {
		return span{}, false, fmt.Errorf("%w: %w", ErrRowJSON, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return span{}, false, fmt.Errorf("%w: something follows the object", ErrRowJSON)
	}
	return at, found, nil
}

// insertLast adds a member to the object that text is.
func insertLast(text []byte, key string, value []byte) []byte {
	end := bytes.LastIndexByte(text, '}')
	comma := ""
	if before := bytes.TrimSpace(text[:end]); before[len(before)-1] != '{' {
		comma = ","
	}
	return slices.Concat(text[:end], fmt.Appendf(nil, "%s%q:%s", comma, key, value), text[end:])
}
