package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/policy"
)

// The benchmarks run each thing twice in the same pass: straight to the upstream
// over TLS, and through the door, which opens that TLS. Latencies are given as
// medians (p50-µs), which a busy machine disturbs less than means.

// benchClients gives a client for each way to up.
func benchClients(b *testing.B, up *server, routes ...policy.Route) map[string]*http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(up.ca.certificate)
	direct := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up.address)
		},
		DisableCompression: true,
	}
	b.Cleanup(direct.CloseIdleConnections)
	return map[string]*http.Client{"direct": {Transport: direct}, "door": open(b, routes...).client()}
}

func eachWay(b *testing.B, up *server, f func(*testing.B, *http.Client)) {
	clients := benchClients(b, up, up.route("api.example.com", anyMethod, withToken))
	for _, way := range []string{"direct", "door"} {
		b.Run(way, func(b *testing.B) { f(b, clients[way]) })
	}
}

func fetch(b *testing.B, client *http.Client) {
	response, err := client.Get("https://api.example.com/")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != 200 {
		b.Fatalf("got %d, %v", response.StatusCode, err)
	}
}

// measure calls f for each iteration and reports the median.
func measure(b *testing.B, f func()) {
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		f()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-µs")
}

func BenchmarkKeptAlive(b *testing.B) {
	eachWay(b, serve(b, &tls.Config{}, hello), func(b *testing.B, client *http.Client) {
		fetch(b, client)
		measure(b, func() { fetch(b, client) })
	})
}

func BenchmarkKeptAliveToHTTP2(b *testing.B) {
	eachWay(b, serve(b, &tls.Config{NextProtos: []string{"h2"}}, hello), func(b *testing.B, client *http.Client) {
		fetch(b, client)
		measure(b, func() { fetch(b, client) })
	})
}

// BenchmarkNewConnection opens a connection of the guest's for each request; the
// door keeps its own to the upstream.
func BenchmarkNewConnection(b *testing.B) {
	eachWay(b, serve(b, &tls.Config{}, hello), func(b *testing.B, client *http.Client) {
		measure(b, func() {
			fetch(b, client)
			client.CloseIdleConnections()
		})
	})
}

func BenchmarkDownload(b *testing.B) {
	const size = 32 << 20
	up := serve(b, &tls.Config{}, func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, size) })
	eachWay(b, up, func(b *testing.B, client *http.Client) {
		b.SetBytes(size)
		for b.Loop() {
			fetch(b, client)
		}
	})
}

func BenchmarkUpload(b *testing.B) {
	const size = 32 << 20
	up := serve(b, &tls.Config{}, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	eachWay(b, up, func(b *testing.B, client *http.Client) {
		b.SetBytes(size)
		for b.Loop() {
			response, err := client.Post("https://api.example.com/", "application/octet-stream", io.LimitReader(zeros{}, size))
			if err != nil || response.StatusCode != 200 {
				b.Fatalf("%v, %v", response, err)
			}
			response.Body.Close()
		}
	})
}

// BenchmarkRefusal is what an unlisted request costs.
func BenchmarkRefusal(b *testing.B) {
	w := open(b)
	client := w.client()
	measure(b, func() {
		response, err := client.Get("http://evil.invalid/")
		if err != nil || response.StatusCode != 403 {
			b.Fatalf("%v, %v", response, err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	})
}
