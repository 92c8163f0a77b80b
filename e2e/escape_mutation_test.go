//go:build mutation

package e2e

import (
	encoding "encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/escape"
	"github.com/bot-bottle/action/internal/mutation"
	"golang.org/x/sys/unix"
)

// leaky is what a mutation has to turn red, at least.
const leaky = 10

// With the proof off and a network in the guest, the suite sees what the proof
// would have seen.
func TestMutationTheSuiteSeesANetwork(t *testing.T) {
	inOwnNetwork(t, func() {
		for _, outside := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"} {
			if err := standFor(outside); err != nil {
				t.Errorf("standing for %s: %v", outside, err)
			}
		}
		w := newWorld(t, false, "mutation")
		w.mutate(mutation.GuestNetwork, mutation.GivenUnread, mutation.ProofNegative)
		r := w.attacked(5, "--tier", "quick", "--case", "N03,N04,N08,N12,N13,N14,N16,N19,D03,D04,D07,F12")
		cases := red(r)
		t.Logf("red: %v", slices.Sorted(maps.Keys(cases)))
		if len(cases) < leaky {
			t.Errorf("%d cases are red, wanted %d: %v", len(cases), leaky, cases)
		}
	})
}

// standFor makes this network namespace's loopback all of an outside network: what
// is sent there stays here, and is answered.
func standFor(network string) error {
	prefix, native := netip.MustParsePrefix(network), encoding.NativeEndian
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	address := prefix.Addr().Next().As4()
	m := native.AppendUint32(nil, 16+8+8+8)
	m = native.AppendUint16(m, unix.RTM_NEWADDR)
	m = native.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	m = append(m, make([]byte, 8)...)
	m = append(m, unix.AF_INET, byte(prefix.Bits()), 0, 0)
	m = native.AppendUint32(m, 1) // lo
	for _, kind := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		m = native.AppendUint16(m, 8)
		m = native.AppendUint16(m, kind)
		m = append(m, address[:]...)
	}
	return unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// Each defence has cases that notice when it is gone.
func TestMutationTheSuiteMissesNoDefence(t *testing.T) {
	inOwnNetwork(t, func() {
		for _, c := range []struct {
			points []mutation.Point
			cases  string
		}{
			{[]mutation.Point{mutation.EgressKeepCreds}, "H19"},
			{[]mutation.Point{mutation.EgressModelAny}, "H29"},
			{[]mutation.Point{mutation.EgressAllowAll, mutation.EgressAddresses}, "H01,H03,H07,D02,D06,H26"},
			{[]mutation.Point{mutation.GuestSocket, mutation.GivenUnread, mutation.ProofNegative}, "F12"},
		} {
			w := newWorld(t, false, "mutation")
			if r := w.attacked(0, "--case", c.cases); !r.Held {
				t.Errorf("with every defence: %v", red(r))
			}
			w.mutate(c.points...)
			r := w.attacked(5, "--case", c.cases)
			for id := range strings.SplitSeq(c.cases, ",") {
				if red(r)[id] == nil {
					t.Errorf("%v off: %s notices nothing", c.points, id)
				}
			}
			if r.Count(escape.Held) > 0 {
				t.Logf("%v off: %v", c.points, red(r))
			}
		}
	})
}
