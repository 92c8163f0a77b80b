//go:build mutation

package e2e

import (
	encoding "encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/mutation/defences"
	"golang.org/x/sys/unix"
)

// Each defence has cases that notice when it is gone, and hold while it is there.
// With the proof off and a network in the guest, what is sent outside stays in a
// network of our own.
func TestMutationDefences(t *testing.T) {
	for _, d := range defences.Table() {
		if len(d.Cases) == 0 {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			inOutside(t, func() {
				w := newWorld(t, false, "mutation")
				w.mutate(d.Points...)
				cases := red(w.attacked(5, "--backend", "gvisor", "--case", strings.Join(d.Cases, ",")))
				for _, id := range d.Cases {
					if cases[id] == nil {
						t.Errorf("%s notices nothing: %v", id, cases)
					}
				}
			})
		})
	}
	t.Run("none is gone", func(t *testing.T) {
		inOutside(t, func() {
			w := newWorld(t, false, "mutation")
			if r := w.attacked(0, "--backend", "gvisor", "--case", strings.Join(everyCase(), ",")); !r.Held {
				t.Errorf("with every defence: %v", red(r))
			}
		})
	})
}

// inOutside is inOwnNetwork with all of an outside in it.
func inOutside(t *testing.T, do func()) {
	t.Helper()
	inOwnNetwork(t, func() {
		for _, outside := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"} {
			if err := standFor(outside); err != nil {
				t.Errorf("standing for %s: %v", outside, err)
			}
		}
		do()
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

// everyCase lists the cases of the table.
func everyCase() (ids []string) {
	for _, d := range defences.Table() {
		ids = append(ids, d.Cases...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
