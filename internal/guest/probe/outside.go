package probe

// Addresses that nobody listens at for us. One of each class is enough: what the
// guest could reach of it, it would reach by the same route. Those for
// documentation (RFC 5737, RFC 3849) stand for all of the Internet.
var (
	outsideTCP = []string{
		"192.0.2.1:443", "192.0.2.1:22", "[2001:db8::1]:443", // the Internet
		"10.0.0.1:443", "172.17.0.1:2375", "192.168.0.1:80", // private; among them Docker's usual bridge
		"100.64.0.1:443", "100.96.0.1:443", // shared address space; smolvm's gateway
		"169.254.169.254:80", "[fd00:ec2::254]:80", // cloud metadata
		"[fd00::1]:443",  // unique-local; link-local ones need an interface, of which there must be none
		"192.0.2.53:853", // DNS over TLS
	}
	outsideUDP = []string{"192.0.2.1:443", "[2001:db8::1]:443"} // QUIC
	// A gateway may answer port 53 whatever the address; the others are mDNS,
	// LLMNR and NetBIOS.
	outsideSendto = []string{"192.0.2.1:53", "224.0.0.251:5353", "[ff02::fb]:5353", "224.0.0.252:5355", "255.255.255.255:137"}
	// Stand-ins for public resolvers, to which nothing is ever sent, and
	// systemd-resolved's stub.
	outsideDNS    = []string{"192.0.2.53:53", "198.51.100.53:53", "[2001:db8::53]:53", "127.0.0.53:53"}
	outsideDNSTCP = []string{"192.0.2.53:53", "198.51.100.53:53"}
	outsideICMP   = []string{"192.0.2.1", "2001:db8::1"}
	// CID 2 is the host, 3 the first that guests usually have (vsock(7)).
	outsideVsock = []string{"2:22", "2:1024", "3:1024"}
	// Sockets besides those of TCP and UDP over IP that can lead out of a guest,
	// some of them past its network namespace (address_families(7)).
	outsideFamilies = []string{"bluetooth", "can", "nfc", "qipcrtr", "rds", "sctp", "smc", "tipc", "xdp"}
	// Sockets of services that give power over a host, where they are on most.
	outsideUnix = []string{
		"/run/docker.sock", "/var/run/docker.sock", // one is a link to the other on most hosts, not in an image
		"/run/containerd/containerd.sock", "/run/podman/podman.sock",
		"/run/crio/crio.sock", "/run/dbus/system_bus_socket", "/run/systemd/private",
		"/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket",
		"/nix/var/nix/daemon-socket/socket", "/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0",
	}
)

// Outside gives the tries that no collector waits for: there the error alone is
// the evidence.
func Outside() []Try {
	var tries []Try
	add := func(targets []string, kinds ...Kind) {
		for _, target := range targets {
			for _, kind := range kinds {
				tries = append(tries, Try{Kind: kind, Target: target})
			}
		}
	}
	add(outsideTCP, KindTCP)
	add(outsideUDP, UDPKinds()...)
	add(outsideSendto, KindUDPSendto)
	add(outsideDNS, KindDNS)
	add(outsideDNSTCP, KindDNSTCP)
	add([]string{"/etc/resolv.conf"}, KindResolver)
	add(outsideICMP, KindPing, KindRaw)
	add([]string{"any"}, KindPacket)
	add(outsideVsock, KindVsock)
	add(outsideFamilies, KindFamily)
	add(outsideUnix, KindUnix)
	return tries
}

// UDPKinds are the ways to send a datagram. A filter may know one and not the
// others.
func UDPKinds() []Kind {
	return []Kind{KindUDPConnect, KindUDPSendto, KindUDPSendmsg}
}
