package probe

import (
	"net/netip"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Kind is what a try does.
type Kind string

// The kinds of tries, and what their Target looks like.
const (
	KindTCP        Kind = "tcp"         // connect and send the nonce; "IP:PORT"
	KindUDPConnect Kind = "udp-connect" // connect and send; "IP:PORT"
	KindUDPSendto  Kind = "udp-sendto"  // sendto(2) without connect; "IP:PORT"
	KindUDPSendmsg Kind = "udp-sendmsg" // sendmsg(2) without connect; "IP:PORT"
	KindDNS        Kind = "dns"         // a question over UDP; "IP:PORT"
	KindDNSTCP     Kind = "dns-tcp"     // the same over TCP; "IP:PORT"
	KindResolver   Kind = "resolver"    // a question to the name servers of a resolv.conf(5), or to those that a libc takes without it; its path
	KindPing       Kind = "ping"        // ICMP echo by a ping socket (icmp(7)); "IP"
	KindRaw        Kind = "raw"         // ICMP echo by a raw socket; "IP"
	KindPacket     Kind = "packet"      // a frame on every interface but the loopback (packet(7)); "any"
	KindVsock      Kind = "vsock"       // connect; "CID:PORT"
	KindFamily     Kind = "family"      // open a socket of another family or protocol; a name of Outside's
	KindUnix       Kind = "unix"        // connect to a stream socket; a path, or "@NAME" for an abstract one
	KindFile       Kind = "file"        // open for reading; a path
)

// Deadlines of a try. Refusals come within a millisecond on an idle host, and
// within three seconds where sixteen guests boot on two processors; the longer one
// is met only where something is wrong. No network's own time-out is that short
// (tcp(7), tcp_syn_retries), so that it still separates an error from silence. The
// shorter one is the price of each look at a channel that is declared silent.
const (
	Deadline       = 10 * time.Second
	SilentDeadline = 20 * time.Millisecond
)

// Try is one way out that is to be tried.
type Try struct {
	Kind   Kind   `json:"kind"`
	Target string `json:"target"`
	// Deadline bounds it; 0 means the package's Deadline. NewPlan sets it.
	Deadline time.Duration `json:"deadline_ns,omitempty"`
}

// Door is one of the doors as the guest has it.
type Door struct {
	Name    decision.Door `json:"name"`
	Address string        `json:"address"` // "ALIAS:PORT"
	Path    string        `json:"path"`    // what is asked for: the door's path of the proof, with the nonce
}

// List is a folder of the guest, and exactly what is to be in it.
type List struct {
	Path string   `json:"path"`
	Want []string `json:"want"` // names, sorted
}

// Plan is what the probe does, all of it side by side.
type Plan struct {
	Nonce string `json:"nonce"` // of this boot, what every try sends; a DNS label
	Doors []Door `json:"doors,omitempty"`
	Tries []Try  `json:"tries"`
	List  List   `json:"list"` // the doors folder
}

// NewPlan gives a plan with a deadline for each try: the short one where errnos
// declares the channel silent.
func NewPlan(nonce string, tries []Try, doors []Door, list List, errnos Errnos) Plan {
	p := Plan{Nonce: nonce, Doors: doors, List: list, Tries: make([]Try, len(tries))}
	for i, t := range tries {
		t.Deadline = Deadline
		if rule, ok := errnos.rule(t); ok && rule.Silent {
			t.Deadline = SilentDeadline
		}
		p.Tries[i] = t
	}
	return p
}

// scope gives that of the address that t goes to.
func (t Try) scope() Scope {
	addr, err := netip.ParseAddr(t.Target)
	if err != nil {
		ap, err := netip.ParseAddrPort(t.Target)
		if err != nil || t.Kind == KindVsock {
			return ScopeAny
		}
		addr = ap.Addr()
	}
	if addr = addr.Unmap(); addr.IsLoopback() || addr.IsUnspecified() {
		return ScopeOwn
	}
	return ScopeOutside
}

// String gives the kind and the target.
func (t Try) String() string { return string(t.Kind) + " " + t.Target }

// same tells whether other tries the same, within whatever time.
func (t Try) same(other Try) bool { return t.Kind == other.Kind && t.Target == other.Target }
