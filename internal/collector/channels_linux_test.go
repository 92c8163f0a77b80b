package collector_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/testenv"
)

// linuxErrnos is the table of an empty network namespace of Linux with its
// loopback up.
func linuxErrnos() probe.Errnos {
	own, outside := []string{"ECONNREFUSED"}, []string{"ENETUNREACH", "EADDRNOTAVAIL"}
	e := probe.Errnos{Backend: "namespaces", Rules: []probe.Rule{
		{Kind: probe.KindUnix, Errnos: []string{"ENOENT", "ECONNREFUSED"}},
		{Kind: probe.KindFile, Errnos: []string{"ENOENT"}},
		{Kind: probe.KindResolver, Errnos: slices.Concat(own, outside)},
		{Kind: probe.KindPing, Errnos: append([]string{"EACCES"}, outside...)},
		{Kind: probe.KindRaw, Errnos: outside},
		{Kind: probe.KindPacket, Errnos: []string{"ENXIO"}},
	}}
	for _, k := range append(probe.UDPKinds(), probe.KindTCP, probe.KindDNS, probe.KindDNSTCP) {
		e.Rules = append(e.Rules, probe.Rule{Kind: k, Scope: probe.ScopeOwn, Errnos: own}, probe.Rule{Kind: k, Scope: probe.ScopeOutside, Errnos: outside})
	}
	return e
}

// outside gives the tries that a network namespace holds back. It does not hold
// back vsock (that would leave this machine), all of the families, or sockets
// that the host has at well-known places.
func outside() []probe.Try {
	return slices.DeleteFunc(probe.Outside(), func(t probe.Try) bool {
		return t.Kind == probe.KindVsock || t.Kind == probe.KindFamily || t.Kind == probe.KindUnix
	})
}

// room is a host with collectors and a doors folder.
type room struct {
	set     *collector.Set
	planted string
	doors   string
	plan    probe.Plan
}

func newRoom(t *testing.T, more ...probe.Try) room {
	t.Helper()
	set, planted := started(t)
	r := room{set: set, planted: planted, doors: testenv.ShortDir(t)}
	r.door(t, "egress.sock")
	r.plan = probe.NewPlan(nonce, append(set.Tries(), more...), nil, probe.List{Path: r.doors, Want: []string{"egress.sock"}}, linuxErrnos())
	return r
}

// short gives the tries less time, in a world where some meet silence.
func (r room) short() room {
	for i := range r.plan.Tries {
		r.plan.Tries[i].Deadline = 10 * probe.SilentDeadline
	}
	return r
}

func (r room) door(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.doors, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// judge runs the guest and judges it.
func (r room) judge(t *testing.T, w world) (probe.Evidence, error) {
	t.Helper()
	w.Plan = r.plan
	if w.Isolated {
		w.Hide = r.planted
	}
	results := runGuest(t, w)
	hits, err := r.set.Got(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return probe.Judge(probe.Case{
		Plan: r.plan, Users: []int{0}, Results: []probe.Results{results},
		Collectors: r.set.Collectors(), Hits: hits, Errnos: linuxErrnos(),
	})
}

func TestInEmptyNamespacesEveryTryFailsAndTheProofHolds(t *testing.T) {
	r := newRoom(t, outside()...)
	e, err := r.judge(t, world{Isolated: true})
	if err != nil || !e.Held {
		t.Fatalf("%v\n%s", err, strings.Join(e.Faults, "\n"))
	}
	if e.Tries != len(r.plan.Tries) || e.Refused != e.Tries || e.Alive() == 0 {
		t.Errorf("%d tries of %d, %d refused, %d collectors", e.Tries, len(r.plan.Tries), e.Refused, e.Alive())
	}
}

func TestWithTheHostsNetworkEveryCollectorIsHitAndTheProofFails(t *testing.T) {
	r := newRoom(t).short()
	e, err := r.judge(t, world{})
	if err == nil || e.Held {
		t.Fatal("it held")
	}
	for _, c := range e.Collectors {
		for _, try := range c.Tries {
			if !strings.HasPrefix(try.Target, "/mnt/") {
				arrived(t, e, c.Name, try)
			}
		}
	}
}

// arrived wants try to have got through to the collector. Of datagrams only the
// collector knows: its answer may come from another address of the host.
func arrived(t *testing.T, e probe.Evidence, name string, try probe.Try) {
	t.Helper()
	isHit := func(h probe.Hit) bool { return h.Collector == name && (h.Nonce || try.Kind == probe.KindFile) }
	if !slices.ContainsFunc(e.Hits, isHit) {
		t.Errorf("%s got nothing", name)
	}
	for _, r := range e.Results[0].Tries {
		if r.Try.Kind == try.Kind && r.Try.Target == try.Target && r.Outcome != probe.Reached && networkOf(try) != "udp" {
			t.Errorf("%s: %s %s", try, r.Outcome, r.Errno)
		}
	}
}

func TestEachChannelOpenedAloneMakesTheProofFail(t *testing.T) {
	layout, _ := started(t)
	for _, c := range layout.Collectors() {
		for i := range c.Tries {
			if strings.HasPrefix(c.Tries[i].Target, "/mnt/") {
				continue // the same by another name
			}
			t.Run(c.Name+" by "+c.Tries[i].String(), func(t *testing.T) {
				r := newRoom(t)
				opened, try := r.try(t, c.Name, layout, i)
				e, err := r.judge(t, opened)
				if err == nil {
					t.Fatal("it held")
				}
				r.onlyHit(t, e, try)
			})
		}
	}
}

// try finds the i-th try of the collector that stands where name does in layout,
// and gives the world in which it gets through.
func (r room) try(t *testing.T, name string, layout *collector.Set, i int) (world, probe.Try) {
	t.Helper()
	at := slices.IndexFunc(layout.Collectors(), func(c probe.Collector) bool { return c.Name == name })
	try := r.set.Collectors()[at].Tries[i]
	network := networkOf(try)
	if network == "" {
		return world{Isolated: true, Show: try.Target}, try
	}
	return world{Isolated: true, Relay: &relay{network, ownAddress(try.Target)}}, try
}

// ownAddress is where the guest, and the host, listen for what goes to target.
func ownAddress(target string) string {
	ap, err := netip.ParseAddrPort(target)
	switch {
	case err != nil:
		return target
	case ap.Addr() == netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
	case ap.Addr() == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), ap.Port()).String()
	}
	return target
}

// onlyHit wants hits at the one collector that try leads to, with the nonce where
// the channel carries any content.
func (r room) onlyHit(t *testing.T, e probe.Evidence, try probe.Try) {
	t.Helper()
	if len(e.Hits) == 0 {
		t.Error("nothing arrived")
	}
	for _, h := range e.Hits {
		of := slices.IndexFunc(e.Collectors, func(c probe.Collector) bool { return c.Name == h.Collector })
		if !slices.ContainsFunc(e.Collectors[of].Tries, func(x probe.Try) bool { return x.Target == try.Target }) {
			t.Errorf("%s was opened, %s got something", try, h.Collector)
		}
		if !h.Nonce && try.Kind != probe.KindFile {
			t.Errorf("%s got something without the nonce", h.Collector)
		}
	}
	for _, result := range e.Results[0].Tries {
		if result.Outcome == probe.Reached && result.Try.Target != try.Target {
			t.Errorf("%s was opened, %s got through", try, result.Try)
		}
	}
}

func TestSilenceIsNoProof(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		r := newRoom(t).short()
		e, err := r.judge(t, world{Isolated: true, Mute: &relay{Network: network, Address: target(t, r.set, network+" loopback")}})
		if err == nil || !strings.Contains(err.Error(), "silence") || len(e.Hits) != 0 {
			t.Errorf("%s: %v, %+v", network, err, e.Hits)
		}
	}
}

func TestAnInterfaceBesidesTheLoopbackMakesTheProofFail(t *testing.T) {
	r := newRoom(t)
	if _, err := r.judge(t, world{Isolated: true, Veth: true}); err == nil || !strings.Contains(err.Error(), `"leak"`) {
		t.Errorf("%v", err)
	}
}

func TestOneMoreSocketAmongTheDoorsMakesTheProofFail(t *testing.T) {
	r := newRoom(t)
	r.door(t, "another.sock")
	if _, err := r.judge(t, world{Isolated: true}); err == nil || !strings.Contains(err.Error(), "another.sock") {
		t.Errorf("%v", err)
	}
}

func TestAnErrorThatTheTableDoesNotHaveMakesTheProofFail(t *testing.T) {
	r := newRoom(t).short()
	_, err := r.judge(t, world{Isolated: true, NoLink: true})
	if err == nil || !strings.Contains(err.Error(), `"ENETUNREACH" instead of ECONNREFUSED`) {
		t.Errorf("%v", err)
	}
}

func TestAHostWithoutANetworkListsWhatItLacks(t *testing.T) {
	var all []probe.Collector
	if err := json.Unmarshal(output(t, world{Isolated: true, Collect: true}), &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		lacks := strings.HasSuffix(c.Name, " LAN")
		if v6 := strings.Contains(c.Name, "IPv6"); v6 && !lacks {
			continue // a kernel may have no IPv6
		}
		if c.Alive == lacks || (c.Absent != "") != lacks {
			t.Errorf("%+v", c)
		}
	}
	if len(all) < 16 {
		t.Errorf("only %d are listed", len(all))
	}
}
