package modelapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bot-bottle/action/internal/policy"
)

// post is a request as the CLIs send it.
func post(wire, body string) Request {
	r := Request{Method: "POST", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
	switch wire {
	case policy.WireAnthropic:
		r.Path, r.Query = "/v1/messages", "beta=true"
		r.Header.Set("Anthropic-Version", "2023-06-01")
		r.Header.Set("Anthropic-Beta", "claude-code-20250219,effort-2025-11-24")
	case policy.WireOpenAI:
		r.Path = "/v1/responses"
	case policy.WireGemini:
		r.Path, r.Query = "/v1beta/models/gemini-3.1-pro-preview:streamGenerateContent", "alt=sse"
		r.Header.Set("X-Goog-Api-Client", "google-genai-sdk/1.30.0")
	}
	return r
}

func judged(wire string, r Request, allow ...string) (rule, feature string) {
	refusal := Judge(policy.ModelAPI{Wire: wire, Allow: allow}, r)
	if refusal == nil {
		return "", ""
	}
	return refusal.Rule, refusal.Feature
}

// plainRequests have the shape of what the CLIs of docs/agents send, with the
// parts that later turns add.
var plainRequests = map[string]string{
	policy.WireAnthropic: `{"model":"m","max_tokens":64000,"stream":true,"metadata":{"user_id":"x"},"thinking":{"type":"adaptive"},
		"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"output_config":{"effort":"high"},
		"system":[{"type":"text","text":"t","cache_control":{"type":"ephemeral","scope":"global"}}],
		"tools":[{"name":"Bash","description":"d","input_schema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"url":{"$ref":"#/$defs/u"}}}},
			{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"e","max_characters":1},{"type":"custom","name":"c","input_schema":{}},{"type":null,"name":"c","input_schema":{}}],
		"mcp_servers":[],"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"},
		{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"1","name":"Bash","input":{"mcp_servers":[{"url":"https://x"}],"type":"web_fetch_20250910"}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","is_error":false,"content":[{"type":"text","text":"r"},
			{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"tool_reference","tool_name":"x"}]},
			{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"title":"t"}]}]}`,
	policy.WireOpenAI: `{"model":"m","stream":true,"store":false,"instructions":"i","tool_choice":"auto","parallel_tool_calls":false,
		"reasoning":{"effort":"low","context":"all_turns"},"include":["reasoning.encrypted_content"],"prompt_cache_key":"k","text":{"verbosity":"low"},
		"client_metadata":{"a":"b"},"tools":[{"type":"function","name":"exec_command","description":"d","strict":false,"parameters":{"type":"object"}},
			{"type":"namespace","name":"n","description":"","tools":[{"type":"custom","name":"exec","format":{"type":"grammar"}}]}],
		"input":[{"type":"additional_tools","id":"a","role":"developer","tools":[{"type":"namespace","name":"f","description":"","tools":[{"type":"function","name":"wait","parameters":{}}]}]},
		{"type":"message","id":"m","role":"user","content":[{"type":"input_text","text":"t"},{"type":"input_image","image_url":"data:image/png;base64,AA==","detail":"high"}]},
		{"role":"user","content":"no type"},{"type":"reasoning","id":"r","summary":[],"encrypted_content":"e"},
		{"type":"function_call","id":"f","internal_chat_message_metadata_passthrough":{"turn_id":"t"},"call_id":"c","name":"exec_command","arguments":"{}","status":"completed"},{"type":"function_call_output","call_id":"c","output":"o"},
		{"type":"custom_tool_call","call_id":"c","name":"exec","input":"i"},{"type":"custom_tool_call_output","call_id":"c","output":[{"type":"input_text","text":"t"}]}]}`,
	policy.WireGemini: `{"contents":[{"role":"user","parts":[{"text":"t"},{"inlineData":{"mimeType":"image/png","data":"AA=="}}]},
		{"role":"model","parts":[{"functionCall":{"id":"1","name":"n","args":{"urlContext":{}}},"thoughtSignature":"s"}]},
		{"role":"user","parts":[{"functionResponse":{"id":"1","name":"n","response":{"output":"o"}}}]}],
		"systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"n","description":"d","parametersJsonSchema":{"type":"object"}}]}],
		"generationConfig":{"temperature":1,"topP":0.95,"topK":64,"responseMimeType":"application/json","responseJsonSchema":{},"thinkingConfig":{"includeThoughts":true}}}`,
}

func TestWhatTheCLIsSendPasses(t *testing.T) {
	for wire, body := range plainRequests {
		if r := Judge(policy.ModelAPI{Wire: wire}, post(wire, body)); r != nil {
			t.Errorf("%s: %+v", wire, r)
		}
	}
}

// insert puts extra members into a wire's smallest request.
func insert(wire, members string) string {
	switch wire {
	case policy.WireAnthropic:
		return `{"model":"m","max_tokens":1,` + members + `}`
	case policy.WireOpenAI:
		return `{"model":"m",` + members + `}`
	}
	return `{` + members + `}`
}

func TestEachFeatureIsRefusedUnlessListed(t *testing.T) {
	a, o, g := policy.WireAnthropic, policy.WireOpenAI, policy.WireGemini
	user := func(block string) string { return `"messages":[{"role":"user","content":[` + block + `]}]` }
	item := func(item string) string { return `"store":false,"input":[` + item + `]` }
	input := func(part string) string { return item(`{"type":"message","role":"user","content":[` + part + `]}`) }
	part := func(part string) string { return `"contents":[{"role":"user","parts":[` + part + `]}]` }
	for _, c := range []struct{ wire, members, feature string }{
		{a, `"mcp_servers":[{"type":"url","url":"https://evil.example","name":"x"}]`, MCPServers},
		{a, `"mcp_servers":{"url":"https://evil.example"}`, MCPServers},
		{a, `"container":"container_1"`, CodeExecution},
		{a, `"container":{"skills":[{"type":"custom","skill_id":"x"}]}`, CodeExecution},
		{a, `"tools":[{"type":"web_search_20250305","name":"web_search"}]`, WebSearch},
		{a, `"tools":[{"name":"Bash","input_schema":{}},{"type":"web_fetch_20250910","name":"web_fetch"}]`, WebFetch},
		{a, `"tools":[{"type":"code_execution_20250825","name":"code_execution"}]`, CodeExecution},
		{a, `"tools":[{"type":"mcp_toolset","mcp_server_name":"x"}]`, MCPServers},
		{a, `"tools":[{"type":"advisor_20260301","name":"x"}]`, "tool:advisor_20260301"},
		{a, `"tools":[{"type":"bash_20250124x","name":"x"}]`, "tool:bash_20250124x"},
		{a, `"tools":[{"name":"x","input_schema":{},"url":"https://evil.example"}]`, "field:tools.url"},
		{a, `"tools":[{"name":"x","input_schema":{"properties":{"a":{"$ref":"https://evil.example/?data"}}}}]`, RemoteSchemas},
		{a, `"output_config":{"format":{"type":"json_schema","schema":{"$dynamicRef":"https://evil.example"}}}`, RemoteSchemas},
		{a, user(`{"type":"image","source":{"type":"url","url":"https://evil.example/?data"}}`), URLSources},
		{a, user(`{"type":"document","source":{"type":"url","url":"https://evil.example/?data"}}`), URLSources},
		{a, user(`{"type":"image","source":{"type":"file","file_id":"f"}}`), Files},
		{a, user(`{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"type":"url","url":"x"}}]}}`), URLSources},
		{a, user(`{"type":"tool_result","tool_use_id":"1","content":[{"type":"document","source":{"type":"url","url":"x"}}]}`), URLSources},
		{a, user(`{"type":"image","source":{"type":"base64","media_type":"m","data":"d","url":"https://evil.example"}}`), "field:messages.content.source.url"},
		{a, user(`{"type":"container_upload","file_id":"f"}`), Files},
		{a, user(`{"type":"server_tool_use","id":"1","name":"web_fetch","input":{"url":"x"}}`), WebFetch},
		{a, user(`{"type":"server_tool_use","id":"1","name":"web_search","input":{}}`), WebSearch},
		{a, user(`{"type":"server_tool_use","id":"1","name":"bash_code_execution","input":{}}`), CodeExecution},
		{a, user(`{"type":"web_search_tool_result","tool_use_id":"1","content":[]}`), WebSearch},
		{a, user(`{"type":"web_fetch_tool_result","tool_use_id":"1","content":{}}`), WebFetch},
		{a, user(`{"type":"bash_code_execution_tool_result","tool_use_id":"1","content":{}}`), CodeExecution},
		{a, user(`{"type":"mcp_tool_use","id":"1","name":"n","server_name":"s","input":{}}`), MCPServers},
		{a, user(`{"type":"fetch_this","url":"https://evil.example"}`), "block:fetch_this"},
		{a, `"system":[{"type":"image","source":{"type":"url","url":"x"}}]`, URLSources},
		{a, `"messages":[{"role":"user","content":"c","fetch":"https://evil.example"}]`, "field:messages.fetch"},
		{a, `"fetch_urls":["https://evil.example"]`, "field:fetch_urls"},

		{o, `"input":"x"`, Stored},
		{o, `"input":"x","store":true`, Stored},
		{o, `"input":"x","store":null`, Stored},
		{o, `"store":false,"previous_response_id":"resp_1"`, Stored},
		{o, `"store":false,"conversation":{"id":"c"}`, Stored},
		{o, `"store":false,"prompt":{"id":"pmpt_1"}`, Stored},
		{o, `"store":false,"background":true`, Background},
		{o, `"store":false,"tools":[{"type":"web_search","external_web_access":true}]`, WebSearch},
		{o, `"store":false,"tools":[{"type":"web_search_preview_2025_03_11"}]`, WebSearch},
		{o, `"store":false,"tools":[{"type":"file_search","vector_store_ids":["v"]}]`, Files},
		{o, `"store":false,"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]`, CodeExecution},
		{o, `"store":false,"tools":[{"type":"image_generation"}]`, ImageGeneration},
		{o, `"store":false,"tools":[{"type":"mcp","server_url":"https://evil.example"}]`, MCPServers},
		{o, `"store":false,"tools":[{"type":"computer_use_preview"}]`, "tool:computer_use_preview"},
		{o, `"store":false,"tools":[{"type":"shell","environment":{"type":"container_auto"}}]`, "tool:shell"},
		{o, `"store":false,"tools":[{"type":"tool_search","execution":"server"}]`, "tool:tool_search"},
		{o, `"store":false,"tools":[{"type":"namespace","name":"n","tools":[{"type":"mcp","server_url":"https://evil.example"}]}]`, MCPServers},
		{o, `"store":false,"tools":[{"type":"function","name":"f","parameters":{"$ref":"//evil.example"}}]`, RemoteSchemas},
		{o, `"store":false,"text":{"format":{"type":"json_schema","schema":{"$ref":"https://evil.example"}}}`, RemoteSchemas},
		{o, item(`{"type":"additional_tools","role":"developer","tools":[{"type":"mcp","server_url":"https://evil.example"}]}`), MCPServers},
		{o, item(`{"type":"tool_search_output","tools":[{"type":"web_search"}]}`), WebSearch},
		{o, item(`{"type":"item_reference","id":"i"}`), Stored},
		{o, item(`{"type":"mcp_approval_response","approve":true}`), MCPServers},
		{o, item(`{"type":"web_search_call","action":{"type":"open_page","url":"https://evil.example"}}`), WebSearch},
		{o, item(`{"type":"new_thing"}`), "block:new_thing"},
		{o, input(`{"type":"input_image","image_url":"https://evil.example/?data"}`), URLSources},
		{o, input(`{"type":"input_image","image_url":{"url":"https://evil.example/?data"}}`), URLSources},
		{o, input(`{"type":"input_image","image_url":" data:x"}`), URLSources},
		{o, input(`{"type":"input_image","file_id":"f"}`), Files},
		{o, input(`{"type":"input_file","file_url":"https://evil.example/?data"}`), URLSources},
		{o, input(`{"type":"input_file","file_id":"f"}`), Files},
		{o, item(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"https://evil.example"}]}`), URLSources},
		{o, `"store":false,"webhook":"https://evil.example"`, "field:webhook"},

		{g, `"tools":[{"googleSearch":{}}]`, WebSearch},
		{g, `"tools":[{"google_search":{}}]`, WebSearch},
		{g, `"tools":[{"googleSearchRetrieval":{}}]`, WebSearch},
		{g, `"tools":[{"googleMaps":{}}]`, WebSearch},
		{g, `"tools":[{"urlContext":{}}]`, WebFetch},
		{g, `"tools":[{"url_context":{}}]`, WebFetch},
		{g, `"tools":[{"codeExecution":{}}]`, CodeExecution},
		{g, `"tools":[{"fileSearch":{}}]`, Files},
		{g, `"tools":[{"mcpServers":[{"url":"https://evil.example"}]}]`, MCPServers},
		{g, `"tools":[{"computerUse":{}}]`, "field:tools.computerUse"},
		{g, `"cachedContent":"cachedContents/x"`, Stored},
		{g, part(`{"fileData":{"fileUri":"https://www.youtube.com/watch?v=data"}}`), URLSources},
		{g, part(`{"file_data":{"file_uri":"https://evil.example/?data"}}`), URLSources},
		{g, part(`{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}`), Files},
		{g, part(`{"executableCode":{"code":"x"}}`), CodeExecution},
		{g, part(`{"functionResponse":{"name":"n","response":{},"parts":[{"fileData":{"fileUri":"https://evil.example"}}]}}`), URLSources},
		{g, part(`{"newThing":{"uri":"https://evil.example"}}`), "field:contents.parts.newThing"},
		{g, `"systemInstruction":{"parts":[{"fileData":{"fileUri":"https://evil.example"}}]}`, URLSources},
		{g, `"tools":[{"functionDeclarations":[{"name":"n","parametersJsonSchema":{"$ref":"https://evil.example"}}]}]`, RemoteSchemas},
		{g, `"webhookConfig":{"uri":"https://evil.example"}`, "field:webhookConfig"},
	} {
		r := post(c.wire, insert(c.wire, c.members))
		refusal := Judge(policy.ModelAPI{Wire: c.wire}, r)
		if refusal == nil || refusal.Rule != RuleFeature || refusal.Feature != c.feature {
			t.Errorf("%s %s: %+v, want %q", c.wire, c.members, refusal, c.feature)
			continue
		}
		if !strings.Contains(refusal.Hint, `allow: ["`+c.feature+`"]`) || !strings.Contains(refusal.Message, c.feature) {
			t.Errorf("%s %s: it says %q and %q", c.wire, c.members, refusal.Message, refusal.Hint)
		}
		if rule, other := judged(c.wire, r, c.feature); rule != "" {
			t.Errorf("%s %s: with %q listed: %s %s", c.wire, c.members, c.feature, rule, other)
		}
	}
}

func TestABodyThatParsersReadDifferentlyIsRefused(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	many := "[" + strings.Repeat("0,", maxValues) + "0]"
	for name, body := range map[string]string{
		"a key twice":             `{"model":"m","model":"n"}`,
		"a key twice, escaped":    `{"mcp_servers":[],"mcp_ser\u0076ers":[{"url":"x"}]}`,
		"a key twice, far inside": `{"metadata":{"a":{"b":1,"b":2}}}`,
		"two documents":           `{"model":"m"}{"model":"n"}`,
		"a byte order mark":       "\ufeff{}",
		"a comment":               `{/**/}`,
		"a comma at the end":      `{"model":"m",}`,
		"not UTF-8":               "{\"model\":\"\xff\"}",
		"UTF-16":                  "\xff\xfe{\x00}\x00",
		"NaN":                     `{"temperature":NaN}`,
		"nothing":                 ``,
		"an array":                `[]`,
		"a string":                `"x"`,
		"too deep":                `{"metadata":` + deep + `}`,
		"too many values":         `{"metadata":` + many + `}`,
		"messages is a string":    `{"messages":"x"}`,
		"a type that is a number": `{"tools":[{"type":1}]}`,
		"a tool that is a string": `{"tools":["x"]}`,
	} {
		if rule, _ := judged(policy.WireAnthropic, post(policy.WireAnthropic, body)); rule != RuleBody {
			t.Errorf("%s: rule %q", name, rule)
		}
	}
	if rule, _ := judged(policy.WireGemini, post(policy.WireGemini, `{"cachedContent":null,"cached_content":null}`)); rule != RuleBody {
		t.Errorf("one field in two spellings: rule %q", rule)
	}
}

func TestABodyInAnotherFormIsRefused(t *testing.T) {
	for name, header := range map[string]http.Header{
		"gzip":          {"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
		"zstd":          {"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "zstd"}},
		"multipart":     {"Content-Type": {"multipart/form-data; boundary=x"}},
		"no type":       {},
		"two types":     {"Content-Type": {"application/json", "text/plain"}},
		"UTF-16":        {"Content-Type": {"application/json; charset=utf-16"}},
		"a form":        {"Content-Type": {"application/x-www-form-urlencoded"}},
		"a broken type": {"Content-Type": {"application/json; charset"}},
		"protobuf":      {"Content-Type": {"application/x-protobuf"}},
		"json, patched": {"Content-Type": {"application/json-patch+json"}},
	} {
		r := post(policy.WireAnthropic, `{"model":"m"}`)
		r.Header = header
		if rule, _ := judged(policy.WireAnthropic, r); rule != RuleBody {
			t.Errorf("%s: rule %q", name, rule)
		}
	}
}

func TestOnlyTheListedEndpointsPass(t *testing.T) {
	for _, c := range []struct{ wire, method, path, query, rule string }{
		{"anthropic", "POST", "/v1/messages", "beta=true", ""},
		{"anthropic", "POST", "/v1/messages", "", ""},
		{"anthropic", "POST", "/v1/messages/count_tokens", "beta=true", ""},
		{"anthropic", "POST", "/v1/messages", "beta=true&beta=true", RuleEndpoint},
		{"anthropic", "POST", "/v1/messages", "data=secret", RuleEndpoint},
		{"anthropic", "GET", "/v1/messages", "", RuleEndpoint},
		{"anthropic", "POST", "/v1/messages/batches", "", RuleEndpoint},
		{"anthropic", "POST", "/v1/files", "", RuleEndpoint},
		{"anthropic", "POST", "/v1/skills", "", RuleEndpoint},
		{"anthropic", "GET", "/api/claude_code/settings", "", RuleEndpoint},
		{"openai", "POST", "/v1/responses", "", ""},
		{"openai", "GET", "/v1/responses/resp_1", "", RuleEndpoint},
		{"openai", "DELETE", "/v1/responses/resp_1", "", RuleEndpoint},
		{"openai", "POST", "/v1/files", "", RuleEndpoint},
		{"openai", "POST", "/v1/batches", "", RuleEndpoint},
		{"openai", "POST", "/v1/containers", "", RuleEndpoint},
		{"openai", "POST", "/v1/chat/completions", "", RuleEndpoint},
		{"openai", "POST", "/v1/responses", "x=y", RuleEndpoint},
		{"gemini", "POST", "/v1beta/models/gemini-3:generateContent", "", ""},
		{"gemini", "POST", "/v1beta/models/gemini-3:streamGenerateContent", "alt=sse", ""},
		{"gemini", "POST", "/v1beta/models/gemini-3:countTokens", "", ""},
		{"gemini", "POST", "/v1beta/models/gemini-3:generateContent", "%24httpMethod=DELETE", RuleEndpoint},
		{"gemini", "POST", "/v1beta/models/gemini-3:batchGenerateContent", "", RuleEndpoint},
		{"gemini", "POST", "/v1beta/cachedContents", "", RuleEndpoint},
		{"gemini", "POST", "/upload/v1beta/files", "", RuleEndpoint},
		{"gemini", "POST", "/v1beta/models/a/b:generateContent", "", RuleEndpoint},
		{"gemini", "POST", "/v1beta/tunedModels/x:generateContent", "", RuleEndpoint},
		{"other", "POST", "/v1/messages", "", RuleEndpoint},
	} {
		r := post(c.wire, `{}`)
		if c.wire == policy.WireOpenAI {
			r.Body = []byte(`{"store":false}`)
		}
		r.Method, r.Path, r.Query = c.method, c.path, c.query
		if rule, feature := judged(c.wire, r); rule != c.rule {
			t.Errorf("%+v: rule %q %q", c, rule, feature)
		}
	}
	models := Request{Method: "GET", Path: "/v1/models"}
	if rule, _ := judged(policy.WireOpenAI, models); rule != "" {
		t.Errorf("listing models: %q", rule)
	}
	models.Body = []byte("x")
	if rule, _ := judged(policy.WireOpenAI, models); rule != RuleBody {
		t.Errorf("listing models with a body: %q", rule)
	}
}

func TestTheProvidersOwnHeaderFieldsAreListed(t *testing.T) {
	for _, c := range []struct{ wire, name, value, feature string }{
		{"anthropic", "Anthropic-Beta", "files-api-2025-04-14", "beta:files-api-2025-04-14"},
		{"anthropic", "Anthropic-Beta", "claude-code-20250219, mcp-client-2025-11-20", "beta:mcp-client-2025-11-20"},
		{"anthropic", "anthropic_beta", "code-execution-2025-08-25", "beta:code-execution-2025-08-25"},
		{"anthropic", "Anthropic-New", "x", "header:anthropic-new"},
		{"openai", "Openai-Organization", "org", "header:openai-organization"},
		{"openai", "Openai-Beta", "assistants=v2", "header:openai-beta"},
		{"gemini", "X-Goog-User-Project", "p", "header:x-goog-user-project"},
		{"gemini", "X-Goog-Upload-Protocol", "resumable", "header:x-goog-upload-protocol"},
	} {
		r := post(c.wire, plainRequests[c.wire])
		r.Header[c.name] = []string{c.value}
		if rule, feature := judged(c.wire, r); rule != RuleFeature || feature != c.feature {
			t.Errorf("%+v: %q %q", c, rule, feature)
		}
		if rule, feature := judged(c.wire, r, c.feature); rule != "" {
			t.Errorf("%+v listed: %q %q", c, rule, feature)
		}
	}
}

func FuzzJudge(f *testing.F) {
	for wire, body := range plainRequests {
		f.Add(wire, []byte(body))
	}
	f.Add("openai", []byte(`{"store":false,"input":[{"type":"item_reference","id":"\ud800"}],"":0}`))
	f.Fuzz(func(t *testing.T, wire string, body []byte) {
		r := post(wire, string(body))
		refusal := Judge(policy.ModelAPI{Wire: wire}, r)
		if refusal != nil && (refusal.Rule == "" || refusal.Message == "" || len(refusal.Message) > 2000) {
			t.Errorf("refused by %+v", refusal)
		}
		// What passes is read alike by a parser that takes the first of two keys, or
		// the last, and holds none of the words that only refused features have.
		if refusal == nil && wire == policy.WireAnthropic {
			v, err := parse(body, same)
			if err != nil {
				t.Fatalf("passed and can't be parsed: %v", err)
			}
			if servers, found := v.get("mcp_servers"); found && !servers.isNothing() {
				t.Errorf("passed with MCP servers: %s", body)
			}
		}
	})
}
