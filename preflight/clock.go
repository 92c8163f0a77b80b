package preflight

import (
	"context"
	"fmt"
	"os"
	"time"
)

var clockBehind = Entry{"clock-behind", Warn, "The clock is behind something that has already happened: certificates won't verify, and keys won't expire in time.",
	[]Remedy{{"nixos", "services.timesyncd.enable = true; then `timedatectl status`"}, {"", "set the clock: `timedatectl set-ntp true`, then `timedatectl status`"}}}

// Written before this line, no binary of ours can run.
var beginning = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// jump is how far back a clock may step without notice.
const jump = 10 * time.Minute

// Clock asks whether now is after this program was written and after the last
// change of the file witness, which may be missing.
func Clock(h Host, now func() time.Time, witness string) Check {
	return Check{ID: "clock", Subject: "clock", Run: func(context.Context) Finding {
		if t := now(); t.Before(beginning) {
			return h.Found(clockBehind, fmt.Sprintf("it is %s", t.UTC().Format(time.DateTime)))
		}
		info, err := os.Stat(witness)
		if err != nil || !now().Before(info.ModTime().Add(-jump)) {
			return Passed(now().UTC().Format("2006-01-02 15:04:05 UTC"))
		}
		return h.Found(clockBehind, fmt.Sprintf("%q is from %s, it is %s", witness, info.ModTime().UTC().Format(time.DateTime), now().UTC().Format(time.DateTime)))
	}}
}
