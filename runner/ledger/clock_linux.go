package ledger

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const bootIDPath = "/proc/sys/kernel/random/boot_id"

func bootTime() (string, time.Duration, error) {
	id, err := os.ReadFile(bootIDPath)
	if err != nil {
		return "", 0, fmt.Errorf("reading the boot id: %w", err)
	}
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return "", 0, fmt.Errorf("reading the boot clock: %w", err)
	}
	return strings.TrimSpace(string(id)), time.Duration(since.Nano()), nil
}
