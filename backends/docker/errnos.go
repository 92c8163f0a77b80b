package docker

import "github.com/bot-bottle/action/internal/guest/probe"

// containerErrnos is the table of a container under runc with --network none, our
// filter and no CAP_NET_RAW, as measured with Docker Engine 20.10 and Linux 6.18,
// alike as root and as an ordinary user.
func containerErrnos() probe.Errnos {
	own := func(reason string, errnos []string, kinds ...probe.Kind) []probe.Rule {
		return scoped(probe.ScopeOwn, reason, errnos, kinds)
	}
	outside := func(reason string, errnos []string, kinds ...probe.Kind) []probe.Rule {
		return scoped(probe.ScopeOutside, reason, errnos, kinds)
	}
	var rules []probe.Rule
	rules = append(rules, own("nobody listens on the container's own loopback, which is all that these addresses are; IPv6 is switched off",
		[]string{"ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH"},
		probe.KindTCP, probe.KindUDPConnect, probe.KindUDPSendto, probe.KindUDPSendmsg, probe.KindDNS, probe.KindDNSTCP)...)
	rules = append(rules, outside("the container's network namespace has no route but its loopback's",
		[]string{"ENETUNREACH", "EADDRNOTAVAIL"},
		probe.KindTCP, probe.KindUDPConnect, probe.KindUDPSendto, probe.KindUDPSendmsg, probe.KindDNS, probe.KindDNSTCP)...)
	filter := "the system call filter knows no such family"
	return probe.Errnos{Backend: Name, Rules: append(rules,
		probe.Rule{Kind: probe.KindPing, Errnos: []string{"EACCES", "ENETUNREACH", "EADDRNOTAVAIL"}, Reason: "no group may send echoes, or there is no route"},
		probe.Rule{Kind: probe.KindResolver, Errnos: []string{"ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL"}, Reason: "resolv.conf is empty: libc asks the own loopback"},
		probe.Rule{Kind: probe.KindRaw, Errnos: []string{"EPERM"}, Reason: "not even root has CAP_NET_RAW"},
		probe.Rule{Kind: probe.KindPacket, Errnos: []string{"EPERM"}, Reason: filter},
		probe.Rule{Kind: probe.KindVsock, Errnos: []string{"EPERM"}, Reason: filter},
		probe.Rule{Kind: probe.KindFamily, Errnos: []string{"EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}, Reason: filter + "; protocols of IP that the kernel doesn't have"},
		probe.Rule{Kind: probe.KindUnix, Errnos: []string{"ENOENT", "EACCES", "ECONNREFUSED"}, Reason: "nothing of the host's is mounted there, or it is closed to this user; abstract names are the network namespace's own"},
		probe.Rule{Kind: probe.KindFile, Errnos: []string{"ENOENT", "EACCES"}, Reason: "nothing of the host's is mounted there, or it is closed to this user"},
	)}
}

func scoped(scope probe.Scope, reason string, errnos []string, kinds []probe.Kind) []probe.Rule {
	var rules []probe.Rule
	for _, k := range kinds {
		rules = append(rules, probe.Rule{Kind: k, Scope: scope, Errnos: errnos, Reason: reason})
	}
	return rules
}
