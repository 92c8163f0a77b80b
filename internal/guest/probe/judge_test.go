package probe_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/guest/probe"
)

var (
	tcp   = probe.Try{Kind: probe.KindTCP, Target: "127.0.0.1:4711"}
	udp   = probe.Try{Kind: probe.KindUDPSendto, Target: "127.0.0.1:4712"}
	raw   = probe.Try{Kind: probe.KindRaw, Target: "192.0.2.1"}
	doors = probe.List{Path: "/bottle/doors", Want: []string{"egress.sock", "supervise.sock"}}
)

// result gives what a gVisor guest says of a try of the plan.
func result(t probe.Try, outcome probe.Outcome, errno string) probe.Result {
	return probe.Result{Try: t, Outcome: outcome, Errno: errno, Elapsed: time.Millisecond}
}

// goodCase gives one that holds: two users, three tries, one of them silent.
func goodCase() probe.Case {
	plan := probe.NewPlan("nonce", []probe.Try{tcp, udp, raw}, nil, doors, probe.GVisorErrnos())
	found := func(uid int, list probe.Listing) probe.Results {
		return probe.Results{
			UID: uid, Listing: list,
			Interfaces: []probe.Interface{{Name: "lo", Up: true, Loopback: true, Addresses: []string{"127.0.0.1/8", "::1/128"}}},
			Tries: []probe.Result{
				result(plan.Tries[0], probe.Refused, "ECONNREFUSED"),
				result(plan.Tries[1], probe.Silent, ""),
				result(plan.Tries[2], probe.Refused, "EPERM"),
			},
		}
	}
	return probe.Case{
		Plan: plan, Users: []int{0, 1000}, Errnos: probe.GVisorErrnos(),
		Results: []probe.Results{
			found(0, probe.Listing{Names: slices.Clone(doors.Want)}),
			found(1000, probe.Listing{Errno: "EACCES"}),
		},
		Collectors: []probe.Collector{
			{Name: "tcp loopback", Tries: []probe.Try{tcp}, Alive: true},
			{Name: "udp loopback", Tries: []probe.Try{udp}, Alive: true},
			{Name: "tcp LAN", Absent: "this host has none"},
		},
	}
}

func TestEvidenceCountsWhatHeld(t *testing.T) {
	e, err := probe.Judge(goodCase())
	if err != nil || !e.Held || len(e.Faults) != 0 {
		t.Fatalf("%v: %q", err, e.Faults)
	}
	if e.Tries != 6 || e.Refused != 4 || e.Silent != 2 || e.Alive() != 2 || e.Slowest != time.Millisecond || e.Backend != "gvisor" {
		t.Errorf("%+v", e)
	}
	if absent := e.Absent(); !slices.Equal(absent, []string{"tcp LAN"}) {
		t.Errorf("absent: %q", absent)
	}
}

// agent gives what the ordinary user found.
func agent(c *probe.Case) *probe.Results { return &c.Results[1] }

func TestAnyOneThingAmissMakesTheProofFail(t *testing.T) {
	for want, spoil := range map[string]func(*probe.Case){
		`tcp 127.0.0.1:4711 got through`:       func(c *probe.Case) { agent(c).Tries[0].Outcome = probe.Reached },
		`udp-sendto 127.0.0.1:4712 got thr`:    func(c *probe.Case) { agent(c).Tries[1].Outcome = probe.Reached },
		`met silence, where only an error`:     func(c *probe.Case) { agent(c).Tries[0].Outcome = probe.Silent },
		`could not be made`:                    func(c *probe.Case) { agent(c).Tries[0].Outcome = probe.Broken },
		`is no outcome`:                        func(c *probe.Case) { agent(c).Tries[0].Outcome = "" },
		`with "ETIMEDOUT" instead of ECONNR`:   func(c *probe.Case) { agent(c).Tries[0].Errno = "ETIMEDOUT" },
		`with "" instead of EPERM`:             func(c *probe.Case) { agent(c).Tries[2].Errno = "" },
		`failed only after`:                    func(c *probe.Case) { agent(c).Tries[0].Elapsed = probe.Deadline + time.Microsecond },
		`2 tries were made instead of 3`:       func(c *probe.Case) { agent(c).Tries = agent(c).Tries[:2] },
		`was tried instead of tcp 127.0.0.1`:   func(c *probe.Case) { agent(c).Tries[0].Try.Target = "127.0.0.1:1" },
		`the probe did not work`:               func(c *probe.Case) { agent(c).Error = "no plan" },
		`0 results of user 1000`:               func(c *probe.Case) { c.Results = c.Results[:1] },
		`2 results of user 1000`:               func(c *probe.Case) { c.Results = append(c.Results, *agent(c)) },
		`results of user 7, who was not`:       func(c *probe.Case) { r := *agent(c); r.UID = 7; c.Results = append(c.Results, r) },
		`root is not among the users`:          func(c *probe.Case) { c.Users, c.Results = c.Users[1:], c.Results[1:] },
		`nothing was to be tried`:              func(c *probe.Case) { c.Plan.Tries, c.Collectors = nil, nil },
		`no collector was alive`:               func(c *probe.Case) { c.Collectors = c.Collectors[2:] },
		`collector tcp loopback was not shown`: func(c *probe.Case) { c.Collectors[0].Alive = false },
		`collector tcp loopback has no try`:    func(c *probe.Case) { c.Collectors[0].Tries = nil },
		`tcp 10.0.0.1:1 was not tried`:         func(c *probe.Case) { c.Collectors[0].Tries = []probe.Try{{Kind: probe.KindTCP, Target: "10.0.0.1:1"}} },
		`got this boot's nonce from "x"`:       func(c *probe.Case) { c.Hits = []probe.Hit{{Collector: "tcp loopback", From: "x", Nonce: true}} },
		`got something without this boot's`:    func(c *probe.Case) { c.Hits = []probe.Hit{{Collector: "tcp loopback"}} },
		`an interface that is up`:              func(c *probe.Case) { add(c, probe.Interface{Up: true}) },
		`an interface with an address`:         func(c *probe.Case) { add(c, probe.Interface{Addresses: []string{"10.0.0.2/8"}}) },
		`an interface with a hardware addre`:   func(c *probe.Case) { add(c, probe.Interface{Ethernet: true}) },
		`could not be listed`:                  func(c *probe.Case) { agent(c).InterfacesError = "no netlink" },
		`holds ["egress.sock"] instead of`:     func(c *probe.Case) { c.Results[0].Listing.Names = doors.Want[:1] },
		`"another.sock"`: func(c *probe.Case) {
			agent(c).Listing = probe.Listing{Names: append([]string{"another.sock"}, doors.Want...)}
		},
		`listing "/bottle/doors" failed with`: func(c *probe.Case) { c.Results[0].Listing = probe.Listing{Errno: "EACCES"} },
		`failed with "ENOENT"`:                func(c *probe.Case) { agent(c).Listing = probe.Listing{Errno: "ENOENT"} },
		`has no rule in the backend's table`:  func(c *probe.Case) { c.Errnos.Rules = c.Errnos.Rules[1:] },
	} {
		c := goodCase()
		spoil(&c)
		e, err := probe.Judge(c)
		if err == nil || e.Held {
			t.Errorf("%s: it held", want)
		} else if !strings.Contains(strings.Join(append(e.Faults, err.Error()), "\n"), want) {
			t.Errorf("wanted %s, got %v", want, err)
		}
	}
}

// add gives the agent an interface, named for what is wrong with it.
func add(c *probe.Case, i probe.Interface) {
	i.Name = "an interface that is up"
	if len(i.Addresses) > 0 {
		i.Name = "an interface with an address"
	}
	if i.Ethernet {
		i.Name = "an interface with a hardware address"
	}
	agent(c).Interfaces = append(agent(c).Interfaces, i)
}

func TestTunnelsThatKernelsPutIntoEachNamespaceAreNoInterface(t *testing.T) {
	c := goodCase()
	agent(&c).Interfaces = append(agent(&c).Interfaces, probe.Interface{Name: "tunl0"})
	if _, err := probe.Judge(c); err != nil {
		t.Error(err)
	}
}

func TestADeclaredInterfacePasses(t *testing.T) {
	c := goodCase()
	c.Errnos.Interfaces = []string{"eth0"}
	agent(&c).Interfaces = append(agent(&c).Interfaces, probe.Interface{Name: "eth0", Up: true, Ethernet: true})
	if _, err := probe.Judge(c); err != nil {
		t.Error(err)
	}
}

func TestTheErrorNamesTheFirstFaultsAndCountsTheRest(t *testing.T) {
	c := goodCase()
	for range 9 {
		c.Hits = append(c.Hits, probe.Hit{Collector: "tcp loopback"})
	}
	e, err := probe.Judge(c)
	if err == nil || !strings.HasSuffix(err.Error(), "and 4 more") || len(e.Faults) != 9 {
		t.Errorf("%d faults: %v", len(e.Faults), err)
	}
}

func TestUnansweredNamesTheDoorsThatDidNotAnswerTheNonce(t *testing.T) {
	p := probe.Plan{Doors: []probe.Door{{Name: "egress"}, {Name: "git-gate"}, {Name: "supervise"}}}
	r := probe.Results{Doors: []probe.Answer{{Door: "egress", Status: 204}, {Door: "git-gate", Status: 403}}}
	if got := r.Unanswered(p); len(got) != 2 || got[0] != "git-gate" || got[1] != "supervise" {
		t.Errorf("got %q", got)
	}
}
