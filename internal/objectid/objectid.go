// Package objectid knows the form of git's object ids: SHA-1 or SHA-256, whole, in
// lower-case hex (gitformat-pack(5)). It doesn't tell whether there is such an object.
package objectid

import "regexp"

var form = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Is tells whether text is a whole object id.
func Is(text string) bool { return form.MatchString(text) }
