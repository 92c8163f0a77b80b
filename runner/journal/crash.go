package journal

// CrashPoint is an instant at which a test build can have its process killed.
type CrashPoint string

// The crash points, in the order in which a run passes them.
const (
	BeforeIntend CrashPoint = "before-intend" // nothing is recorded, nothing has happened
	AfterIntend  CrashPoint = "after-intend"  // recorded, has not happened
	AfterDo      CrashPoint = "after-do"      // has happened, still recorded as intended
	AfterHold    CrashPoint = "after-hold"    // has happened and recorded so
	BeforeUndo   CrashPoint = "before-undo"
	AfterUndo    CrashPoint = "after-undo" // undone, still recorded
	AfterDrop    CrashPoint = "after-drop" // undone and no longer recorded
	BeforeClose  CrashPoint = "before-close"
	AfterSettled CrashPoint = "after-settled" // recorded as settled, the lock's file still there
)

// CrashVariable names the environment variable that says at which point a test
// build (-tags mutation) kills itself with SIGKILL: "after-do" at the first
// effect that gets there, "after-do@guest" at the first of kind guest.
const CrashVariable = "BOT_BOTTLE_CRASH_AT"

// LandsVariable names the one that says, in a test build, within which time an effect on
// another host lands, in the place of the time that its maker gives: a duration.
const LandsVariable = "BOT_BOTTLE_LANDS_IN"

// CrashPoints lists every crash point, in the order in which a run passes them.
func CrashPoints() []CrashPoint {
	return []CrashPoint{
		BeforeIntend, AfterIntend, AfterDo, AfterHold,
		BeforeUndo, AfterUndo, AfterDrop, BeforeClose, AfterSettled,
	}
}
