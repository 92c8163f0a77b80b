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
// BOT_BOTTLE_MUTATE, a comma-separated list of points.
func On(p Point) bool {
	return slices.Contains(strings.Split(os.Getenv("BOT_BOTTLE_MUTATE"), ","), string(p))
}
