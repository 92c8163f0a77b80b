//go:build !linux

package guest

import (
	"fmt"
	"os"
)

// Main gives exit code 2: a guest is always Linux.
func Main([]string, map[string]func() int) int {
	fmt.Fprintln(os.Stderr, "a guest is always Linux")
	return 2
}
