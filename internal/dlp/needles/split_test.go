package needles_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/secret"
)

// hostileStream has secrets in many spellings, wholly and in part, among text, noise and
// beginnings of escapes.
func hostileStream(r *rand.Rand, values []string, pieces int) []byte {
	var b []byte
	for range pieces {
		v := values[r.IntN(len(values))]
		if r.IntN(3) == 0 {
			v = v[:1+r.IntN(len(v))]
		}
		switch r.IntN(12) {
		case 0:
			b = append(b, v...)
		case 1:
			b = append(b, hex.EncodeToString([]byte(v))...)
		case 2:
			b = append(b, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", r.IntN(3))+v))...)
		case 3:
			b = append(b, everyByte("%%%02X", v)...)
		case 4:
			b = append(b, everyByte(`\u00%02x`, v)...)
		case 5:
			b = append(b, reverse(v)...)
		case 6:
			b = append(b, inLines(v, 1+r.IntN(5), `\n`)...)
		case 7:
			b = append(b, strings.Repeat(" ,", r.IntN(9000))...)
		case 8:
			b = append(b, []string{`\`, "%", "%2", "%25", `\u0`, `\\\\`, "%2525", `\x`}[r.IntN(8)]...)
		default:
			for range r.IntN(50) {
				b = append(b, byte(r.UintN(256)))
			}
		}
	}
	return b
}

func split(r *rand.Rand, b []byte) (chunks [][]byte) {
	longest := 1 << r.IntN(15)
	for len(b) > 0 {
		n := min(len(b), 1+r.IntN(longest))
		chunks = append(chunks, b[:n])
		b = b[n:]
	}
	return chunks
}

func TestNoSplitChangesTheFindings(t *testing.T) {
	values := []string{token, password, signs, escapes, umlauts, token[5:] + "zz" + token}
	set := compile(t, needles.Options{}, values...)
	found := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		stream := hostileStream(r, values, 1+r.IntN(60))
		want := all(set, stream)
		found += len(want)
		for range 3 {
			if got := all(set, split(r, stream)...); !slices.Equal(got, want) {
				t.Fatalf("seed %d: in chunks\n%v\nin one\n%v", seed, got, want)
			}
		}
	}
	if found < 200 {
		t.Errorf("the streams hold %d matches, too few to tell", found)
	}
}

// TestTheVerdictComesBeforeTheSecretIsPassed passes on what Safe allows.
func TestTheVerdictComesBeforeTheSecretIsPassed(t *testing.T) {
	values := []string{token, password, signs}
	set := compile(t, needles.Options{}, values...)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 8))
		stream := hostileStream(r, values, 1+r.IntN(20))
		m := set.Stream()
		var passed, written int64
		for _, c := range split(r, stream) {
			matches := m.Write(c)
			for _, match := range matches {
				if match.Start < passed {
					t.Fatalf("seed %d: %v, but %d bytes were safe", seed, match, passed)
				}
			}
			written += int64(len(c))
			if len(matches) > 0 {
				break // a caller would refuse
			}
			if safe := written - int64(m.Safe()); safe >= passed {
				passed = safe
			} else {
				t.Fatalf("seed %d: %d bytes were safe and are not now: %d", seed, passed, safe)
			}
		}
	}
}

func TestNoMoreIsHeldThanMayBeAMatch(t *testing.T) {
	m := compile(t, needles.Options{}, token, password).Stream()
	for _, c := range []struct {
		text string
		held int
	}{
		{"nothing of it here ...", 0}, {token[:12], 12}, {" and", 0}, {"\n\n" + password[:9], 9}, {"0", 0},
		{" %5", 2}, {"6", 3}, {"b7", 5}, {"~0", 0},
	} {
		m.Write([]byte(c.text))
		if held := m.Safe(); held < c.held || held > c.held+10 {
			t.Errorf("after %q, %d bytes are held, want %d", c.text, held, c.held)
		}
	}
}

func TestALeadLetsMessagesEnd(t *testing.T) {
	m := compile(t, needles.Options{Lead: 5}, token, password).Stream()
	for text, want := range map[string]int{token[3:7]: 0, `{"type":"ping"}`: 0, token[3:11]: 8} {
		m.Write([]byte("...0-0-0-0-0-0-0-" + text))
		if held := m.Safe(); held != want {
			t.Errorf("after %q, %d bytes are held, want %d", text, held, want)
		}
	}
}

// TestTenThousandSecretsAndAVeryLongOneStayBounded also has more than a set holds.
func TestTenThousandSecretsAndAVeryLongOneStayBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list []secret.Value
	var values []string
	for i := range 10_000 {
		v := "sk-provider-api03-" + randomText(r, 40)
		values = append(values, v)
		list = append(list, secret.New(fmt.Sprint("S", i), v))
	}
	long := randomText(r, 1<<20)
	list = append(list, secret.New("LONG", long))
	for i := range 8 { // 580,000 bytes and 64 KiB are there, so six of these find room
		list = append(list, secret.New(fmt.Sprint("MORE", i), randomText(r, needles.MaxBytes)))
	}
	before := heap()
	start := time.Now()
	set, unusable, err := needles.Compile(list, needles.Options{})
	if err != nil || len(unusable) != 3 || unusable[0].Name != "LONG" || unusable[1].Name != "MORE6" || unusable[2].Name != "MORE7" {
		t.Fatal(err, unusable)
	}
	t.Logf("compiled in %v, %d MiB", time.Since(start), (heap()-before)>>20)
	if grown := heap() - before; grown > 100<<20 {
		t.Errorf("the set has %d MiB", grown>>20)
	}
	for _, i := range []int{0, 4711, 9999} {
		if found := all(set, []byte("x"+reverse(values[i])+"y")); len(found) != 1 || found[0].Name != fmt.Sprint("S", i) {
			t.Error(i, found)
		}
	}
	if found := all(set, []byte(long[30_000:30_100])); len(found) != 1 || found[0].Name != "LONG" {
		t.Error(found)
	}
	runtime.KeepAlive(list)
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func randomText(r *rand.Rand, n int) string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}
