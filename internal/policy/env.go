package policy

import (
	"fmt"
	"io"
	"strconv"
)

// String gives NAME="value", or NAME=[secret] where the value must not be shown.
func (v EnvVar) String() string {
	if v.Secret {
		return v.Name + "=[secret]"
	}
	return v.Name + "=" + strconv.Quote(v.Value)
}

// Format writes what String gives for every verb, so that a policy can be printed
// for debugging. Only its JSON holds the values of secrets.
func (v EnvVar) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }
