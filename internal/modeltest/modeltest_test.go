package modeltest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// ask sends a body to the server under the provider's own name, over verified TLS.
func ask(t *testing.T, s *Server, host, path, body string) string {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.CAs))
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.Address)
		},
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	defer tr.CloseIdleConnections()
	response, err := (&http.Client{Transport: tr}).Post("https://"+host+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheScriptIsFollowedByWhatTheConversationHolds(t *testing.T) {
	script := Script{Calls: []Call{{"run", map[string]any{"command": "id"}}, {"run", map[string]any{"command": "ls"}}}, Final: "done"}
	for _, c := range []struct {
		wire          Wire
		host, path    string
		before, after string
		result        string
	}{
		{Anthropic, Hosts[0], "/v1/messages", `{"stream":true,"tools":[{"name":"run"}],"messages":[`, `]}`, `{"content":[{"type":"tool_result","tool_use_id":"1"}]}`},
		{OpenAI, Hosts[1], "/v1/responses", `{"stream":true,"tools":[{"name":"run"}],"input":[`, `]}`, `{"type":"function_call_output"}`},
		{Gemini, Hosts[2], "/v1beta/models/m:streamGenerateContent", `{"tools":[{"functionDeclarations":[{"name":"run"}]}],"contents":[`, `]}`, `{"parts":[{"functionResponse":{}}]}`},
	} {
		s := Start(t, c.wire, script)
		for n, want := range []string{"id", "ls", "done", "done"} {
			body := c.before + strings.TrimSuffix(strings.Repeat(c.result+",", n), ",") + c.after
			for range 2 { // a repeated request gets the same
				if got := ask(t, s, c.host, c.path, body); !strings.Contains(got, want) || !strings.HasPrefix(got, "event:") && c.wire != Gemini {
					t.Errorf("%s with %d results: %s", c.wire, n, got)
				}
			}
		}
		if got := ask(t, s, c.host, c.path, `{}`); !strings.Contains(got, "done") {
			t.Errorf("%s without the script's tools: %s", c.wire, got)
		}
		if n := len(s.Requests()); n != 9 {
			t.Errorf("%s: %d requests were recorded", c.wire, n)
		}
	}
}
