package needles_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/dlp/needles"
)

// fifty gives secrets as a run has them: tokens, some passwords, a private key, and,
// where signs is set, two that have hardly any letters.
func fifty(r *rand.Rand, odd bool) (values []string) {
	for i := range 44 {
		values = append(values, []string{"sk-ant-api03-", "ghp_", "", "glpat-"}[i%4]+randomText(r, 24+4*(i%16)))
	}
	for range 4 {
		values = append(values, randomText(r, 5)+"!"+randomText(r, 5))
	}
	if odd {
		return append(values, signs, `?!#7-&/("k_`)
	}
	return append(values, inLines(randomText(r, 350), 70, "\n"), randomText(r, 32))
}

// conversation is what an agent sends: messages with code, escaped as JSON.
func conversation(r *rand.Rand, n int) []byte {
	words := strings.Fields(`the function returns an error when file is not found func (s *Server) Handle(w
		http.ResponseWriter, r *http.Request) { if err := json.NewDecoder(r.Body).Decode(&v); err != nil { return }
		"name": "value", please run tests again and fix src/main.go:42 const x = await fetch(url); // fixed`)
	var messages []map[string]string
	for size := 0; size < n; {
		var b strings.Builder
		for range 200 {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteString([]string{" ", " ", " ", " ", " ", "\n\t"}[r.IntN(6)])
		}
		size += b.Len()
		messages = append(messages, map[string]string{"role": "user", "content": b.String()})
	}
	b, err := json.Marshal(messages)
	if err != nil {
		panic(err)
	}
	return b
}

func BenchmarkMatcher(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, 4<<20)
	for i := range noise {
		noise[i] = byte(r.UintN(256))
	}
	streams := []struct {
		name string
		data []byte
	}{
		{"conversation", conversation(r, 4<<20)},
		{"binary", noise},
		{"base64", []byte(base64.StdEncoding.EncodeToString(noise))},
	}
	for _, odd := range []bool{false, true} {
		set := compile(b, needles.Options{}, fifty(r, odd)...)
		for _, s := range streams {
			b.Run(fmt.Sprintf("%s/odd=%v", s.name, odd), func(b *testing.B) {
				b.SetBytes(int64(len(s.data)))
				b.ReportAllocs()
				for b.Loop() {
					m := set.Stream()
					for p := s.data; len(p) > 0; p = p[min(len(p), 32<<10):] {
						if found := m.Write(p[:min(len(p), 32<<10)]); len(found) > 0 {
							b.Fatal(found)
						}
					}
				}
			})
		}
	}
}

func BenchmarkSafe(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	m := compile(b, needles.Options{}, fifty(r, true)...).Stream()
	m.Write([]byte(`{"content":"please run the tests aga`))
	for b.Loop() {
		m.Safe()
	}
}

// BenchmarkHostile is a stream made to pass the filter: the shared beginning of tokens.
func BenchmarkHostile(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	set := compile(b, needles.Options{}, fifty(r, false)...)
	data := []byte(strings.Repeat("skantapi03", 100_000))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		set.Stream().Write(data)
	}
}
