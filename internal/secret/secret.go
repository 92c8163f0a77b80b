// Package secret holds values that must not be printed, and the references by
// which bottles name them.
//
// It promises that a Value shows as "[secret NAME]" wherever fmt, encoding/json,
// encoding/xml, log/slog or a text encoder prints it, also inside of structs,
// maps and slices, and that no error made here carries the value. The one way to
// the bytes is Reveal, so that its callers can be found by a search.
//
// It does not promise that the bytes leave memory: Go copies strings as it
// likes. Processes that hold values have to be non-dumpable.
package secret

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Value is a secret and the name under which it may be talked about. The zero
// Value is an empty secret without a name. It is safe for concurrent use.
//
// The bytes are behind a function, because fmt prints the unexported fields of
// a struct that holds a Value in an unexported field without asking its methods.
type Value struct {
	name   string
	reveal func() string
}

// New makes a Value of the bytes and the name that is shown in their place.
func New(name, value string) Value {
	return Value{name: name, reveal: func() string { return value }}
}

// Name gives the name that is shown in place of the bytes.
func (v Value) Name() string { return v.name }

// Reveal gives the bytes. Every caller has to justify itself in a comment.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// IsEmpty tells whether there are no bytes.
func (v Value) IsEmpty() bool { return v.Reveal() == "" }

// String gives "[secret NAME]".
func (v Value) String() string { return "[secret " + v.name + "]" }

// GoString gives "[secret NAME]", for the verb %#v.
func (v Value) GoString() string { return v.String() }

// Format writes "[secret NAME]" for every verb and flag.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// MarshalText gives "[secret NAME]". There is no way back: a Value has no
// UnmarshalText.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MarshalJSON gives "[secret NAME]" as a JSON string.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// LogValue gives "[secret NAME]" to log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }
