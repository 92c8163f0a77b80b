package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// contenders are what is compared: a proxy and a mode.
var contenders = []string{
	"door/off", "door/known", "door/all", "goproxy/off", "goproxy/known", "mitmproxy/off", "mitmproxy/known",
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 3 && args[0] == "serve" { // this program again, as a proxy
		return serve(ctx, args[1], args[2])
	}
	if len(args) == 0 {
		args = contenders
	}
	for _, name := range args {
		if !slices.Contains(contenders, name) {
			return fmt.Errorf("choosing what to compare: %q is none of %s", name, strings.Join(contenders, ", "))
		}
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	up, err := startUpstream(dir)
	if err != nil {
		return err
	}
	fmt.Println("| proxy/mode | 5,000 small requests | p99 | 100 MiB down | 40 turns | p95 of a turn | 200 streams: p99 of an event | memory at most |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, name := range append([]string{"direct"}, args...) {
		line, err := compare(ctx, dir, name, up)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", name, err)
		}
		fmt.Println(line)
	}
	return nil
}

// compare starts one contender, and measures it.
func compare(ctx context.Context, dir, name string, up *upstream) (string, error) {
	p, err := start(ctx, dir, name, up)
	if err != nil {
		return "", err
	}
	defer p.stop()
	m, err := measure(ctx, p, up)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("| %s | %.0f /s | %.1f ms | %.0f MB/s | %.0f ms | %.1f ms | %.1f ms | %s |", name, m.rate, ms(m.smallP99), m.download, ms(m.turns), ms(m.turnP95), ms(m.eventP99), p.memory()), nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// proxy is a running contender; the zero value is none, for requests that go straight.
type proxy struct {
	address string // host:port of its listener
	host    string // by which it reaches the upstream; empty: the names of the traffic
	ca      string // path of its CA's PEM
	cmd     *exec.Cmd
}

// patience is how long a proxy may take to listen. Python takes its time.
const patience = 30 * time.Second

func start(ctx context.Context, dir, name string, up *upstream) (*proxy, error) {
	p := &proxy{}
	if name == "direct" {
		return p, nil
	}
	kind, mode, _ := strings.Cut(name, "/")
	own := filepath.Join(dir, kind+"-"+mode)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, err
	}
	p.ca = filepath.Join(own, "mitmproxy-ca-cert.pem")
	if kind == "mitmproxy" {
		if err := p.python(ctx, own, mode, up); err != nil {
			return nil, err
		}
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		p.cmd = exec.CommandContext(ctx, self, "serve", kind, mode)
		p.cmd.Env = append(os.Environ(), "BENCH_DIR="+own, "BENCH_UPSTREAM="+up.address, "BENCH_CA="+up.ca)
	}
	p.cmd.Stderr = os.Stderr
	return p, p.begin()
}

// begin starts the process and waits until it listens: one of ours says where.
func (p *proxy) begin() error {
	if p.address != "" {
		if err := p.cmd.Start(); err != nil {
			return fmt.Errorf("starting it: %w", err)
		}
		return p.dialled()
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	told := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				told <- address
			}
		}
	}()
	select {
	case p.address = <-told:
		return nil
	case <-time.After(patience):
		p.stop()
		return errors.New("it does not listen")
	}
}

// dialled waits until somebody listens at the address.
func (p *proxy) dialled() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.address); err == nil {
			return c.Close()
		}
	}
	p.stop()
	return errors.New("it does not listen")
}

func (p *proxy) stop() {
	if p.cmd != nil && p.cmd.Process != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}

// memory is the most that the process has had resident (proc(5), VmHWM).
func (p *proxy) memory() string {
	if p.cmd == nil {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return "?"
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int
			fmt.Sscan(value, &kib)
			return fmt.Sprintf("%d MiB", kib>>10)
		}
	}
	return "?"
}
