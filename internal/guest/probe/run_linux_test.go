package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const testNonce = "0123456789abcdef0123456789abcdef"

// try makes one try by itself.
func try(t *testing.T, kind Kind, target string) Result {
	t.Helper()
	r := Run(t.Context(), Plan{Nonce: testNonce, Tries: []Try{{Kind: kind, Target: target}}})
	if len(r.Tries) != 1 {
		t.Fatalf("%+v", r)
	}
	return r.Tries[0]
}

// closedPort gives an address at which nobody listens any more.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestARefusalHasTheNameOfItsError(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, x := range []struct {
		kind          Kind
		target, errno string
	}{
		{KindTCP, closedPort(t), "ECONNREFUSED"},
		{KindUDPConnect, closedPort(t), "ECONNREFUSED"},
		{KindUDPSendto, closedPort(t), "ECONNREFUSED"},
		{KindUDPSendmsg, closedPort(t), "ECONNREFUSED"},
		{KindDNS, closedPort(t), "ECONNREFUSED"},
		{KindDNSTCP, closedPort(t), "ECONNREFUSED"},
		{KindUnix, missing, "ENOENT"},
		{KindUnix, "@" + missing, "ECONNREFUSED"},
		{KindFile, missing, "ENOENT"},
		{KindTCP, "[fe80::1%none]:1", "ENODEV"},
	} {
		if r := try(t, x.kind, x.target); r.Outcome != Refused || r.Errno != x.errno || r.Elapsed > Deadline {
			t.Errorf("%+v", r)
		}
	}
}

func TestWhatCannotBeTriedIsBroken(t *testing.T) {
	for _, x := range []struct {
		kind   Kind
		target string
	}{
		{"telepathy", "x"}, {KindTCP, "localhost:80"}, {KindUDPSendto, "127.0.0.1"}, {KindPing, "nobody"}, {KindVsock, "2"}, {KindVsock, "2:x"},
		{KindFamily, "windsor"}, {KindDNS, "::1"}, {KindResolver, os.TempDir()},
	} {
		if r := try(t, x.kind, x.target); r.Outcome != Broken || r.Detail == "" || r.Errno != "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestANonceThatIsNoLabelBreaksQuestionsOnly(t *testing.T) {
	target := closedPort(t)
	r := Run(t.Context(), Plan{Nonce: strings.Repeat("x", 64), Tries: []Try{{Kind: KindDNS, Target: target}, {Kind: KindTCP, Target: target}}})
	if r.Tries[0].Outcome != Broken || r.Tries[1].Outcome != Refused {
		t.Errorf("%+v", r.Tries)
	}
}

func TestSilenceEndsWithTheDeadlineOfTheTry(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0") // and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	quick := Try{Kind: KindUDPSendto, Target: c.LocalAddr().String(), Deadline: SilentDeadline}
	slow := Try{Kind: KindUDPConnect, Target: c.LocalAddr().String(), Deadline: 5 * SilentDeadline}
	r := Run(t.Context(), Plan{Nonce: testNonce, Tries: []Try{slow, quick}})
	for _, got := range r.Tries {
		if got.Outcome != Silent || got.Elapsed < got.Try.Deadline {
			t.Errorf("%+v", got)
		}
	}
	if r.Tries[1].Elapsed >= r.Tries[0].Elapsed {
		t.Errorf("the quick one took %v, the slow one %v", r.Tries[1].Elapsed, r.Tries[0].Elapsed)
	}
}

// The refusal of the first datagram never comes here, as where a kernel has told of
// too many others.
func TestADatagramIsSentAgainWhileNothingComes(t *testing.T) {
	for _, kind := range []Kind{KindUDPConnect, KindDNS} {
		l, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		target := l.LocalAddr().String()
		got := make(chan error, 1)
		go func() {
			_, _, err := l.ReadFrom(make([]byte, 512))
			l.Close()
			got <- err
		}()
		r := try(t, kind, target)
		if err := <-got; err != nil || r.Outcome != Refused || r.Errno != "ECONNREFUSED" || r.Elapsed < resendAfter {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestADeadlineThatPassesBeforeTheWaitIsNoEndlessWait(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := run{nonce: testNonce}.toAddress(c.LocalAddr().String(), nil, run{}.sendto)
	if a == nil {
		t.Fatal(err)
	}
	w := &pending{attempt: a, result: &Result{Try: Try{Deadline: SilentDeadline}}, start: time.Now().Add(-time.Minute)}
	if rest := wait(context.Background(), []*pending{w}); len(rest) != 0 || w.result.Outcome != Silent {
		t.Errorf("%d left, %+v", len(rest), w.result)
	}
}

func TestNoDeadlineIsLongerThanThePackages(t *testing.T) {
	start := time.Now()
	for wanted, given := range map[time.Duration]time.Duration{0: Deadline, -1: Deadline, time.Hour: Deadline, time.Second: time.Second} {
		w := pending{result: &Result{Try: Try{Deadline: wanted}}, start: start}
		if got := w.deadline().Sub(start); got != given {
			t.Errorf("%v gave %v", wanted, got)
		}
	}
}

func TestWhatIsNotOverWhenTheContextEndsIsBroken(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the guest goes down"))
	r := Run(ctx, Plan{Nonce: testNonce, Tries: []Try{{Kind: KindUDPSendto, Target: c.LocalAddr().String()}}})
	if r.Tries[0].Outcome != Broken || !strings.Contains(r.Tries[0].Detail, "the guest goes down") {
		t.Errorf("%+v", r.Tries)
	}
}

func TestNoTryComesFromAPortThatOneGoesTo(t *testing.T) {
	// All but a few of the ports that the kernel gives out are taken by the plan.
	ports := map[int]bool{}
	for port := 1; port < 1<<16; port++ {
		ports[port] = port%16 != 0
	}
	r := run{nonce: testNonce, ports: ports}
	for range 20 {
		a, err := r.toAddress(closedPort(t), nil, r.sendto)
		if a == nil {
			t.Fatal(err)
		}
		port, err := boundPort(a.fd)
		if err != nil || ports[port] {
			t.Errorf("it comes from port %d, %v", port, err)
		}
		(&pending{attempt: a, result: &Result{}}).finish(nil)
	}
}

func TestFamiliesOutsideAreThoseThatCanBeOpened(t *testing.T) {
	for _, name := range outsideFamilies {
		if _, ok := families[name]; !ok {
			t.Errorf("%q is not known", name)
		}
	}
	if len(families) != len(outsideFamilies) {
		t.Errorf("%d families are known, %d are tried", len(families), len(outsideFamilies))
	}
}

func TestNameServersAreThoseOfResolvConfOrOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for content, want := range map[string]string{
		"search x\nnameserver 192.0.2.1\n#nameserver 192.0.2.2\nnameserver\n nameserver ::1 \n":  "192.0.2.1 ::1",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4": "192.0.2.1 192.0.2.2 192.0.2.3",
		"nameserver x\n": "127.0.0.1 ::1",
		"":               "127.0.0.1 ::1",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		servers, err := resolvers(path)
		var got []string
		for _, s := range servers {
			got = append(got, s.String())
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q gave %q, %v", content, got, err)
		}
	}
	if servers, err := resolvers(path + ".missing"); err != nil || len(servers) != 2 {
		t.Errorf("%v, %v", servers, err)
	}
}

// server is a try of one name server, as askResolvers makes it, at any port.
func server(t *testing.T, target string) *attempt {
	t.Helper()
	r := run{nonce: testNonce}
	a, err := r.toAddress(target, []byte("question"), r.connectDatagram)
	if a == nil {
		t.Fatal(err)
	}
	return a
}

func TestOneNameServerThatAnswersIsEnough(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := together([]*attempt{server(t, closedPort(t)), server(t, c.LocalAddr().String())}, errors.New("unused"))
	if all == nil {
		t.Fatal(err)
	}
	w := &pending{attempt: all, result: &Result{}, start: time.Now()}
	_, from, err := c.ReadFrom(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	for rest := []*pending{w}; len(rest) > 0; {
		rest = wait(t.Context(), rest)
	}
	if w.result.Outcome != Reached {
		t.Errorf("%+v", w.result)
	}
}

func TestNameServersThatAllRefuseAreARefusal(t *testing.T) {
	all, err := together([]*attempt{server(t, closedPort(t)), server(t, closedPort(t))}, errors.New("unused"))
	if all == nil {
		t.Fatal(err)
	}
	w := &pending{attempt: all, result: &Result{}, start: time.Now()}
	for rest := []*pending{w}; len(rest) > 0; {
		rest = wait(t.Context(), rest)
	}
	if w.result.Outcome != Refused || w.result.Errno != "ECONNREFUSED" {
		t.Errorf("%+v", w.result)
	}
}

func TestDoorsAreAskedWithoutAProxyAndRedirectsNotFollowed(t *testing.T) {
	asked := make(chan string, 4)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://"+closedPort(t))
	address := strings.TrimPrefix(s.URL, "http://")
	r := Run(t.Context(), Plan{Nonce: testNonce, Doors: []Door{
		{"egress", address, "/nonce"}, {"git-gate", address, "/away"}, {"supervise", closedPort(t), "/nonce"},
	}})
	got := []int{r.Doors[0].Status, r.Doors[1].Status, r.Doors[2].Status}
	if !slices.Equal(got, []int{204, 302, 0}) || r.Doors[2].Error == "" || len(asked) != 2 {
		t.Errorf("%+v", r.Doors)
	}
}

func TestWhatIsAroundIsListed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := Run(t.Context(), Plan{Nonce: testNonce, List: List{Path: dir}})
	if !slices.Equal(r.Listing.Names, []string{"a", "b"}) || r.Listing.Errno != "" || r.UID != os.Geteuid() {
		t.Errorf("%+v", r)
	}
	if !slices.ContainsFunc(r.Interfaces, func(i Interface) bool { return i.Loopback && i.Name == "lo" && !i.Ethernet }) {
		t.Errorf("%+v", r.Interfaces)
	}
	if r := Run(t.Context(), Plan{List: List{Path: dir + "/none"}}); r.Listing.Errno != "ENOENT" {
		t.Errorf("%+v", r.Listing)
	}
}

func TestMainReadsAPlanAndWritesResults(t *testing.T) {
	plan, err := json.Marshal(Plan{Nonce: testNonce, Tries: []Try{{Kind: KindTCP, Target: closedPort(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := Main(bytes.NewReader(plan), &out); code != 0 {
		t.Errorf("code %d", code)
	}
	if r, err := Decode(&out); err != nil || len(r.Tries) != 1 || r.Tries[0].Outcome != Refused {
		t.Errorf("%+v, %v", r, err)
	}
	out.Reset()
	if code := Main(strings.NewReader("{"), &out); code != 1 {
		t.Errorf("code %d", code)
	}
	if r, err := Decode(&out); err != nil || r.Error == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func BenchmarkRunRefused(b *testing.B) {
	p := Plan{Nonce: testNonce}
	for range 20 {
		for _, k := range append(UDPKinds(), KindTCP) {
			p.Tries = append(p.Tries, Try{Kind: k, Target: "127.0.0.1:1"})
		}
	}
	for b.Loop() {
		Run(b.Context(), p)
	}
}
