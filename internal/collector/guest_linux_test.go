package collector_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/guest/probe"
	"golang.org/x/sys/unix"
)

// The tests' guest is this binary in namespaces of its own: no privilege is
// needed, and what leaves it, leaves it by a way that the test opened.

// guestVariable makes this binary a guest.
const guestVariable = "BOT_BOTTLE_TEST_GUEST"

func TestMain(m *testing.M) {
	if os.Getenv(guestVariable) == "" {
		os.Exit(m.Run())
	}
	if err := guestMain(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// world is what a guest is told.
type world struct {
	Plan     probe.Plan
	Collect  bool   // it is a host by itself: collectors are started, and described
	Isolated bool   // it has namespaces of its own
	NoLink   bool   // its loopback stays down
	Hide     string // a folder of the host, of which it sees nothing
	Show     string // but for this file
	Relay    *relay // one channel that leads out
	Mute     *relay // one that swallows what is sent
	Veth     bool   // a network interface
}

// relay is a path out of the guest's network: what arrives at Address in the
// guest goes to the host.
type relay struct {
	Network, Address string // also where the host delivers it
}

// relayFile is the guest's end of the socket pair that a relay sends over.
const relayFile = 3

func guestMain() error {
	var w world
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return err
	}
	if w.Isolated {
		if err := w.setUp(); err != nil {
			return err
		}
	}
	if w.Collect {
		return describeCollectors()
	}
	results := probe.Run(context.Background(), w.Plan)
	w.await(results)
	return json.NewEncoder(os.Stdout).Encode(results)
}

func describeCollectors() error {
	set, err := collector.Start(context.Background(), collector.Options{Nonce: nonce, Alias: alias})
	if err != nil {
		return err
	}
	defer set.Close()
	if err := set.Alive(context.Background()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(set.Collectors())
}

// relayed has an element for everything that the relay handed on.
var relayed = make(chan struct{}, 100)

// await waits for the relay to hand on what got through.
func (w world) await(results probe.Results) {
	for _, r := range results.Tries {
		if w.Relay != nil && r.Outcome == probe.Reached {
			<-relayed
		}
	}
}

func (w world) setUp() error {
	if !w.NoLink {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bringing the loopback up: %w", err)
		}
	}
	if w.Veth {
		if err := addVeth(); err != nil {
			return fmt.Errorf("adding an interface: %w", err)
		}
	}
	if w.Hide != "" {
		if err := hide(w.Hide, w.Show); err != nil {
			return err
		}
	}
	if w.Relay != nil {
		out := os.NewFile(relayFile, "relay")
		if err := listen(*w.Relay, func(b []byte) { out.Write(b); relayed <- struct{}{} }); err != nil {
			return err
		}
	}
	if w.Mute != nil {
		return w.Mute.mute()
	}
	return nil
}

// hide covers dir, and shows one file of it through the cover.
func hide(dir, show string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	kept := -1
	if show != "" {
		var err error
		if kept, err = unix.Open(show, unix.O_PATH, 0); err != nil {
			return err
		}
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("covering %q: %w", dir, err)
	}
	if show == "" {
		return nil
	}
	if err := os.WriteFile(show, nil, 0o600); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", kept), show, "", unix.MS_BIND, "")
}

// listen hands on everything that arrives at r.
func listen(r relay, deliver func([]byte)) error {
	if ap, err := netip.ParseAddrPort(r.Address); err == nil && !ap.Addr().IsLoopback() && !ap.Addr().IsUnspecified() {
		if err := takeAddress(ap.Addr()); err != nil {
			return fmt.Errorf("taking the address %s: %w", ap.Addr(), err)
		}
	}
	config := net.ListenConfig{Control: anyAddress}
	if r.Network == "udp" {
		c, err := config.ListenPacket(context.Background(), "udp", r.Address)
		if err != nil {
			return err
		}
		go func() {
			for b := make([]byte, 2048); ; {
				n, from, err := c.ReadFrom(b)
				if err == nil {
					deliver(b[:n])
					c.WriteTo([]byte("!"), from)
				}
			}
		}()
		return nil
	}
	l, err := config.Listen(context.Background(), r.Network, r.Address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 2048)
			n, _ := c.Read(b)
			deliver(b[:n])
		}
	}()
	return nil
}

// mute takes r's address and never answers: datagrams lie unread, and the queue
// for connections is full.
func (r relay) mute() error {
	to := netip.MustParseAddrPort(r.Address)
	kind := unix.SOCK_DGRAM
	if r.Network == "tcp" {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return err
	}
	address := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	if err := unix.Bind(fd, address); err != nil || r.Network == "udp" {
		return err
	}
	if err := unix.Listen(fd, 0); err != nil { // room for one
		return err
	}
	full, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return err
	}
	return unix.Connect(full, address)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// attribute is one of rtnetlink(7).
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// takeAddress makes another address the guest's own, by a route: an address of
// IPv6 would be usable only some time after it is added.
func takeAddress(ip netip.Addr) error {
	family, bits := byte(unix.AF_INET), byte(32)
	if ip.Is6() {
		family, bits = unix.AF_INET6, 128
	}
	const loopback = 1
	body := []byte{family, bits, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	body = append(body, attribute(unix.RTA_DST, ip.AsSlice())...)
	return netlink(unix.RTM_NEWROUTE, append(body, attribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, loopback))...))
}

// anyAddress lets a socket bind to an address that is the guest's by a route only.
func anyAddress(network, _ string, c syscall.RawConn) error {
	if !strings.HasSuffix(network, "6") {
		return nil
	}
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

// addVeth makes a pair of interfaces, of which one is named "leak" and up.
func addVeth() error {
	up := binary.NativeEndian.AppendUint32(nil, unix.IFF_UP)
	body := append(make([]byte, 8), append(bytes.Clone(up), up...)...)
	body = append(body, attribute(unix.IFLA_IFNAME, []byte("leak\x00"))...)
	return netlink(unix.RTM_NEWLINK, append(body, attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("veth")))...))
}

// netlink sends a request to make something and waits for the acknowledgement.
func netlink(kind uint16, body []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	message = binary.NativeEndian.AppendUint16(message, kind)
	message = binary.NativeEndian.AppendUint16(message, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	message = append(append(message, make([]byte, 8)...), body...)
	if err := unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	if _, _, err := unix.Recvfrom(fd, reply, 0); err != nil {
		return err
	}
	if code := int32(binary.NativeEndian.Uint32(reply[unix.NLMSG_HDRLEN:])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

// runGuest runs a guest and gives what it found.
func runGuest(t *testing.T, w world) probe.Results {
	t.Helper()
	results, err := probe.Decode(bytes.NewReader(output(t, w)))
	if err != nil {
		t.Fatal(err)
	}
	results.UID = 0 // in the host's namespaces it is whoever runs the test
	return results
}

// output runs a guest and gives what it writes.
func output(t *testing.T, w world) []byte {
	t.Helper()
	body, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(patient(t), "/proc/self/exe")
	cmd.Env = []string{guestVariable + "=1", "GORACE=atexit_sleep_ms=0"} // the race detector waits a second for nothing else
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), &stdout, &stderr
	if w.Isolated {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
	}
	delivered := w.deliver(t, cmd)
	if err := cmd.Run(); err != nil {
		t.Fatalf("running the guest: %v\n%s", err, stderr.String())
	}
	delivered()
	return stdout.Bytes()
}

// deliver takes what the guest's relay sends and gives it to the collector. The
// function it gives waits until all of it is there.
func (w world) deliver(t *testing.T, cmd *exec.Cmd) func() {
	t.Helper()
	if w.Relay == nil {
		return func() {}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "guest"), os.NewFile(uintptr(pair[1]), "host")
	cmd.ExtraFiles = []*os.File{theirs}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 4096); ; {
			n, err := ours.Read(b)
			if err != nil || n == 0 {
				return
			}
			c, err := net.Dial(w.Relay.Network, w.Relay.Address)
			if err != nil {
				t.Errorf("relaying: %v", err)
				return
			}
			c.Write(b[:n])
			c.Close()
		}
	}()
	return func() {
		theirs.Close()
		<-done
		ours.Close()
	}
}

// networkOf gives the network of a try by which it can be relayed.
func networkOf(try probe.Try) string {
	switch {
	case try.Kind == probe.KindTCP:
		return "tcp"
	case try.Kind == probe.KindUnix && strings.HasPrefix(try.Target, "@"):
		return "unix"
	case try.Kind == probe.KindUnix, try.Kind == probe.KindFile:
		return "" // by a mount
	}
	return "udp"
}
