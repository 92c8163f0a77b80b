// Package backendtest is the kit that every backend has to pass. It runs the real
// binary with the backend named, as its users do, and looks at what comes out and
// at what is left: what a backend promises is only visible there.
//
// A new backend adds a test that calls Run. It may not be skipped in CI.
package backendtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Options say what is tested.
type Options struct {
	Backend string   // its name, for --backend
	Flags   []string // of every run, for a backend that needs a bottle that names it
	// NoRoot says why the agent can't be root in the guest: such a job has to be
	// refused with these words. Empty: it can.
	NoRoot string
	// Command gives the binary with args, as the user and with the environment
	// that the test wants.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	// NothingLeft fails the test if the host still has anything of a run.
	NothingLeft func(t testing.TB)
}

// patience bounds one job: a microVM on an emulated machine takes tens of seconds.
const patience = 2 * time.Minute

// Run runs the whole kit.
func Run(t *testing.T, o Options) {
	for name, test := range map[string]func(*testing.T, Options){
		"agent is uid 1000 without rights": agentHasNoRights,
		"root is on request":               rootOnRequest,
		"exit code and both streams":       exitAndStreams,
		"proof is in the report":           proofInReport,
		"no network and no names":          noNetwork,
		"doors answer on the alias":        doorsAnswer,
		"workspace and home are writable":  foldersWritable,
		"time limit ends everything":       timeLimit,
		"two guests don't meet":            twoGuests,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, o)
			o.NothingLeft(t)
		})
	}
}

type result struct {
	code           int
	stdout, stderr string
}

func (o Options) run(t *testing.T, flags []string, script string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	args := slices.Concat([]string{"run", "--backend", o.Backend}, o.Flags, flags)
	cmd := o.Command(ctx, append(args, "--", "sh", "-c", script)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("running the job: %v", err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// wants fails unless the job ended with code and printed exactly stdout.
func (o Options) wants(t *testing.T, flags []string, script string, code int, stdout string) {
	t.Helper()
	if r := o.run(t, flags, script); r.code != code || r.stdout != stdout {
		t.Errorf("exit code %d, wanted %d; stdout %q, wanted %q; stderr:\n%s", r.code, code, r.stdout, stdout, r.stderr)
	}
}

func agentHasNoRights(t *testing.T, o Options) {
	o.wants(t, nil, `id -u; id -g; grep -E '^(CapEff|CapPrm|CapAmb|NoNewPrivs)' /proc/self/status | tr -d '\t '`, 0,
		"1000\n1000\nCapPrm:0000000000000000\nCapEff:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\n")
}

func rootOnRequest(t *testing.T, o Options) {
	if o.NoRoot == "" {
		o.wants(t, []string{"--root"}, "id -u", 0, "0\n")
		return
	}
	if r := o.run(t, []string{"--root"}, "id -u"); r.code != 3 || !strings.Contains(r.stderr, o.NoRoot) {
		t.Errorf("exit code %d, wanted 3 with %q; stderr:\n%s", r.code, o.NoRoot, r.stderr)
	}
}

func exitAndStreams(t *testing.T, o Options) {
	r := o.run(t, []string{"--quiet"}, "echo out; echo err >&2; exit 7")
	if r.code != 1 || r.stdout != "out\n" || !strings.Contains(r.stderr, "err\n") {
		t.Errorf("got %+v", r)
	}
}

func proofInReport(t *testing.T, o Options) {
	r := o.run(t, []string{"--json"}, "true")
	var d struct {
		Backend string
		Proof   struct {
			Held                                     bool
			Users, Doors                             []string
			Tries, Refused, Silent, Collectors, Hits int
		}
		Limits []struct {
			Name   string
			HeldBy string `json:"held_by"`
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("reading the report: %v\n%s", err, r.stderr)
	}
	p := d.Proof
	if d.Backend != o.Backend || !p.Held || len(p.Users) != 2 || len(p.Doors) != 3 || p.Hits != 0 || p.Collectors == 0 || p.Tries == 0 || p.Refused+p.Silent != p.Tries {
		t.Errorf("got %+v", d)
	}
	for _, l := range d.Limits {
		if l.HeldBy == "" {
			t.Errorf("nothing holds the limit %q", l.Name)
		}
	}
}

func noNetwork(t *testing.T, o Options) {
	o.wants(t, nil, `getent hosts example.com && echo resolved; ls /sys/class/net 2>/dev/null | grep -v '^lo$'; grep -c : /proc/net/dev`, 0, "1\n")
}

func doorsAnswer(t *testing.T, o Options) {
	o.wants(t, nil, `bash -c '
		h=${HTTPS_PROXY#http://}; a=${h%:*}
		for p in 9099 9100 9420; do
			exec 3<>/dev/tcp/$a/$p && printf "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3 && head -n 1 <&3 | cut -c 1-9
		done'`, 0, "HTTP/1.1 \nHTTP/1.1 \nHTTP/1.1 \n")
}

func foldersWritable(t *testing.T, o Options) {
	o.wants(t, nil, `pwd; touch a $HOME/b /tmp/c && touch /usr/d 2>/dev/null || echo denied; touch /bottle/etc/e 2>/dev/null || echo denied`, 0, "/workspace\ndenied\ndenied\n")
}

func timeLimit(t *testing.T, o Options) {
	start := time.Now()
	o.wants(t, []string{"--timeout", "1s"}, "trap '' TERM; (setsid sleep 1000 &) ; while :; do sleep 0.2; done", 124, "")
	if took := time.Since(start); took > patience/4 {
		t.Errorf("it took %v", took)
	}
}

func twoGuests(t *testing.T, o Options) {
	aliases := make(chan string, 2)
	for range 2 {
		go func() { aliases <- o.run(t, []string{"--quiet"}, "echo $HTTPS_PROXY; sleep 1").stdout }()
	}
	if a, b := <-aliases, <-aliases; a == "" || a == b {
		t.Errorf("two guests at once have %q and %q", a, b)
	}
}
