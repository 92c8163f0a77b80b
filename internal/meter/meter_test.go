package meter

import (
	"fmt"
	"strings"
	"testing"
)

// answer is a body as a provider sends it, and what is to be read from it.
type answer struct {
	wire  Wire
	body  string
	usage Usage
	model string
}

// events joins data into a stream of events.
func sse(data ...string) string { return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n" }

func named(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

// answers are shaped after the providers' own documentation.
var answers = map[string]answer{
	"Anthropic, one document": {Anthropic,
		`{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"a \"usage\": {\"input_tokens\": 9999}"},
		  {"type":"tool_use","id":"t","name":"n","input":{"usage":{"input_tokens":7777},"model":"x"}}],"stop_reason":"end_turn","stop_sequence":null,
		  "usage":{"input_tokens":120,"cache_creation_input_tokens":30,"cache_read_input_tokens":4000,"cache_creation":{"ephemeral_5m_input_tokens":30},"output_tokens":55,"service_tier":"standard"}}`,
		Usage{Input: 120, Output: 55, CacheWrite: 30, CacheRead: 4000}, "claude-sonnet-4-5-20250929"},
	"Anthropic, events": {Anthropic, named(
		"message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[],"stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":1800,"output_tokens":1}}}`,
		"content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
		"ping", `{"type": "ping"}`,
		"content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"data: {\"usage\":1}\n\nHi"}}`,
		"content_block_stop", `{"type":"content_block_stop","index":0}`,
		"message_delta", `{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":9}}`,
		"message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":25,"output_tokens":15}}`,
		"message_stop", `{"type":"message_stop"}`),
		Usage{Input: 25, Output: 15, CacheRead: 1800}, "claude-sonnet-4-5"},
	"OpenAI, a response": {OpenAI,
		`{"id":"resp_1","object":"response","status":"completed","model":"gpt-5-2025-08-07","output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}],
		  "usage":{"input_tokens":300,"input_tokens_details":{"cached_tokens":256},"output_tokens":80,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":380}}`,
		Usage{Input: 44, Output: 80, CacheRead: 256}, "gpt-5-2025-08-07"},
	"OpenAI, a response in events": {OpenAI, named(
		"response.created", `{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"gpt-5","status":"in_progress","output":[],"usage":null}}`,
		"response.output_text.delta", `{"type":"response.output_text.delta","delta":"usage","sequence_number":1}`,
		"response.completed", `{"type":"response.completed","response":{"id":"resp_1","model":"gpt-5","status":"completed","output":[],"usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":0},"output_tokens":7,"total_tokens":27}}}`),
		Usage{Input: 20, Output: 7}, "gpt-5"},
	"OpenAI, a chat completion": {OpenAI,
		`{"id":"c","object":"chat.completion","model":"gpt-4.1","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0}}}`,
		Usage{Input: 15, Output: 10, CacheRead: 4}, "gpt-4.1"},
	"OpenAI, a chat completion in events": {OpenAI, sse(
		`{"id":"c","object":"chat.completion.chunk","model":"gpt-4.1","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}`,
		`{"id":"c","object":"chat.completion.chunk","model":"gpt-4.1","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29}}`,
		`[DONE]`),
		Usage{Input: 19, Output: 10}, "gpt-4.1"},
	"Gemini, one document": {Gemini,
		`{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":11,"totalTokenCount":131,"thoughtsTokenCount":20,"cachedContentTokenCount":60,"toolUsePromptTokenCount":5,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100}]},"modelVersion":"gemini-2.5-flash"}`,
		Usage{Input: 45, Output: 31, CacheRead: 60}, "gemini-2.5-flash"},
	"Gemini, events": {Gemini, sse(
		`{"candidates":[{"content":{"parts":[{"text":"h"}]}}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":9,"candidatesTokenCount":1},"modelVersion":"gemini-2.5-pro"}`,
		`{"candidates":[{"content":{"parts":[{"text":"i"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":14,"candidatesTokenCount":6},"modelVersion":"gemini-2.5-pro"}`),
		Usage{Input: 8, Output: 6}, "gemini-2.5-pro"},
	"Gemini, an array": {Gemini,
		"[{\n  \"candidates\": [{}],\n  \"usageMetadata\": {\"promptTokenCount\": 8, \"candidatesTokenCount\": 1},\n  \"modelVersion\": \"gemini-2.5-pro\"\n}\n,\r\n{\"candidates\":[{\"content\":{\"parts\":[[[{}]]]}}],\n  \"usageMetadata\": {\"promptTokenCount\": 8, \"candidatesTokenCount\": 6}}\n]\n",
		Usage{Input: 8, Output: 6}, "gemini-2.5-pro"},
}

// small is a request that took some hundred bytes.
var small = Request{Bytes: 400, Output: 1000}

func read(wire Wire, complete bool, pieces ...string) (Usage, *Meter) {
	m := New(wire, "")
	for _, p := range pieces {
		m.Write([]byte(p))
	}
	return m.Usage(small, complete), m
}

func TestUsageIsReadFromWhatEachProviderSends(t *testing.T) {
	for name, a := range answers {
		if u, m := read(a.wire, true, a.body); u != a.usage || m.Model() != a.model {
			t.Errorf("%s: %+v of %q, want %+v of %q", name, u, m.Model(), a.usage, a.model)
		}
	}
}

func TestWhereAStreamIsSplitChangesNothing(t *testing.T) {
	for name, a := range answers {
		for _, body := range []string{a.body, strings.ReplaceAll(a.body, "\n", "\r\n"), strings.ReplaceAll(a.body, "\n", "\r")} {
			for i := range body {
				if u, m := read(a.wire, true, body[:i], body[i:]); u != a.usage || m.Model() != a.model {
					t.Fatalf("%s split at byte %d: %+v of %q", name, i, u, m.Model())
				}
			}
			if u, _ := read(a.wire, true, strings.Split(body, "")...); u != a.usage {
				t.Errorf("%s byte by byte: %+v", name, u)
			}
		}
	}
}

func TestAnAnswerThatIsCutAnywhereIsNeverFree(t *testing.T) {
	for name, a := range answers {
		for i := range a.body {
			u, _ := read(a.wire, false, a.body[:i])
			if !u.Estimated || u.Input < 1 || u.Output < tokensOf(int64(i)) {
				t.Fatalf("%s cut at byte %d: %+v", name, i, u)
			}
		}
	}
}

func TestACutStreamKeepsToWhatWasSaidOfTheInput(t *testing.T) {
	body := answers["Anthropic, events"].body
	u, _ := read(Anthropic, false, body[:strings.Index(body, "message_delta")])
	if want := (Usage{Input: 25, CacheRead: 1800, Output: u.Output, Estimated: true}); u != want || u.Output < 100 {
		t.Errorf("%+v", u)
	}
}

func TestAnAnswerThatNobodyWaitedForCountsAsTheLongest(t *testing.T) {
	u, _ := read(Anthropic, false, `{"type":"message"`)
	if want := (Usage{Input: 100, Output: 1000, Estimated: true}); u != want {
		t.Errorf("%+v, want %+v", u, want)
	}
}

// usages are objects in place of one of Anthropic's that can't be true.
func TestUsageThatCannotBeTrueIsEstimated(t *testing.T) {
	for name, usage := range map[string]string{
		"absent":               ``,
		"null":                 `,"usage":null`,
		"no object":            `,"usage":7`,
		"empty":                `,"usage":{}`,
		"negative":             `,"usage":{"input_tokens":-5,"output_tokens":1}`,
		"absurd":               `,"usage":{"input_tokens":100000001,"output_tokens":1}`,
		"beyond 64 bits":       `,"usage":{"input_tokens":99999999999999999999,"output_tokens":1}`,
		"a fraction":           `,"usage":{"input_tokens":5.5,"output_tokens":1}`,
		"an exponent":          `,"usage":{"input_tokens":5e0,"output_tokens":1}`,
		"text":                 `,"usage":{"input_tokens":"5","output_tokens":1}`,
		"a list":               `,"usage":{"input_tokens":[5],"output_tokens":1}`,
		"a long number":        `,"usage":{"input_tokens":` + strings.Repeat("1", 500) + `,"output_tokens":1}`,
		"named twice":          `,"usage":{"input_tokens":500,"input_tokens":1,"output_tokens":1}`,
		"twice":                `,"usage":{"input_tokens":500,"output_tokens":1},"usage":{"input_tokens":1,"output_tokens":1}`,
		"twice, once escaped":  `,"usage":{"input_tokens":500,"output_tokens":1},"us\u0061ge":{"input_tokens":1,"output_tokens":1}`,
		"nothing at all":       `,"usage":{"input_tokens":0,"output_tokens":0}`,
		"too little for bytes": `,"usage":{"input_tokens":1,"output_tokens":1},"text":"` + strings.Repeat("x", 100_000) + `"`,
	} {
		body := `{"type":"message","model":"m"` + usage + `}`
		u, _ := read(Anthropic, true, body)
		if !u.Estimated || u.Input < 100 || u.Output < tokensOf(int64(len(body))) {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if u, _ := read(Anthropic, true, `{"usage":{"input_tokens":5}}`); u != (Usage{Input: 5, Output: 7, Estimated: true}) {
		t.Errorf("without output: %+v", u)
	}
	if u, _ := read(OpenAI, true, `{"usage":{"input_tokens":5,"output_tokens":1,"input_tokens_details":{"cached_tokens":6}}}`); !u.Estimated {
		t.Errorf("more was kept than read: %+v", u)
	}
}

func TestBodiesOfOtherKindsAreEstimated(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "white space": " \n", "HTML": "<html>usage</html>", "a number": "5", "broken": `{"usage":]`, "two documents": `{}{"usage":{"input_tokens":1,"output_tokens":1}}`,
		"nested too deep": strings.Repeat("[", maxDepth+1), "an event that is cut": `data: {"usage":{"input_tokens":1,"output_tokens":1}`,
	} {
		if u, _ := read(OpenAI, true, body); !u.Estimated || u.Input < 100 {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if u, _ := read("other", true, answers["OpenAI, a response"].body); !u.Estimated {
		t.Errorf("an unknown format: %+v", u)
	}
	m := New(OpenAI, "gzip")
	m.Write([]byte(answers["OpenAI, a response"].body))
	if u := m.Usage(small, true); !u.Estimated || u.Output < small.Output {
		t.Errorf("coded: %+v", u)
	}
}

func TestWhatIsKeptOfAnAnswerIsBounded(t *testing.T) {
	for name, piece := range map[string]string{
		"a long text":        `{"a":"` + strings.Repeat("x", 1<<20),
		"a long key":         `{"` + strings.Repeat("x", 1<<20),
		"a long number":      `{"a":` + strings.Repeat("1", 1<<20),
		"many keys":          `{` + strings.Repeat(`"usage":1,`, 1<<16),
		"a long field":       strings.Repeat("x", 1<<20),
		"much nesting":       strings.Repeat(`{"a":`, 1<<16),
		"a long line of SSE": "data: " + strings.Repeat("[", 1<<16),
	} {
		_, m := read(Anthropic, true, piece)
		if kept := cap(m.scanner.kept) + cap(m.events.name) + cap(m.scanner.stack)*24 + len(m.found.paths)*16; kept > 64<<10 {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
	}
}

func TestARequestSaysWhatItMayTake(t *testing.T) {
	for body, want := range map[string]int64{
		`{"model":"m"}`:                                   DefaultOutput,
		`{"model":"m","max_tokens":7}`:                    7,
		`{"model":"m","max_output_tokens":8}`:             8,
		`{"model":"m","max_tokens":7,"n":3}`:              21,
		`{"model":"m","max_tokens":null}`:                 DefaultOutput,
		`{"model":"m","max_tokens":1e18}`:                 MaxTokens,
		`{"model":"m","max_tokens":-1}`:                   MaxTokens,
		`{"model":"m","max_tokens":"7"}`:                  MaxTokens,
		`{"model":"m","max_tokens":9999999999999}`:        MaxTokens,
		`{"model":"m","max_tokens":99,"n":9999999999999}`: MaxTokens,
		`{"model":"m","messages":[{"max_tokens":7}]}`:     DefaultOutput,
	} {
		if r := NewRequest(Anthropic, "/v1/messages", []byte(body)); r.Model != "m" || r.Output != want || r.Bytes != int64(len(body)) {
			t.Errorf("%s: %+v", body, r)
		}
	}
	r := NewRequest(Gemini, "/v1beta/models/gemini-2.5-pro:generateContent", []byte(`{"generation_config":{"maxOutputTokens":5,"candidate_count":4}}`))
	if r.Model != "gemini-2.5-pro" || r.Output != 20 {
		t.Errorf("%+v", r)
	}
}

func FuzzMeter(f *testing.F) {
	for _, a := range answers {
		f.Add(string(a.wire), a.body, 7)
	}
	f.Fuzz(func(t *testing.T, wire, body string, split int) {
		whole, _ := read(Wire(wire), true, body)
		if whole.Input < 0 || whole.Output < 0 || whole.CacheRead < 0 || whole.CacheWrite < 0 || whole.read() == 0 || whole.Total() < int64(len(body))/bytesOfAToken {
			t.Errorf("%+v", whole)
		}
		i := min(max(split, 0), len(body))
		if parts, _ := read(Wire(wire), true, body[:i], body[i:]); parts != whole {
			t.Errorf("split at %d it is %+v, else %+v", i, parts, whole)
		}
	})
}

func BenchmarkMeter(b *testing.B) {
	piece := []byte(named("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words of an answer"}}`))
	m := New(Anthropic, "")
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for b.Loop() {
		m.Write(piece)
	}
}
