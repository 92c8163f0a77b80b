package ledger

import "time"

// Clock is where the ledger has its times from.
//
// The time of day is only ever shown to people. It may be set back or forward
// while a run is under way, so nothing is decided by it: what came first is
// known by the order of the rows, and how much time went by since an obligation
// was written is measured on the boot clock, which counts on while the host
// sleeps and which nobody can set. Within one boot the difference is exact.
// After a reboot, the time since that reboot is the least that can have passed.
type Clock struct {
	// Now is the time of day.
	Now func() time.Time
	// Boot gives the random id of this boot of the host, and the time since.
	Boot func() (id string, since time.Duration, err error)
}

// SystemClock is the host's own: CLOCK_BOOTTIME (clock_gettime(2)) and
// /proc/sys/kernel/random/boot_id (random(4)).
func SystemClock() Clock { return Clock{Now: time.Now, Boot: bootTime} }

func (c Clock) orSystem() Clock {
	system := SystemClock()
	if c.Now == nil {
		c.Now = system.Now
	}
	if c.Boot == nil {
		c.Boot = system.Boot
	}
	return c
}
