// Package mutation lets a test build (-tags mutation) switch off one defence at
// a time, so that a test can show that the attack it holds back then succeeds.
// In every other build On is the constant false and nothing of this remains.
package mutation

// Point names one defence.
type Point string

// Variable is the environment variable that lists the points that are on, separated
// by commas.
const Variable = "BOT_BOTTLE_MUTATE"

// Every defence that a test build can switch off.
const (
	ProofNegative   Point = "proof-negative"    // the proof ignores what the collectors got
	ProofPositive   Point = "proof-positive"    // the proof ignores whether the doors saw the nonce
	GivenUnread     Point = "given-unread"      // what the running guest was given is not compared with the plan
	GuestNetwork    Point = "guest-network"     // the guest gets the host's network
	GuestSyscalls   Point = "guest-syscalls"    // the container makes any system call
	NoMachine       Point = "no-machine"        // the smolmachines backend takes a smolvm that makes no machine
	AllowlistMode   Point = "allowlist-mode"    // the smolmachines backend uses that mode, which else the host has to choose
	GuestSocket     Point = "guest-socket"      // one more socket is put among the doors
	EgressAllowAll  Point = "egress-allow-all"  // the egress door allows every host
	EgressAddresses Point = "egress-addresses"  // the egress door dials any resolved address
	EgressKeepCreds Point = "egress-keep-creds" // the agent's own credentials pass
	EgressNoBudget  Point = "egress-no-budget"  // the egress door counts neither requests nor bytes
	EgressModelAny  Point = "egress-model-any"  // requests to a model's API are not looked into
	PatchAnyPath    Point = "patch-any-path"    // patches may name any path
	OutputRaw       Point = "output-raw"        // the agent's output is passed on unchanged
	BottleAnyJob    Point = "bottle-any-job"    // `for` of a bottle is not compared with the job
	TriggerAnybody  Point = "trigger-anybody"   // who caused a job need not be able to write
)
