// Package attack is the guest's half of the sandbox-escape suite: the catalogue of
// its cases, and the attempts themselves. It runs in a bottle, in our own binary,
// so that no image needs curl or dig, and reports what it met. What it reports is
// a hint: the host judges by what its collectors got and by what the doors wrote
// down (package escape).
package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bot-bottle/action/internal/guest/probe"
)

// Plan is what the guest is told to do.
type Plan struct {
	Alias  string            `json:"alias"`  // the bottle's address in the guest
	CAFile string            `json:"ca"`     // with the certificate of the egress door
	Cases  []string          `json:"cases"`  // by ID, in this order
	Canary map[string]string `json:"canary"` // by case: what the attack tries to get out
	Twin   map[string]string `json:"twin"`   // by case: what its twin sends where it may
	// Paths are the tries of the cases that only look for a way out.
	Paths map[string][]probe.Try `json:"paths"`
	Hosts Hosts                  `json:"hosts"`
	// Listen is a port, free on the host, at which the guest listens for a case.
	Listen int `json:"listen"`
	// HostOnly names a variable that only the supervisor has.
	HostOnly string   `json:"host_only"`
	Homes    []string `json:"homes"` // home folders of the host
	// DiskBytes is the bottle's limit of disk; 0: it is too large to be tried.
	DiskBytes int64 `json:"disk_bytes,omitempty"`
	// Leave, in the place of cases, is what to leave behind.
	Leave Leaving `json:"leave,omitempty"`
}

// Hosts are the names that the suite's policy lists. All lead to stand-ins on the
// host.
type Hosts struct {
	Listed   string            `json:"listed"`   // https: GET below /open; POST to /post
	Plain    string            `json:"plain"`    // http, port 80: GET
	Auth     string            `json:"auth"`     // https with an injected token: GET
	Expired  string            `json:"expired"`  // with a certificate that has expired
	Stranger string            `json:"stranger"` // with one of a CA that nobody trusts
	Renamed  string            `json:"renamed"`  // with one for another name
	Forge    string            `json:"forge"`    // https: GET and POST
	Models   map[string]string `json:"models"`   // by wire: a model provider's API
	Resolved string            `json:"resolved"` // https at Port: GET below /open; found by name
	Private  []string          `json:"private"`  // the same, but they lead where the policy lets none go
	Port     uint16            `json:"port"`
}

// Results are what one user of the guest met.
type Results struct {
	UID   int      `json:"uid"`
	Cases []Result `json:"cases"`
	Error string   `json:"error,omitempty"` // the prober itself could not work
}

// Result is what became of one case.
type Result struct {
	ID    string `json:"id"`
	Tries []Try  `json:"tries"`
	Twin  *Try   `json:"twin,omitempty"`
	Error string `json:"error,omitempty"` // the case could not be run
	// Left names what is there after it and was not before.
	Left []string `json:"left,omitempty"`
}

// Try is one attempt, in the guest's words.
type Try struct {
	Name    string        `json:"name"`
	Want    Want          `json:"want"`
	Outcome probe.Outcome `json:"outcome"`
	Errno   string        `json:"errno,omitempty"`  // its name, as in errno(3)
	Status  int           `json:"status,omitempty"` // of a door's HTTP answer
	Detail  string        `json:"detail,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
	// Probe is the try of a path as package probe made it; nil for others.
	Probe *probe.Result `json:"probe,omitempty"`
}

// Want says what an attempt has to meet for the case to hold.
type Want string

// The wants.
const (
	WantPath    Want = "no path"   // an error of the backend's table
	WantDoor    Want = "refused"   // a refusal, which the door wrote down
	WantDenied  Want = "denied"    // an error, or nothing there
	WantDropped Want = "dropped"   // it may pass, without the canary
	WantCounted Want = "counted"   // either; how often it is refused is what is measured
	WantNothing Want = "no effect" // it may succeed; what follows in the case shows that it changed nothing
)

// Bounds of what is read and written.
const (
	maxPlan    = 1 << 20
	maxResults = 4 << 20
)

// ReadPlan reads the plan that the host wrote.
func ReadPlan(r io.Reader) (Plan, error) {
	var p Plan
	b, err := io.ReadAll(io.LimitReader(r, maxPlan+1))
	if err == nil && len(b) > maxPlan {
		err = fmt.Errorf("more than %d bytes", maxPlan)
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("reading the plan of the suite: %w", err)
	}
	return p, nil
}

// MaxResults is how long the results may be.
const MaxResults = maxResults

// ReadResults reads what the guest wrote. They are its word, and bounded.
func ReadResults(b []byte) (Results, error) {
	var r Results
	if len(b) > maxResults {
		return r, fmt.Errorf("reading the results of the suite: more than %d bytes", maxResults)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("reading the results of the suite: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}
