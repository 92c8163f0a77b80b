package modelapi

import (
	"net/http"
	"regexp"
	"slices"
)

// openAI is the Responses API (platform.openai.com/docs/api-reference/responses).
func openAI() wire {
	return wire{
		endpoints: []endpoint{
			{http.MethodPost, regexp.MustCompile(`^/v1/responses$`), nil, openAIBody()},
			{http.MethodPost, regexp.MustCompile(`^/v1/responses/compact$`), nil, openAIBody()},
			{http.MethodGet, regexp.MustCompile(`^/v1/models$`), nil, nil},
		},
		prefixes: []string{"openai-"},
		headers:  map[string]func(*judge, string){},
		rename:   same,
	}
}

func openAIBody() rule {
	tools := each(openAITool())
	body := object(with(fields{
		"input": textOr(each(openAIItem(tools))),
		"tools": tools,
		"text":  object(fields{"format": schema, "verbosity": anything}),
		// Stored responses and conversations are the whole account's: what is
		// kept outlasts the job, and a known id reads another's.
		"store":                feature(Stored),
		"previous_response_id": feature(Stored),
		"conversation":         feature(Stored),
		// A stored prompt brings tools along that can't be seen here.
		"prompt":     feature(Stored),
		"background": feature(Background),
	}, "model", "instructions", "stream", "stream_options", "tool_choice", "parallel_tool_calls", "reasoning", "include",
		"prompt_cache_key", "prompt_cache_retention", "client_metadata", "metadata", "max_output_tokens", "max_tool_calls",
		"temperature", "top_p", "top_logprobs", "truncation", "user", "safety_identifier", "service_tier", "context_management"))
	return func(j *judge, at string, v value) {
		body(j, at, v)
		// Left out, it means true.
		if store, found := v.get("store"); j.refusal == nil && (!found || string(store.raw) != "false") {
			j.allows(Stored, `a request without "store": false`)
		}
	}
}

// openAIItem is one item of the input.
func openAIItem(tools rule) rule {
	content := openAIContent()
	message := object(with(fields{"content": textOr(each(content))}, "type", "role", "id", "status", "phase"))
	output := textOr(each(content))
	call := []string{"type", "id", "call_id", "name", "namespace", "status", "caller"}
	result := []string{"type", "id", "call_id", "status", "name", "success", "caller"}
	byType := map[string]rule{
		"message":                 message,
		"reasoning":               plain("type", "id", "summary", "content", "encrypted_content", "status"),
		"compaction":              plain("type", "id", "encrypted_content"),
		"compaction_summary":      plain("type", "id", "encrypted_content"),
		"compaction_trigger":      plain("type"),
		"function_call":           plain(append(call, "arguments")...),
		"custom_tool_call":        plain(append(call, "input")...),
		"local_shell_call":        plain(append(call, "action")...),
		"tool_search_call":        plain(append(call, "arguments", "execution")...),
		"function_call_output":    object(with(fields{"output": output}, result...)),
		"custom_tool_call_output": object(with(fields{"output": output}, result...)),
		"local_shell_call_output": object(with(fields{"output": output}, result...)),
		"tool_search_output":      object(with(fields{"tools": tools, "execution": anything}, result...)),
		// Codex gives some models their tools as part of the input.
		"additional_tools": object(with(fields{"tools": tools}, "type", "id", "role")),
		// Codex tells its sub-agents of each other.
		"agent_message": object(with(fields{"content": textOr(each(content))}, "type", "id", "author", "recipient")),
	}
	for typ, r := range byType {
		byType[typ] = without(internalNote, r)
	}
	return typed(byType, "message", func(typ string, _ value) string {
		if name, known := openAITraces[typ]; known {
			return name
		}
		return "block:" + clip(typ)
	})
}

// internalNote is what Codex remarks on items for OpenAI's own statistics.
const internalNote = "internal_chat_message_metadata_passthrough"

// without passes one key of an object and applies r to the rest.
func without(key string, r rule) rule {
	return func(j *judge, at string, v value) {
		v.members = slices.DeleteFunc(slices.Clone(v.members), func(m member) bool { return m.key == key })
		r(j, at, v)
	}
}

// openAITraces are items that only a feature's use leaves.
var openAITraces = map[string]string{
	"item_reference":        Stored,
	"web_search_call":       WebSearch,
	"file_search_call":      Files,
	"code_interpreter_call": CodeExecution,
	"image_generation_call": ImageGeneration,
	"mcp_call":              MCPServers,
	"mcp_list_tools":        MCPServers,
	"mcp_approval_request":  MCPServers,
	"mcp_approval_response": MCPServers,
}

func openAIContent() rule {
	return typed(map[string]rule{
		"input_text":        plain("type", "text"),
		"output_text":       plain("type", "text", "annotations", "logprobs"),
		"text":              plain("type", "text"),
		"summary_text":      plain("type", "text"),
		"reasoning_text":    plain("type", "text"),
		"refusal":           plain("type", "refusal"),
		"encrypted_content": plain("type", "encrypted_content"),
		"input_audio":       plain("type", "input_audio"),
		"input_image":       object(fields{"type": anything, "detail": anything, "image_url": dataURL, "file_id": feature(Files)}),
		"input_file":        object(fields{"type": anything, "filename": anything, "file_data": anything, "file_url": feature(URLSources), "file_id": feature(Files)}),
	}, "", func(typ string, _ value) string { return "block:" + clip(typ) })
}

// openAITools are those that the provider carries out.
var openAITools = map[string]string{
	"web_search":       WebSearch,
	"file_search":      Files,
	"code_interpreter": CodeExecution,
	"image_generation": ImageGeneration,
	"mcp":              MCPServers,
}

var openAIWebSearch = regexp.MustCompile(`^web_search(_preview)?(_[0-9]{4}_[0-9]{2}_[0-9]{2})?$`)

func openAITool() rule {
	var tool rule
	byType := map[string]rule{
		"function":    object(with(fields{"parameters": schema}, "type", "name", "description", "strict", "defer_loading", "allowed_callers", "output_schema")),
		"custom":      plain("type", "name", "description", "format", "defer_loading", "allowed_callers"),
		"namespace":   object(with(fields{"tools": each(func(j *judge, at string, v value) { tool(j, at, v) })}, "type", "name", "description")),
		"tool_search": object(fields{"type": anything, "execution": only("client", "tool:tool_search"), "description": anything, "parameters": schema}),
		"local_shell": plain("type"),
		"apply_patch": plain("type"),
	}
	tool = typed(byType, "", func(typ string, _ value) string {
		if openAIWebSearch.MatchString(typ) {
			return WebSearch
		}
		if name, known := openAITools[typ]; known {
			return name
		}
		return "tool:" + clip(typ)
	})
	return tool
}

// only passes one string; another needs the feature.
func only(want, name string) rule {
	return func(j *judge, at string, v value) {
		if v.text() != want {
			j.allows(name, quoted(at)+" other than "+quoted(want))
		}
	}
}
