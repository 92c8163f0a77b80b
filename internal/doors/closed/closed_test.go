package closed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/doors/closed"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/testenv"
)

// world is a served door on a Unix socket, with its log.
type world struct {
	t      *testing.T
	socket string
	log    *os.File
	stop   func() error
}

func serve(t *testing.T, o closed.Options) *world {
	t.Helper()
	dir := testenv.ShortDir(t)
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if o.Log, err = decision.OpenLog(f, decision.Options{}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- closed.Serve(ctx, l, o) }()
	stop := sync.OnceValue(func() error { cancel(); defer f.Close(); return <-served })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return &world{t, l.Addr().String(), f, stop}
}

func (w *world) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", w.socket)
		},
	}}
}

func (w *world) do(method, url, body string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := w.client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, string(b)
}

// lines ends the door and gives what it recorded.
func (w *world) lines() []decision.Line {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	f, err := os.Open(w.log.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	return slices.Collect(decision.Read(f))
}

func TestEveryRequestIsRefusedAndRecorded(t *testing.T) {
	for _, refusal := range []closed.Refusal{closed.GitGate(), closed.Supervise()} {
		t.Run(string(refusal.Door), func(t *testing.T) {
			w := serve(t, closed.Options{Refusal: refusal, Epoch: func() uint64 { return 5 }})
			requests := []struct{ method, path string }{
				{"GET", "/repo.git/info/refs"}, {"POST", "/mcp"}, {"DELETE", "/mcp"}, {"OPTIONS", "/"}, {"PUT", "/x"},
			}
			for _, r := range requests {
				answer, body := w.do(r.method, "http://127.0.0.16:9420"+r.path, "a body that nobody reads")
				if answer.StatusCode != http.StatusForbidden || body != refusal.Body || answer.Header.Get("Content-Type") != refusal.ContentType {
					t.Errorf("%s %s: %s %q", r.method, r.path, answer.Status, body)
				}
			}
			lines := w.lines()
			if len(lines) != 2*len(requests) {
				t.Fatalf("%d lines: %+v", len(lines), lines)
			}
			for i, r := range requests {
				verdict, end := lines[2*i], lines[2*i+1]
				if verdict.Verdict != decision.Refuse || verdict.Rule != refusal.Rule || verdict.Door != refusal.Door ||
					verdict.Method != r.method || verdict.Path != r.path || verdict.Host != "127.0.0.16:9420" || verdict.Epoch != 5 {
					t.Errorf("verdict of %v: %+v", r, verdict)
				}
				if end.ID != verdict.ID || end.Kind != decision.KindEnd || end.Status != 403 {
					t.Errorf("end of %v: %+v", r, end)
				}
			}
		})
	}
}

func TestSuperviseAnswersAnErrorOfJSONRPC(t *testing.T) {
	w := serve(t, closed.Options{Refusal: closed.Supervise()})
	_, body := w.do("POST", "http://x/mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize"}`)
	var m struct {
		Version string `json:"jsonrpc"`
		Error   struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.Version != "2.0" || m.Error.Code != -32000 || !strings.Contains(m.Error.Message, "no approver") {
		t.Errorf("%q: %v", body, err)
	}
}

func TestGitShowsWhyItWasRefused(t *testing.T) {
	w := serve(t, closed.Options{Refusal: closed.GitGate()})
	// git speaks no HTTP over Unix sockets; in a guest the forwarder does this.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go forward(l, w.socket)
	cmd := exec.Command("git", "ls-remote", fmt.Sprintf("http://%s/repo.git", l.Addr()))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no git remote is declared in this bottle") || !strings.Contains(string(out), "403") {
		t.Errorf("git: %v\n%s", err, out)
	}
}

func forward(l net.Listener, socket string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("unix", socket)
		if err != nil {
			from.Close()
			continue
		}
		go func() { defer from.Close(); io.Copy(from, to) }()
		go func() { defer to.Close(); io.Copy(to, from) }()
	}
}

func TestAnInterceptedRequestLeavesNoLine(t *testing.T) {
	w := serve(t, closed.Options{Refusal: closed.GitGate(), Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/mine" {
			return false
		}
		w.WriteHeader(http.StatusNoContent)
		return true
	}})
	if answer, _ := w.do("GET", "http://x/mine", ""); answer.StatusCode != http.StatusNoContent {
		t.Errorf("intercepted: %s", answer.Status)
	}
	if answer, _ := w.do("GET", "http://x/other", ""); answer.StatusCode != http.StatusForbidden {
		t.Errorf("not intercepted: %s", answer.Status)
	}
	if lines := w.lines(); len(lines) != 2 || lines[0].Path != "/other" {
		t.Errorf("lines %+v", lines)
	}
}

func TestWhatTheGuestChoseIsCutInLines(t *testing.T) {
	w := serve(t, closed.Options{Refusal: closed.GitGate()})
	w.do(strings.Repeat("M", 1000), "http://"+strings.Repeat("h", 1000)+"/"+strings.Repeat("p", 3000), "")
	lines := w.lines()
	if len(lines) != 2 {
		t.Fatalf("lines %+v", lines)
	}
	if l := lines[0]; len(l.Method) > 40 || len(l.Host) > 260 || len(l.Path) > 1030 {
		t.Errorf("%d, %d and %d bytes", len(l.Method), len(l.Host), len(l.Path))
	}
}

func TestAHeadWithoutEndIsCutOff(t *testing.T) {
	w := serve(t, closed.Options{Refusal: closed.GitGate()})
	c, err := net.Dial("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	go fmt.Fprintf(c, "GET / HTTP/1.1\r\nX: %s", strings.Repeat("x", 1<<20))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%+v: %v", answer, err)
	}
}

func TestServeTellsThatTheListenerBroke(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(testenv.ShortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := closed.Serve(t.Context(), l, closed.Options{Refusal: closed.GitGate()}); err == nil || !strings.Contains(err.Error(), "git-gate") {
		t.Errorf("the error is %v", err)
	}
}
