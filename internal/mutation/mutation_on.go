//go:build mutation

package mutation

import (
	"os"
	"slices"
	"strings"
)

// Enabled tells whether this build can have a defence switched off.
const Enabled = true

// On tells whether the defence named by p is switched off for this process, by
// Variable.
func On(p Point) bool {
	return slices.Contains(strings.Split(os.Getenv(Variable), ","), string(p))
}

// Environ is what a child is given that has no other environment, so that the
// points are on in it too.
func Environ() []string { return []string{Variable + "=" + os.Getenv(Variable)} }
