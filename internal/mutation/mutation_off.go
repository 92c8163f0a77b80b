//go:build !mutation

package mutation

// Enabled tells whether this build can have a defence switched off.
const Enabled = false

// On is always false in a build that users get; the compiler removes the
// branches behind it.
func On(Point) bool { return false }

// Environ is empty in a build that users get.
func Environ() []string { return []string{} }
