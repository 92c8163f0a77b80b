package e2e

import (
	"fmt"
	"os"
	"strings"
)

// parse reads the process id of a line that processesWith gave.
func parse(line string, pid *int) (int, error) { return fmt.Sscanf(line, "%d:", pid) }

// descends tells whether pid is ancestor or below it.
func descends(pid, ancestor int) bool {
	for pid > 1 && pid != ancestor {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(b), "PPid:")
		fmt.Sscan(rest, &pid)
	}
	return pid == ancestor
}
