package probe

import "slices"

// Errnos is a backend's table: what tries look like there when there is no path.
// A try that no rule is for can't hold.
type Errnos struct {
	Backend string
	Rules   []Rule // the first that matches a try counts
	// Interfaces may be there, and up, besides the loopback, because they are
	// known to lead nowhere.
	Interfaces []string
}

// Rule says what no path looks like for one kind of try.
type Rule struct {
	Kind   Kind
	Scope  Scope    // ScopeAny matches all
	Errnos []string // names as in errno(3)
	// Silent declares that an error can't be had on this channel. Then silence
	// holds too, and the evidence is the collector, shown alive just before.
	Silent bool
	Reason string // why these, in one sentence
}

// Scope says whose address a try goes to, as the guest sees it. The same error
// means different things in different scopes: a refused connection is no path
// where the guest's own loopback refuses it, and a path where a stranger does.
type Scope string

// The scopes.
const (
	ScopeAny     Scope = ""        // in a rule: all; of a try: it goes to no IP address
	ScopeOwn     Scope = "own"     // a loopback or unspecified address: the guest itself
	ScopeOutside Scope = "outside" // any other
)

// rule gives the one that counts for t.
func (e Errnos) rule(t Try) (Rule, bool) {
	scope := t.scope()
	i := slices.IndexFunc(e.Rules, func(r Rule) bool {
		return r.Kind == t.Kind && (r.Scope == ScopeAny || r.Scope == scope)
	})
	if i < 0 {
		return Rule{}, false
	}
	return e.Rules[i], true
}

// GVisorErrnos is the table of a gVisor guest with --network=none, as measured
// with release 20260905 (systrap, directfs off, no CAP_NET_RAW), alike as root
// and as an ordinary user.
func GVisorErrnos() Errnos {
	return Errnos{Backend: "gvisor", Rules: slices.Concat(
		rules(ScopeOwn, "nobody listens on the sandbox's own loopback, which is all that these addresses are", []string{"ECONNREFUSED"},
			KindTCP, KindUDPConnect, KindDNS, KindDNSTCP),
		rules(ScopeOutside, "the sandbox's stack has no route but its loopback's", []string{"ENETUNREACH"},
			KindTCP, KindUDPConnect, KindUDPSendto, KindUDPSendmsg, KindDNS, KindDNSTCP, KindPing),
		[]Rule{
			silentDatagram(KindUDPSendto), silentDatagram(KindUDPSendmsg),
			{Kind: KindResolver, Errnos: []string{"ECONNREFUSED", "ENETUNREACH"},
				Reason: "without a resolv.conf libc asks the own loopback; an image's may name a server, to which there is no route"},
			{Kind: KindRaw, Errnos: []string{"EPERM"}, Reason: "not even root has CAP_NET_RAW"},
			{Kind: KindPacket, Errnos: []string{"EPERM"}, Reason: "not even root has CAP_NET_RAW"},
			{Kind: KindVsock, Errnos: []string{"EAFNOSUPPORT"}, Reason: "the sandbox's kernel has no such family"},
			{Kind: KindFamily, Errnos: []string{"EAFNOSUPPORT", "EPROTONOSUPPORT", "EINVAL"},
				Reason: "the sandbox's kernel has no such family; EINVAL is its word for an unknown protocol of IP"},
			{Kind: KindUnix, Errnos: []string{"ENOENT", "EACCES", "ECONNREFUSED"},
				Reason: "nothing of the host's is mounted there, or it is closed to this user; abstract names are the sandbox's own"},
			{Kind: KindFile, Errnos: []string{"ENOENT", "EACCES"}, Reason: "nothing of the host's is mounted there, or it is closed to this user"},
		})}
}

// silentDatagram is for datagrams to the own loopback from a socket that isn't
// connected.
func silentDatagram(kind Kind) Rule {
	return Rule{Kind: kind, Scope: ScopeOwn, Silent: true, Errnos: []string{"ECONNREFUSED"},
		Reason: "gVisor tells only connected sockets that nobody listens; a connected one to the same address is refused"}
}

func rules(scope Scope, reason string, errnos []string, kinds ...Kind) []Rule {
	var all []Rule
	for _, k := range kinds {
		all = append(all, Rule{Kind: k, Scope: scope, Errnos: errnos, Reason: reason})
	}
	return all
}
