package collector_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/collector"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/testenv"
)

const nonce = "0123456789abcdef0123456789abcdef"

var alias = netip.MustParseAddr("127.0.0.16")

// patience is for what has to happen; nothing waits so long that goes well.
const patience = time.Minute

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// started gives collectors that were shown alive, and the folder they planted in.
func started(t *testing.T) (*collector.Set, string) {
	t.Helper()
	dir := testenv.ShortDir(t)
	set, err := collector.Start(patient(t), collector.Options{
		Nonce: nonce, Alias: alias, Folders: []collector.Folder{{Host: dir, Guest: []string{"/mnt"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	if err := set.Alive(patient(t)); err != nil {
		t.Fatal(err)
	}
	return set, dir
}

func got(t *testing.T, set *collector.Set) []probe.Hit {
	t.Helper()
	hits, err := set.Got(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// target gives the first try of a collector.
func target(t *testing.T, set *collector.Set, name string) string {
	t.Helper()
	for _, c := range set.Collectors() {
		if strings.HasPrefix(c.Name, name) && c.Absent == "" {
			return c.Tries[0].Target
		}
	}
	t.Fatalf("there is no collector %q", name)
	return ""
}

func TestEveryCollectorIsShownAliveOrAbsentWithAReason(t *testing.T) {
	set, dir := started(t)
	got(t, set)
	names := map[string]bool{}
	for _, c := range set.Collectors() {
		names[c.Name] = true
		if c.Alive == (c.Absent != "") || c.Alive && (len(c.Tries) == 0 || c.Address == "") {
			t.Errorf("%+v", c)
		}
	}
	for _, want := range []string{
		"tcp loopback", "tcp all addresses", "tcp another alias", "tcp LAN", "tcp IPv6 loopback", "tcp all IPv6 addresses", "tcp IPv6 LAN",
		"udp loopback", "udp all addresses", "udp another alias", "udp LAN", "udp IPv6 loopback", "udp all IPv6 addresses", "udp IPv6 LAN",
		"dns another alias", "abstract socket", `socket in "` + dir + `"`, `file in "` + dir + `"`,
	} {
		if !names[want] {
			t.Errorf("%q is not even absent", want)
		}
	}
}

func TestOwnTouchesAreNoHits(t *testing.T) {
	set, _ := started(t)
	if err := set.Alive(patient(t)); err != nil {
		t.Fatal(err)
	}
	if hits := append(got(t, set), got(t, set)...); len(hits) != 0 {
		t.Errorf("%+v", hits)
	}
}

func TestWhatListensOnAllAddressesIsTriedByTheBottlesAlias(t *testing.T) {
	set, _ := started(t)
	for _, kind := range []probe.Kind{probe.KindTCP, probe.KindUDPConnect} {
		if !slices.ContainsFunc(set.Tries(), func(try probe.Try) bool {
			return try.Kind == kind && strings.HasPrefix(try.Target, alias.String()+":")
		}) {
			t.Errorf("no %s try goes to the alias", kind)
		}
	}
}

func TestWhatArrivesIsAHitThatTellsWhetherItHadTheNonce(t *testing.T) {
	for name, network := range map[string]string{
		"tcp loopback": "tcp", "tcp another alias": "tcp", "udp loopback": "udp", "udp all addresses": "udp", "abstract socket": "unix", "socket in": "unix",
	} {
		for content, withNonce := range map[string]bool{"x" + nonce: true, "hello": false} {
			set, _ := started(t)
			conn, err := net.Dial(network, target(t, set, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write([]byte(content)); err != nil {
				t.Fatal(err)
			}
			hits := got(t, set)
			conn.Close()
			if len(hits) != 1 || !strings.HasPrefix(hits[0].Collector, name) || hits[0].Nonce != withNonce {
				t.Errorf("%s: %q gave %+v", name, content, hits)
			}
		}
	}
}

func TestAConnectionThatSaysNothingIsAHit(t *testing.T) {
	set, _ := started(t)
	conn, err := net.Dial("tcp", target(t, set, "tcp loopback"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if hits := got(t, set); len(hits) != 1 || hits[0].From != conn.LocalAddr().String() {
		t.Errorf("%+v", hits)
	}
}

func TestAPlantedFileTellsWhoeverOpensOrChangesIt(t *testing.T) {
	for what, do := range map[string]func(path string) error{
		"read":   func(path string) error { _, err := os.ReadFile(path); return err },
		"chmod":  func(path string) error { return os.Chmod(path, 0o644) },
		"remove": os.Remove,
		"open": func(path string) error {
			f, err := os.Open(path)
			if err == nil {
				t.Cleanup(func() { f.Close() }) // still open when it is counted
			}
			return err
		},
	} {
		set, _ := started(t)
		path := target(t, set, "file in")
		if err := do(path); err != nil {
			t.Fatal(err)
		}
		hits, err := set.Got(patient(t))
		if err != nil || len(hits) == 0 {
			t.Errorf("%s: %v, %+v", what, err, hits)
		}
	}
}

func TestAPlantedFileIsForTheHostAloneAndTheSocketForAll(t *testing.T) {
	set, _ := started(t)
	for name, want := range map[string]os.FileMode{"file in": 0o600, "socket in": 0o666 | os.ModeSocket} {
		info, err := os.Stat(target(t, set, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestANameServerAnswersThatThereIsNoSuchName(t *testing.T) {
	set, _ := started(t)
	conn, err := net.Dial("udp", target(t, set, "dns"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	question, err := probe.Question(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(question); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 512)
	conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(answer); err != nil || n != len(question) || answer[2]&0x80 == 0 || answer[3]&0xf != 3 {
		t.Errorf("%x, %v", answer[:n], err)
	}
	if hits := got(t, set); len(hits) != 1 || !hits[0].Nonce {
		t.Errorf("%+v", hits)
	}
}

func TestADeadCollectorIsNotAlive(t *testing.T) {
	set, dir := started(t)
	socket := target(t, set, "socket in")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	_, err := set.Got(patient(t))
	if err == nil || !strings.Contains(err.Error(), "socket in") {
		t.Errorf("%v", err)
	}
	for _, c := range set.Collectors() {
		if c.Alive == (c.Absent != "" || c.Name == `socket in "`+dir+`"`) {
			t.Errorf("%+v", c)
		}
	}
}

func TestWhatWasNotShownAliveBeforeGetsNothing(t *testing.T) {
	set, err := collector.Start(patient(t), collector.Options{Nonce: nonce, Alias: alias})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if _, err := set.Got(patient(t)); err == nil {
		t.Error("no error")
	}
}

func TestAFolderThatCannotBeWrittenIsAbsent(t *testing.T) {
	missing := filepath.Join(testenv.ShortDir(t), "missing")
	set, err := collector.Start(patient(t), collector.Options{Nonce: nonce, Alias: alias, Folders: []collector.Folder{{Host: missing}}})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	n := 0
	for _, c := range set.Collectors() {
		if strings.Contains(c.Name, missing) && strings.Contains(c.Absent, "no such file") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d of the two are absent: %+v", n, set.Collectors())
	}
}

func TestAPathThatIsTooLongIsAnError(t *testing.T) {
	long := filepath.Join(testenv.ShortDir(t), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	set, err := collector.Start(patient(t), collector.Options{Nonce: nonce, Alias: alias, Folders: []collector.Folder{{Host: long}}})
	if err == nil {
		set.Close()
		t.Error("no error")
	}
	if left, err := os.ReadDir(long); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestClosingLeavesNothing(t *testing.T) {
	set, dir := started(t)
	address := target(t, set, "tcp loopback")
	set.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

func TestAnEndOfPatienceIsAnError(t *testing.T) {
	set, _ := started(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := set.Got(ctx); err == nil {
		t.Error("no error")
	}
}
