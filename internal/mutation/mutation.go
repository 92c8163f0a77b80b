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
	ProofNegative    Point = "proof-negative"     // the proof ignores what the collectors got
	DoorDeaf         Point = "door-deaf"          // a door answers the proof and doesn't tell
	ProofPositive    Point = "proof-positive"     // the proof ignores whether the doors saw the nonce
	GivenUnread      Point = "given-unread"       // what the running guest was given is not compared with the plan
	GuestNetwork     Point = "guest-network"      // the guest gets the host's network
	GuestSyscalls    Point = "guest-syscalls"     // the container makes any system call
	NoMachine        Point = "no-machine"         // the smolmachines backend takes a smolvm that makes no machine
	AllowlistMode    Point = "allowlist-mode"     // the smolmachines backend uses that mode, which else the host has to choose
	GuestSocket      Point = "guest-socket"       // one more socket is put among the doors
	EgressAllowAll   Point = "egress-allow-all"   // the egress door allows every host
	EgressAddresses  Point = "egress-addresses"   // the egress door dials any resolved address
	EgressAnyHost    Point = "egress-any-host"    // the Host field may name another host than the target
	EgressAnyName    Point = "egress-any-name"    // a tunnel may hold a handshake for another server
	EgressAnyCert    Point = "egress-any-cert"    // the upstream's certificate is not verified
	EgressAnyPath    Point = "egress-any-path"    // a route's methods and paths are not looked at
	EgressLookalike  Point = "egress-lookalike"   // a host that ends like a listed one is listed
	EgressResolve    Point = "egress-resolve"     // the egress door resolves names before it decides
	EgressKeepCreds  Point = "egress-keep-creds"  // the agent's own credentials pass
	EgressNoBudget   Point = "egress-no-budget"   // the egress door counts neither requests nor bytes
	EgressGitPush    Point = "egress-git-push"    // a push by HTTPS passes the egress door
	EgressModelAny   Point = "egress-model-any"   // requests to a model's API are not looked into
	EgressNoMeter    Point = "egress-no-meter"    // what calls to a model take is not held against a limit
	EgressNoAside    Point = "egress-no-aside"    // nothing is set aside for calls to a model that are under way
	EgressBelieve    Point = "egress-believe"     // a call to a model whose usage nobody told is free
	EgressUnpriced   Point = "egress-unpriced"    // a model without a price passes under limits.cost
	DLPKnown         Point = "known-unscanned"    // requests are not looked at for the run's own secrets
	DLPPatterns      Point = "patterns-unscanned" // requests are not looked at by gitleaks' rules
	DLPAnswers       Point = "answers-unscanned"  // answers are not looked at for injections
	DLPTokens        Point = "tokens-unmasked"    // answers may show the tokens that the door adds
	SidecarFiles     Point = "sidecar-files"      // the sidecar may read the host's files
	DoorAnyUser      Point = "door-any-user"      // any user of the host may connect to a door
	LimitPIDs        Point = "limit-pids"         // the guest's processes are not limited
	LimitDisk        Point = "limit-disk"         // what the guest writes is not limited
	LimitMemory      Point = "limit-memory"       // the guest's memory is not watched
	PatchAnyMode     Point = "patch-any-mode"     // patches may make links
	PatchAnyPath     Point = "patch-any-path"     // patches may name any path
	OutputRaw        Point = "output-raw"         // the agent's output is passed on unchanged
	BottleAnyJob     Point = "bottle-any-job"     // `for` of a bottle is not compared with the job
	ImagePlainHTTP   Point = "image-plain-http"   // registries lead to any server without TLS
	RoutesStayOpen   Point = "routes-stay-open"   // what is asked of the guest after the agent's end may use the routes
	GitAnyRef        Point = "git-any-ref"        // a push may change any ref
	GitScan          Point = "git-scan"           // a push is not scanned for secrets
	GitAnyPath       Point = "git-any-path"       // a push may change what a forge or the host would run
	ResultsUnscanned Point = "results-unscanned"  // logs, patches and texts for the forge are not scanned
	GitHostWorkflow  Point = "git-host-workflow"  // a push may be what a workflow runs on the host
	TriggerAnybody   Point = "trigger-anybody"    // who caused a job need not be able to write
)
