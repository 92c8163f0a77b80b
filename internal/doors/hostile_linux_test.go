package doors

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"

	"github.com/bot-bottle/action/internal/policy"
)

// taken is a Sidecar whose process was taken over by the test: what is written to
// the connection comes from it.
func taken(t *testing.T) (*Sidecar, *net.UnixConn, func(error)) {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(theirs)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	s := newSidecar(ours, os.Getpid(), served, func() { waited <- errors.New("killed") }, waited)
	t.Cleanup(func() { conn.Close() })
	return s, conn.(*net.UnixConn), func(err error) { waited <- err }
}

func TestASidecarThatWasTakenOverCanNotConfuseTheSupervisor(t *testing.T) {
	for name, said := range map[string]string{
		"not JSON":           "\x00\x01\x02\n",
		"a line without end": strings.Repeat("x", 2*maxAnswer),
		"other types":        `{"id":"one","seen":7}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, conn, _ := taken(t)
			go fmt.Fprint(conn, said)
			<-s.Done() // it isn't trusted any more
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), "receiving a message") || !strings.Contains(err.Error(), "killed") || strings.Contains(err.Error(), "one") {
				t.Errorf("the reason is %v", err)
			}
		})
	}
}

func TestAnswersThatNobodyAskedForAreDropped(t *testing.T) {
	s, conn, exit := taken(t)
	for range 2 {
		fmt.Fprintln(conn, `{"id":99,"ready":{"ca_pem":"x"}}`)
		fmt.Fprintln(conn, `{"seen":{"door":"back-door"}}`)
		fmt.Fprintln(conn, `{"hardened":[]}`)
		fmt.Fprintln(conn, `{"hardened":[{"name":"x"}]}`)
		fmt.Fprintln(conn, `{"seen":{"door":"egress"}}`)
		fmt.Fprintln(conn, `{}`)
	}
	fmt.Fprintln(conn, `{"fault":{"cause":"::error::\u001b[2Jbad\n"}}`)
	conn.Close()
	exit(errors.New("exit status 1"))
	<-s.Done()
	if _, ok := s.seen["egress"]; len(s.seen) != 1 || !ok {
		t.Errorf("seen: %v", s.seen)
	}
	if err := s.Err(); err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || strings.HasPrefix(err.Error(), "::") {
		t.Errorf("the reason is %q", err)
	}
}

func TestAnOrderTellsTheGuestsPartOfThePolicyToNobody(t *testing.T) {
	p := policy.Policy{
		Epoch: 3, Bottle: "b", Env: []policy.EnvVar{{Name: "E", Value: "s3cr3t", Secret: true}},
		Egress: policy.Egress{Routes: []policy.Route{{Host: "a.example", Port: 443}}},
	}
	line, err := encode(order{Configure: Config{Policy: p}.wire()}, maxOrder)
	if err != nil || strings.Contains(string(line), "s3cr3t") || !strings.Contains(string(line), "a.example") {
		t.Errorf("%s (%v)", line, err)
	}
}

func TestOnlyTheFilesBehindResolverNamesCanBeRead(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"etc", "run/resolve", "store"} {
		if err := os.MkdirAll(at(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/plain", "run/resolve/stub", "store/hosts"} {
		if err := os.WriteFile(at(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"etc/served": "run/resolve/stub", "etc/linked": "store/hosts", "etc/broken": "none"} {
		if err := os.Symlink(at(target), at(name)); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{at("etc/plain"), at("etc/served"), at("etc/linked"), at("etc/broken"), at("etc/none")}
	files, folders := resolverPaths(names, at("run")+"/")
	if want := []string{at("etc/plain"), at("run/resolve/stub"), at("store/hosts")}; !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
	if want := []string{at("run/resolve")}; !slices.Equal(folders, want) {
		t.Errorf("folders %v, want %v", folders, want)
	}
}

func TestTheListOfSystemCallsAssemblesForEachProcessor(t *testing.T) {
	for _, here := range []*arch.Info{arch.X86_64, arch.AARCH64} {
		p := callPolicy(here, 7)
		for _, name := range []string{"read", "futex", "epoll_pwait", "accept4", "connect", "exit_group", "rt_sigreturn"} {
			if !slices.Contains(p.Syscalls[0].Names, name) {
				t.Errorf("%s: %s is missing", here.Name, name)
			}
		}
		for _, c := range conditionalCalls(7) {
			if _, ok := here.SyscallNames[c.Name]; !ok {
				t.Errorf("%s: %s doesn't exist", here.Name, c.Name)
			}
		}
	}
	for _, name := range allowedCalls {
		_, amd64 := arch.X86_64.SyscallNames[name]
		_, arm64 := arch.AARCH64.SyscallNames[name]
		if !amd64 && !arm64 {
			t.Errorf("%s exists on no processor", name)
		}
	}
	p := callPolicy(arch.X86_64, 7) // the library chooses the processor it runs on
	program, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := bpf.Assemble(program); err != nil || len(raw) > 4096 { // BPF_MAXINSNS
		t.Errorf("%d instructions (%v)", len(raw), err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"id":1,"swap":{"epoch":2}}`))
	f.Add([]byte("{\n\x00"))
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs, err := socketPair()
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		go func() {
			defer theirs.Close()
			theirs.Write(said)
		}()
		l := newLink(ours, 1<<10)
		for lines := 0; ; lines++ {
			var o order
			if l.receive(&o) != nil {
				return
			}
			if lines > len(said) {
				t.Fatal("more lines than bytes")
			}
		}
	})
}
