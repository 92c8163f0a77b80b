package smolmachines

import "github.com/bot-bottle/action/internal/guest/probe"

// errnos is the table of a guest without a network, after Linux's own code: a guest
// whose only interface is the loopback has no route to anywhere else. It was not
// verified on hardware; EPERM and EAFNOSUPPORT are what a kernel without the right
// or the family says.
func errnos(m Mode) probe.Errnos {
	nowhere := []string{"ENETUNREACH"}
	refused := []string{"ECONNREFUSED"}
	if m == ModeAllowlist { // what the VMM's list denies, and what its network doesn't have
		nowhere = append(nowhere, "EACCES")
		refused = append(refused, "EACCES")
	}
	e := probe.Errnos{Backend: Name}
	add := func(scope probe.Scope, errnos []string, reason string, kinds ...probe.Kind) {
		for _, k := range kinds {
			e.Rules = append(e.Rules, probe.Rule{Kind: k, Scope: scope, Errnos: errnos, Reason: reason})
		}
	}
	silent := func(scope probe.Scope, errnos []string, reason string, kinds ...probe.Kind) {
		for _, k := range kinds {
			e.Rules = append(e.Rules, probe.Rule{Kind: k, Scope: scope, Errnos: errnos, Silent: true, Reason: reason})
		}
	}
	add(probe.ScopeOwn, refused, "nobody listens on the guest's own loopback, which is all that these addresses are",
		probe.KindTCP, probe.KindUDPConnect, probe.KindDNS, probe.KindDNSTCP)
	silent(probe.ScopeOwn, refused, "Linux tells only connected datagram sockets that nobody listens; a connected one to the same address is refused",
		probe.KindUDPSendto, probe.KindUDPSendmsg)
	add(probe.ScopeOutside, nowhere, "the guest has no route but its loopback's",
		probe.KindTCP, probe.KindUDPConnect, probe.KindUDPSendto, probe.KindUDPSendmsg, probe.KindDNS, probe.KindDNSTCP, probe.KindPing)
	add(probe.ScopeAny, []string{"ECONNREFUSED", "ENETUNREACH"}, "without a resolv.conf libc asks the own loopback; an image's may name a server, to which there is no route",
		probe.KindResolver)
	add(probe.ScopeAny, []string{"EPERM", "ENETUNREACH"}, "the user has no right to raw sockets, or the guest no route", probe.KindRaw)
	add(probe.ScopeAny, []string{"EPERM", "EAFNOSUPPORT", "ENXIO", "ENODEV"}, "the user has no right to packet sockets, or the guest no card", probe.KindPacket)
	silent(probe.ScopeAny, []string{"EAFNOSUPPORT", "ENODEV", "ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH"},
		"the VMM answers only on the ports that smolvm mapped; on others it may say nothing", probe.KindVsock)
	add(probe.ScopeAny, []string{"EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EINVAL", "EPERM"},
		"the guest's kernel has no such family, or none for this user", probe.KindFamily)
	add(probe.ScopeAny, []string{"ENOENT", "EACCES", "ECONNREFUSED"},
		"nothing of the host's is mounted there, or it is closed to this user; abstract names are the guest's own", probe.KindUnix)
	add(probe.ScopeAny, []string{"ENOENT", "EACCES"}, "nothing of the host's is mounted there, or it is closed to this user", probe.KindFile)
	return e
}
